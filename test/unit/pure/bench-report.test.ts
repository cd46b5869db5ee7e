import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { asBench, commandOf, count } from '../../../bench/bench.js';
import { BENCHES } from '../../../bench/benches.js';
import { judge } from '../../../bench/budget.js';
import { performancePage } from '../../../bench/performance-page.js';
import { type BenchFile, type BenchRun, mergeRuns, readRuns } from '../../../bench/runs.js';
import { ROOT } from '../../../control-plane/src/cli/paths.js';

const BENCH = asBench({
  name: 'sums',
  description: 'how fast sums are',
  page: 'sums.md',
  options: [
    { flags: '--terms <n>', description: 'terms', parse: count, value: 10 },
    { flags: '--warm-up <n>', description: 'before that', parse: count },
  ],
  measure: async () => ({ perSecond: 7 }),
  report: ({ perSecond }: { perSecond: number }) => `${perSecond} sums a second.\n`,
  budgets: () => [],
});

const MACHINE = {
  ...{ cpu: 'Some CPU', cpus: 2, memoryGib: 8, system: 'Linux 6', load: 0.25 },
  ...{ node: '20.0.0', kamailio: '5.6.3', redis: '7.0.15' },
};

function run(name: string, perSecond: number, saturated?: string): BenchRun {
  return {
    ...{ name, startedAt: '2026-01-02T03:04:05.000Z', seconds: 12.4, stolen: 0.031, machine: MACHINE },
    command: `npm run bench -- ${name} --terms 10`,
    budgets: [judge({ name: `${name} a second`, measured: perSecond, limit: { atLeast: 5 }, saturated })],
    figures: { perSecond },
  };
}

function file(...runs: BenchRun[]): BenchFile {
  return { runs, failures: [] };
}

t.test('a command has the options that it was run with', async (t) => {
  t.equal(commandOf(BENCH, { terms: 3 }), 'npm run bench -- sums --terms 3');
  t.equal(commandOf(BENCH, { terms: 3, warmUp: 1 }), 'npm run bench -- sums --terms 3 --warm-up 1');
});

t.test('of several files the last that has a benchmark counts', async (t) => {
  const failure = { name: 'sums', problem: 'it broke' };
  const merged = mergeRuns([file(run('sums', 1), run('others', 2)), file(run('sums', 3))]);
  t.same(
    merged.runs.map(({ figures }) => figures),
    [{ perSecond: 3 }, { perSecond: 2 }],
  );
  t.same(mergeRuns([file(run('sums', 1)), { runs: [], failures: [failure] }]), {
    runs: [],
    failures: [failure],
  });
  t.match(mergeRuns([{ runs: [], failures: [failure] }, file(run('sums', 1))]).failures, []);
});

t.test(
  'the page tells of machine, versions, commands, budgets, figures, distortions, saturation',
  async (t) => {
    const page = performancePage(file(run('sums', 7, 'one core')), [BENCH]);
    for (const text of [
      '| sums a second | 7 |  |  | at least 5 | met |',
      'All 1 budgets are met.',
      '- Machine: 2 x Some CPU, 8 GiB, Linux 6\n',
      '- Versions: Node.js 20.0.0, Kamailio 5.6.3, Redis 7.0.15',
      '- sums a second: one core.',
      '## What distorts the figures',
      '### sums\n\nHow fast sums are. How it is measured: [sums.md](sums.md).',
      '- Command: `npm run bench -- sums --terms 10`',
      'took 12 s, load before the run 0.25, 3.1 % of the CPU time meanwhile taken by other machines on the host',
      '\n7 sums a second.\n',
    ]) {
      t.match(page, text, text);
    }
  },
);

t.test('the page tells of what was missed, and of what has no figures', async (t) => {
  const failures = [{ name: 'others', problem: 'it ended without figures' }];
  const page = performancePage({ runs: [run('sums', 3)], failures }, [BENCH]);
  t.match(page, '1 of 1 budgets MISSED: sums a second.');
  t.match(page, '**No figures of others**: it ended without figures.');
  t.match(page, 'No run was driven to its end.');
});

t.test('machines that differ are told apart', async (t) => {
  const other = { ...run('others', 7), machine: { ...MACHINE, cpu: 'Another CPU' } };
  const page = performancePage(file(run('sums', 7), other), [BENCH, { ...BENCH, name: 'others' }]);
  t.match(page, '2 x Some CPU');
  t.match(page, '2 x Another CPU');
  t.match(page, '- The machine of others');
});

t.test('docs/operations/performance.md is what is made of performance.json', async (t) => {
  const all = await readRuns(join(ROOT, 'docs/operations/performance.json'));
  t.equal(readFileSync(join(ROOT, 'docs/operations/performance.md'), 'utf8'), performancePage(all, BENCHES));
});

t.test('every benchmark is in it, or is said to have no figures', async (t) => {
  const { runs, failures } = await readRuns(join(ROOT, 'docs/operations/performance.json'));
  t.same([...runs, ...failures].map(({ name }) => name).sort(), BENCHES.map(({ name }) => name).sort());
});
