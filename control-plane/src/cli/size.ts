import { type Command, InvalidArgumentError } from 'commander';
import { sizeText } from './size/size-text.js';
import { sizeFor } from './size/sizing.js';

interface SizeOptions {
  cps: number;
  duration: number;
  ringS: number;
  retentionDays: number;
  callsPerDay?: number;
  redisAwayS: number;
  json?: true;
}

/** Of the busiest rate a day has as many calls as so many seconds of it, where nothing else is said. */
const BUSY_S = 8 * 3600;

/** Adds `size`, which answers what a node has to have for the calls that it is to carry. */
export function addSize(program: Command): void {
  program
    .command('size')
    .description('say what settings, memory and cores a node needs for calls, from what was measured')
    .requiredOption('--cps <n>', 'new calls a second in the busiest minute', within(0.01, 100_000))
    .requiredOption('--duration <s>', 'mean length of an answered call, in s', within(1, 86_400))
    .option('--ring-s <s>', 'how long a call rings, in s', within(0, 600), 10)
    .option('--retention-days <n>', 'calls.retention_days', wholeWithin(1, 365), 7)
    .option('--calls-per-day <n>', 'default: eight hours of the busiest rate', within(1, 1e10))
    .option('--redis-away-s <s>', 'how long Redis may be away without loss, in s', within(0, 86_400), 60)
    .option('--json', 'as JSON, in bytes')
    .action((options: SizeOptions) => {
      const { cps, duration, ringS, retentionDays, redisAwayS, json } = options;
      const callsPerDay = options.callsPerDay ?? Math.ceil(cps * BUSY_S);
      const sizing = sizeFor({ cps, durationS: duration, ringS, retentionDays, callsPerDay, redisAwayS });
      process.stdout.write(json ? `${JSON.stringify(sizing, undefined, 2)}\n` : sizeText(sizing));
    });
}

function within(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!(value >= least && value <= most))
      throw new InvalidArgumentError(`Write a number from ${least} to ${most}.`);
    return value;
  };
}

function wholeWithin(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = within(least, most)(text);
    if (!Number.isInteger(value))
      throw new InvalidArgumentError(`Write a whole number from ${least} to ${most}.`);
    return value;
  };
}
