import { InvalidArgumentError } from 'commander';
import type { BudgetResult } from './budget.js';
import type { Machine } from './machine.js';

/** One option of a benchmark on the command line. */
export interface BenchOption {
  /** As commander takes it, e.g. `--calls <n>`. */
  flags: string;
  description: string;
  parse: (text: string) => number;
  /** Default; without one it is left out. */
  value?: number;
  /** Default with `--quick`; default `value`. */
  quick?: number;
}

/** Options by their names in camel case; those that are left out are not there. */
export type BenchOptions = Readonly<Record<string, number>>;

/** One benchmark: what it takes, measures and says, and the budgets that it is there for. */
export interface BenchDefinition<O, F> {
  /** The sub-command. */
  name: string;
  /** What it asks, in one line. */
  description: string;
  /** The page of docs/operations/ that explains it, where there is one. */
  page?: string;
  options: readonly BenchOption[];
  /** @returns figures that survive JSON. @throws Error where there are none */
  measure(options: O): Promise<F>;
  /** The figures as Markdown. */
  report(figures: F, machine: Machine): string;
  budgets(figures: F, machine: Machine): BudgetResult[];
}

/** A benchmark among others: its figures are only handed back to it. */
export type Bench = BenchDefinition<BenchOptions, unknown>;

/** Forgets what one benchmark's options and figures are, so that it stands in a list with others. */
export function asBench<O extends object, F>(definition: BenchDefinition<O, F>): Bench {
  return definition as unknown as Bench;
}

/** Reads a count. */
export function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('a whole number over 0 is needed');
  return value;
}

/** Reads a time in ms, fractions allowed. */
export function milliseconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new InvalidArgumentError('a number of milliseconds is needed');
  return value;
}

/** Reads a switch that is written as a number. */
export function zeroOrOne(text: string): number {
  if (text !== '0' && text !== '1') throw new InvalidArgumentError('0 or 1 is needed');
  return Number(text);
}

/** Name of an option as commander has it: `--warm-up <n>` is warmUp. */
export function optionName({ flags }: BenchOption): string {
  return (/^--([\w-]+)/.exec(flags)?.[1] ?? '').replace(/-(\w)/g, (_, letter: string) =>
    letter.toUpperCase(),
  );
}

/** The command that measures with these options, as it can be given again. */
export function commandOf(bench: Pick<Bench, 'name' | 'options'>, options: BenchOptions): string {
  const given = bench.options.flatMap((option) => {
    const value = options[optionName(option)];
    const flag = option.flags.split(' ')[0];
    return value === undefined ? [] : [`${flag} ${value}`];
  });
  return ['npm run bench --', bench.name, ...given].join(' ');
}
