import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ConfigError } from '../../control-plane/src/config/errors.js';
import { SCENARIOS, type Scenario, scenarioNamed } from '../scenarios.js';
import { loadMaximum } from './maximum.js';
import { loadOnce } from './once.js';
import type { LoadOptions } from './options.js';
import { address, number, perSecond, seconds, secondsOverZero, share, wholeNumber } from './values.js';

/** Exit codes: 1 where a threshold is broken, calls do not add up or a part does not come up; 2 for bad usage. */
const EXIT_NOT_FINE = 1;
const EXIT_USAGE = 2;

function scenario(text: string): Scenario {
  try {
    return scenarioNamed(text);
  } catch (error) {
    throw new InvalidArgumentError(`${error instanceof Error ? error.message : error}.`);
  }
}

/** An option that takes a time. @param unless default, in s */
function time(name: string, description: string, parse: (text: string) => number, unless: number): Option {
  return new Option(`${name} <time>`, description).argParser(parse).default(unless, `${unless}s`);
}

const program = new Command('load')
  .description(
    'Places calls by SIPp through a stack that it starts, or that runs already, and says what became of them.\n' +
      'See docs/guides/load.md. Exit code 0: fine; 1: a threshold is broken, or calls, records and dialogs do not ' +
      'add up; 2: bad options.',
  )
  .option('--list', 'list the scenarios and end')
  .addOption(
    new Option('--scenario <name>', 'what is played')
      .argParser(scenario)
      .default(scenarioNamed('inbound'), 'inbound'),
  )
  .option('--rate <calls/s>', 'new calls a second, over all pairs', perSecond, 50)
  .addOption(time('--duration', 'the steady window, in which figures count', secondsOverZero, 30))
  .addOption(time('--warm-up', 'before it', seconds, 5))
  .addOption(time('--hold', 'how long an answered call is held', seconds, 1))
  .option('--pairs <n>', 'SIPps on each side, each at an address of its own', wholeNumber(1, 100), 2)
  .addOption(new Option('--transport <name>', 'SIP over').choices(['udp', 'tcp']).default('udp'))
  .option(
    '--number <number>',
    'number that is dialled (default: +14155550100, outbound +14155550140)',
    number,
  )
  .option('--mix <file>', 'play several scenarios, as the file says, in place of --scenario')
  .option('--soak <time>', 'as --duration, and look for what grows', secondsOverZero)
  .option('--chaos', 'break parts of the stack, one after the other, and count what is lost')
  .option('--find-max', 'find the highest rate without a failure over --duration, beside bare Kamailios')
  .addOption(
    new Option('--max-failed <share>', 'more failed calls are not fine')
      .argParser(share)
      .default(0.001, '0.1%'),
  )
  .option('--max-srd-p99 <time>', 'a longer session request delay is not fine', seconds)
  .option('--json <file>', 'write all figures there too')
  .option('--html <file>', 'write a page with charts there too')
  .option('--target <host:port>', 'call through the stack that takes SIP there', address)
  .option(
    '--caller-address <host>',
    'with --target: address to call from, in the networks of a carrier',
    '127.0.0.1',
  )
  .option(
    '--callee-listen <host:port>',
    'with --target: the gateway that calls are sent to (default: somebody else takes them)',
    address,
  )
  .option('--api <url>', "with --target: the control plane's HTTP API, for metrics, dialogs and records")
  .option(
    '--token <token>',
    'with --api: a token with the scope read, and control for scenarios that wait for commands (default: API_TOKEN of the environment)',
  )
  .allowExcessArguments(false)
  .configureHelp({ showGlobalOptions: true })
  .exitOverride()
  .action(async (options: LoadOptions & { list?: true }) => {
    if (options.list) {
      const width = Math.max(...SCENARIOS.map(({ name }) => name.length));
      const lines = SCENARIOS.map(({ name, summary }) => `${name.padEnd(width)}  ${summary}\n`);
      process.stdout.write(lines.join(''));
      return;
    }
    const isFine = await (options.findMax ? loadMaximum(options) : loadOnce(options));
    if (!isFine) process.exitCode = EXIT_NOT_FINE;
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = error instanceof ConfigError ? EXIT_USAGE : EXIT_NOT_FINE;
  }
}
