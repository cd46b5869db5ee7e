import type { Machine } from '../../bench/machine.js';
import { byKind, type UseFigures } from './figures.js';
import type { RunResult } from './run.js';
import { percent } from './verdict.js';

/** When and where a run was. */
export interface Head {
  /** When it began, ISO 8601. */
  startedAt: string;
  machine: Machine;
  /** As it can be given again. */
  command: string;
}

/** Everything that is told of a run: what the JSON file holds. */
export interface RunReport extends Head, RunResult {
  scenario: string;
  rate: number;
  holdMs: number;
  pairs: number;
  transport: string;
  warmUpS: number;
  durationS: number;
  use: UseFigures;
  /** Why it is not fine; none where it is. */
  problems: string[];
}

/** Where it ran and with what, as rows of a name and a value. */
export function machineRows({ machine, command, startedAt }: Head) {
  return [
    [
      'machine',
      `${machine.cpus} x ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.system}, load before the run ${machine.load.toFixed(2)}`,
    ],
    ['versions', `Node.js ${machine.node}, Kamailio ${machine.kamailio}, Redis ${machine.redis}`],
    ['command', command],
    ['started', startedAt],
  ] as [string, string][];
}

/** The figures of a run, as rows of a name and a value. */
export function figureRows(report: RunReport): [string, string][] {
  const { totals, steady, settled, use } = report;
  const srd = steady.srdMs;
  const reasons = Object.entries(totals.reasons).map(([reason, count]) => `${count} x ${reason}`);
  const rows: [string, string | null][] = [
    ['calls placed, warm-up and all', String(totals.placed)],
    ['as the scenario says', String(totals.completed)],
    ['failed', `${totals.failed}${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}`],
    ['still going on when given up', totals.unfinished === 0 ? null : String(totals.unfinished)],
    [
      'steady window',
      `${steady.seconds} s, ${steady.attempts} calls, ${steady.attemptsPerSecond.toFixed(1)} calls/s`,
    ],
    ['failed of those', `${steady.failed} (${percent(steady.failed / Math.max(1, steady.attempts))})`],
    ['retransmissions by the callers', String(steady.retransmissions)],
    ['SRD p50 / p95 / p99', srd === null ? null : `${srd.p50} / ${srd.p95} / ${srd.p99} ms`],
    ['CPU', cpuText(use)],
    ['UDP datagrams dropped on the machine', String(use.dropped)],
    ['Kamailio: most dialogs', text(use.dialogs)],
    [
      'Kamailio: shared memory, most',
      use.sharedMemoryUsedBytes === null
        ? null
        : `${mib(use.sharedMemoryUsedBytes)} of ${mib(use.sharedMemorySizeBytes ?? 0)}`,
    ],
    [
      'Kamailio: private memory, least free',
      use.privateMemoryFreeMinBytes === null ? null : mib(use.privateMemoryFreeMinBytes),
    ],
    [
      'events waiting, most',
      use.queuedEvents === null
        ? null
        : `${use.queuedEvents} in Kamailio, ${use.eventBatchesWaiting} batches in Redis`,
    ],
    ['event lag, most', use.eventLagS === null ? null : `${use.eventLagS.toFixed(3)} s`],
    [
      'Redis',
      use.redisOpsPerSecond === null
        ? null
        : `${Math.round(use.redisOpsPerSecond)} commands/s, ${mib(use.redisUsedMemoryBytes ?? 0)}`,
    ],
    [
      'records',
      settled.records === null
        ? 'not looked at'
        : `${settled.records} of ${settled.calls}, ${settled.seconds.toFixed(1)} s after the last call`,
    ],
    ['dialogs left', settled.dialogsLeft === null ? 'not looked at' : String(settled.dialogsLeft)],
    ['saturated first', report.saturation[0]?.what ?? 'nothing'],
    ...report.saturation
      .slice(1)
      .map(({ at, what }): [string, string] => [`saturated too, after ${at.toFixed(0)} s`, what]),
  ];
  return rows.filter((row): row is [string, string] => row[1] !== null);
}

function cpuText({ cpus, others, busy, stolen }: UseFigures): string {
  const parts = Object.entries({ ...byKind(cpus), 'others on the machine': others }).map(
    ([name, used]) => `${name} ${used.toFixed(2)}`,
  );
  const lost =
    stolen < 0.005 ? '' : `, ${percent(Number(stolen.toFixed(3)))} taken by other machines on the host`;
  return `${Math.round(busy * 100)} % of the machine busy${lost}; CPUs: ${parts.join(', ')}`;
}

function text(value: number | null): string | null {
  return value === null ? null : String(value);
}

export function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** What a run says at its end, as Markdown. */
export function reportText(report: RunReport): string {
  const { scenario, rate, problems } = report;
  return [
    `# Load: ${scenario} at ${rate} calls/s`,
    '',
    ...machineRows(report).map(([name, value]) => `- ${name}: ${value}`),
    '',
    table(figureRows(report)),
    '',
    ...(problems.length === 0
      ? ['Result: fine.']
      : ['Result: NOT fine.', ...problems.map((problem) => `- ${problem}`)]),
    '',
  ].join('\n');
}

/** Rows of a name and a value as a table that is also readable as it is. */
export function table(
  rows: readonly (readonly string[])[],
  header: readonly string[] = ['figure', 'value'],
): string {
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(3, ...all.map((row) => (row[i] ?? '').length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`.replace(/ +\|$/, ' |');
  return [
    line(header),
    `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`,
    ...rows.map(line),
  ].join('\n');
}
