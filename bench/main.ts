import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { describeMachine } from './machine.js';
import { measurePostDialDelay, type PostDialDelayOptions } from './post-dial-delay.js';
import { reportPostDialDelay } from './post-dial-delay-report.js';

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('a whole number over 0 is needed');
  return value;
}

function milliseconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new InvalidArgumentError('a number of milliseconds is needed');
  return value;
}

const program = new Command('bench').description(
  'Measures what the design promises. Each run starts and stops its own parts.',
);
program
  .command('post-dial-delay')
  .description('what the proxy adds to the time until the callee rings, next to a bare Kamailio')
  .option('--calls <n>', 'calls each way in each series', count, 500)
  .option('--warm-up <n>', 'calls each way before that', count, 100)
  .option('--rate <n>', 'calls a second in the second series', count, 50)
  .option('--retell-ms <ms>', "how long Retell's API thinks about a request", milliseconds, 0)
  .option('--json <file>', 'write the figures there too')
  .action(async ({ json, ...options }: PostDialDelayOptions & { json?: string }) => {
    const machine = await describeMachine();
    const result = { machine, ...(await measurePostDialDelay(options)) };
    process.stdout.write(reportPostDialDelay(result));
    if (json !== undefined) await writeFile(json, `${JSON.stringify(result, undefined, 2)}\n`);
  });

await program.parseAsync();
