import type { Bench } from './bench.js';
import { budgetSummary, budgetTable } from './budget.js';
import { machineLines } from './machine.js';
import type { BenchFile, BenchRun } from './runs.js';

const DISTORTIONS = [
  'SIPp, the scripted peers, Redis, Kamailio and the control plane share the CPUs of one machine: what the ones use, the others lack. A highest rate is that of the machine with its load generator on it; `call-rate` measures SIPp alone first, and the bare Kamailios pay for SIPp in the same way.',
  'Everything is on the loopback interface, which loses nothing and takes no time. The network to carriers, to Retell and to its API comes on top.',
  'The machine may be shared with others. The load before each run is the mean number of processes that ran or waited to in the minute before it; anything that is not near 0 makes times longer, the p99 most of all, and so does CPU time that the host gives to other machines. What is compared takes turns within one run, so that it hits all alike.',
  'CPU time is as the kernel counts it by ticks, which misses part of what runs for less than a tick at a time.',
  'A percentile of a few hundred samples moves from run to run: the p99 of 500 is the fifth longest.',
];

/** The page of all figures, as Markdown, in the order of the benchmarks. */
export function performancePage({ runs: all, failures }: BenchFile, benches: readonly Bench[]): string {
  const runs = benches.flatMap(({ name }) => all.filter((run) => run.name === name));
  const budgets = runs.flatMap((run) => run.budgets);
  const saturated = budgets.filter((result) => result.saturated !== undefined);
  return [
    '# Performance',
    '',
    'What the proxy promises and what was measured of it. This page is made by `npm run bench -- report` from [`performance.json`](performance.json), which `npm run bench` wrote: do not edit it.',
    '',
    '## Budgets',
    '',
    budgetTable(budgets.map(({ saturated: _, ...result }) => result)),
    '',
    budgetSummary(budgets),
    ...failures.map(({ name, problem }) => `\n**No figures of ${name}**: ${problem}.`),
    '',
    'The baseline was measured in the same run on the same machine. Ratio: measured over baseline.',
    '',
    '## Where it ran',
    '',
    ...whereLines(runs),
    '',
    'To measure again:',
    '',
    '```sh',
    'npm run bench                                # all of them, about 40 minutes; --quick for a look',
    'npm run bench -- report var/bench.json       # this page, and performance.json',
    'npm run bench -- call-rate --json rate.json  # one of them; --help says what it takes',
    'npm run bench -- report docs/operations/performance.json rate.json   # that one anew, the others as they are',
    '```',
    '',
    '## What saturated first',
    '',
    ...(saturated.length === 0
      ? ['No run was driven to its end.']
      : saturated.map((result) => `- ${result.name}: ${result.saturated}.`)),
    '',
    '## What distorts the figures',
    '',
    ...DISTORTIONS.map((line) => `- ${line}`),
    '',
    '## Figures',
    '',
    ...runs.flatMap((run) => section(run, benches)),
  ].join('\n');
}

/** The machine of all runs, or each of them where they differ. */
function whereLines(runs: readonly BenchRun[]): string[] {
  const places = new Map<string, string[]>();
  for (const { name, machine } of runs) {
    const { load: _, ...place } = machine;
    const key = JSON.stringify(place);
    places.set(key, [...(places.get(key) ?? []), name]);
  }
  const [first, ...others] = [...places.values()];
  return [first, ...others].flatMap((names = []) => {
    const run = runs.find(({ name }) => name === names[0]);
    if (run === undefined) return [];
    const lines = machineLines(run.machine).map((line) => line.replace(/, load before the run .*$/, ''));
    return others.length === 0 ? lines : [...lines, `- The machine of ${names.join(', ')}`];
  });
}

function section(
  { name, command, startedAt, seconds, stolen, machine, figures }: BenchRun,
  benches: readonly Bench[],
): string[] {
  const bench = benches.find((each) => each.name === name);
  if (bench === undefined) return [];
  const more = bench.page === undefined ? '' : ` How it is measured: [${bench.page}](${bench.page}).`;
  return [
    `### ${name}`,
    '',
    `${capital(bench.description)}.${more}`,
    '',
    `- Command: \`${command}\``,
    `- Started ${startedAt}, took ${seconds.toFixed(0)} s, load before the run ${machine.load.toFixed(2)}${stolenText(stolen)}`,
    '',
    bench.report(figures, machine).trim(),
    '',
  ];
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function stolenText(stolen: number | undefined): string {
  if (stolen === undefined) return '';
  return `, ${(stolen * 100).toFixed(1)} % of the CPU time meanwhile taken by other machines on the host`;
}
