import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { ROOT } from '../control-plane/src/cli/paths.js';
import { type Bench, type BenchOptions, optionName } from './bench.js';
import { BENCHES } from './benches.js';
import { budgetSummary, budgetTable } from './budget.js';
import { performancePage } from './performance-page.js';
import { runAll } from './run-all.js';
import { runOne } from './run-one.js';
import { type BenchFile, mergeRuns, readRuns, writeRuns } from './runs.js';

/** Exit codes: 1 where a budget is missed or a benchmark comes to no figures, 2 for bad usage. */
const EXIT_MISSED = 1;
const EXIT_USAGE = 2;

const PAGE = join(ROOT, 'docs/operations/performance.md');
/** Where a run of all leaves its figures: nobody should have to run it again for having forgotten to say so. */
const ALL_FIGURES = 'var/bench.json';

const program = new Command('bench')
  .description(
    'Measures what the design promises. Each run starts and stops its own parts, on free ports of loopback. ' +
      'Without a command, all of them one after the other. Exit code 0: every budget is met; 1: one is missed, ' +
      'or has no figure; 2: bad options.',
  )
  .exitOverride();

function benchNamed(name: string, before: readonly Bench[] = []): readonly Bench[] {
  const bench = BENCHES.find((each) => each.name === name);
  if (bench === undefined) {
    throw new InvalidArgumentError(`there are ${BENCHES.map((each) => each.name).join(', ')}.`);
  }
  return [...before, bench];
}

for (const bench of BENCHES) {
  const command = program.command(bench.name).description(bench.description);
  for (const { flags, description, parse, value } of bench.options) {
    command.option(flags, description, parse, value);
  }
  command
    .option('--quick', 'smaller numbers, for a look')
    .option('--json <file>', 'write the figures there too')
    .action(async ({ quick, json, ...given }: BenchOptions & { quick?: true; json?: string }) => {
      const run = await runOne(bench, quick ? quickOptions(bench, command, given) : given);
      await finish({ runs: [run], failures: [] }, json);
    });
}

program
  .command('all', { isDefault: true })
  .description('all of them one after the other, or those that are named, and one table of all budgets')
  .argument('[names...]', 'which ones', benchNamed)
  .option('--quick', 'smaller numbers, for a look')
  .option('--json <file>', 'write all figures there too', ALL_FIGURES)
  .action(async (benches: readonly Bench[], { quick, json }: { quick?: true; json: string }) => {
    const file = await runAll(benches.length === 0 ? BENCHES : benches, quick === true);
    const budgets = file.runs.flatMap((run) => run.budgets);
    const lines = [
      '',
      '# All budgets',
      '',
      budgetTable(budgets),
      '',
      budgetSummary(budgets),
      ...file.failures.map(({ name, problem }) => `${name}: ${problem}`),
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    await finish(file, json);
  });

program
  .command('report')
  .description('write docs/operations/performance.md from the figures of runs, and all of them beside it')
  .argument('<files...>', 'files of --json; of a benchmark that is in several of them, the last counts')
  .option('--output <file>', 'the page', PAGE)
  .action(async (files: string[], { output }: { output: string }) => {
    const all = judgedAnew(mergeRuns(await Promise.all(files.map(readRuns))));
    await writeFile(output, performancePage(all, BENCHES));
    await writeRuns(output.replace(/(\.md)?$/, '.json'), all);
  });

/** The figures held against the budgets as they are now. */
function judgedAnew({ runs, failures }: BenchFile): BenchFile {
  const judged = runs.map((run) => {
    const bench = BENCHES.find(({ name }) => name === run.name);
    return bench === undefined ? run : { ...run, budgets: bench.budgets(run.figures, run.machine) };
  });
  return { runs: judged, failures };
}

/** The smaller numbers, but for what the command line says. */
function quickOptions(bench: Bench, command: Command, given: BenchOptions): BenchOptions {
  const smaller = bench.options.flatMap((option): [string, number][] => {
    const name = optionName(option);
    return option.quick !== undefined && command.getOptionValueSource(name) === 'default'
      ? [[name, option.quick]]
      : [];
  });
  return { ...given, ...Object.fromEntries(smaller) };
}

async function finish(file: BenchFile, json: string | undefined): Promise<void> {
  if (json !== undefined) await writeRuns(json, file);
  const isMet = file.runs.every(({ budgets }) => budgets.every(({ met }) => met));
  if (!isMet || file.failures.length > 0) process.exitCode = EXIT_MISSED;
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = EXIT_MISSED;
  }
}
