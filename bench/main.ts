import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { type HangupOptions, measureHangup } from './hangup.js';
import { type HangupRacesOptions, raceHangups, reportHangupRaces } from './hangup-races.js';
import { reportHangup } from './hangup-report.js';
import { describeMachine } from './machine.js';
import { measurePostDialDelay, type PostDialDelayOptions } from './post-dial-delay.js';
import { reportPostDialDelay } from './post-dial-delay-report.js';
import { measureRecords, type RecordsOptions, reportRecords } from './records.js';
import { measureScrape, reportScrape, type ScrapeOptions } from './scrape.js';
import { reportWebhooks } from './webhook-report.js';
import { measureWebhooks, type WebhookOptions } from './webhooks.js';

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
program
  .command('hangup')
  .description('how long hangups take, one by one and many at once')
  .option('--calls <n>', 'calls ended by one POST /v1/hangups', count, 5000)
  .option('--rate <n>', 'hangups a second in it', count, 1000)
  .option('--samples <n>', 'calls ended one by one in each series', count, 500)
  .action(async (options: HangupOptions) => {
    const machine = await describeMachine();
    process.stdout.write(reportHangup({ machine, ...(await measureHangup(options)) }));
  });
program
  .command('hangup-races')
  .description('whether a hangup ever ends one side of a call alone')
  .option('--calls <n>', 'calls up, ended one by one', count, 5000)
  .option('--concurrency <n>', 'requests at once', count, 16)
  .action(async (options: HangupRacesOptions) => {
    const machine = await describeMachine();
    process.stdout.write(reportHangupRaces({ machine, ...(await raceHangups(options)) }));
  });
program
  .command('webhooks')
  .description('how fast webhooks are answered and written, next to a receiver that only checks them')
  .option('--rate <n>', 'webhooks a second in the first series', count, 3000)
  .option('--duration <s>', 'how long that goes on; the second series has as many webhooks', count, 10)
  .option(
    '--calls <n>',
    'calls that the webhooks of a series are about (default: one for every three)',
    count,
  )
  .option('--json <file>', 'write the figures there too')
  .action(async ({ json, ...options }: WebhookOptions & { json?: string }) => {
    const machine = await describeMachine();
    const result = { machine, ...(await measureWebhooks(options)) };
    process.stdout.write(reportWebhooks(result));
    if (json !== undefined) await writeFile(json, `${JSON.stringify(result, undefined, 2)}\n`);
  });
program
  .command('records')
  .description('whether every call has one record that joins both sides, however it ends')
  .option('--calls <n>', 'calls, about', count, 1000)
  .option('--concurrency <n>', 'calls at once', count, 24)
  .action(async (options: RecordsOptions) => {
    const machine = await describeMachine();
    process.stdout.write(reportRecords({ machine, ...(await measureRecords(options)) }));
  });
program
  .command('scrape')
  .description('how long Prometheus waits for the metrics while many calls are up')
  .option('--calls <n>', 'calls up', count, 10_000)
  .option('--scrapes <n>', 'scrapes', count, 50)
  .option('--carriers <n>', 'carriers', count, 3)
  .action(async (options: ScrapeOptions) => {
    const machine = await describeMachine();
    process.stdout.write(reportScrape({ machine, ...(await measureScrape(options)) }));
  });

await program.parseAsync();
