import type { Machine } from '../../bench/machine.js';
import { CHAOS_HEADER, chaosRows, type FaultFigures } from './chaos.js';
import type { CommandFigures } from './commands.js';
import { sumByKind, type UseFigures } from './figures.js';
import { SOAK_HEADER, type SoakFigures, soakRows } from './leaks.js';
import type { RunResult } from './run.js';
import { percent, shareOf } from './verdict.js';

/** When and where a run was. */
export interface Head {
  /** When it began, ISO 8601. */
  startedAt: string;
  machine: Machine;
  /** As it can be given again. */
  command: string;
}

/** Calls of one scenario. */
export interface EntryFigures {
  scenario: string;
  /** Calls a second that were asked for, before any ramp. */
  rate: number;
  meanHoldMs: number;
  placed: number;
  completed: number;
  failed: number;
}

/** Everything that is told of a run: what the JSON file holds. */
export interface RunReport extends Head, RunResult {
  /** What was played. */
  title: string;
  /** Calls a second that were asked for, with a ramp the mean. */
  rate: number;
  pairs: number;
  transport: string;
  warmUpS: number;
  durationS: number;
  entries: EntryFigures[];
  use: UseFigures;
  /** null where it was no soak. */
  soak: SoakFigures | null;
  /** Empty without chaos. */
  chaos: FaultFigures[];
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
  const { totals, steady, settled, use, commands } = report;
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
    ['failed of those', `${steady.failed} (${percent(shareOf(steady.failed, steady.attempts))})`],
    ['retransmissions by the callers', String(steady.retransmissions)],
    ['SRD p50 / p95 / p99', srd === null ? null : `${srd.p50} / ${srd.p95} / ${srd.p99} ms`],
    ['CPU', cpuText(use)],
    ['UDP datagrams dropped', droppedText(use)],
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
    ['detail records overdue, most', text(use.recordsOverdue)],
    [
      'Redis',
      use.redisOpsPerSecond === null
        ? null
        : `${Math.round(use.redisOpsPerSecond)} commands/s, ${mib(use.redisUsedMemoryBytes ?? 0)}`,
    ],
    ['commands', commands === null ? null : commandText(commands)],
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

function droppedText({ dropped }: UseFigures): string {
  const parts = Object.entries(dropped).map(([name, count]) => `${count} for ${name}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function commandText({ taken, refused }: CommandFigures): string {
  const others = Object.entries(refused).map(([what, count]) => `, ${count} x ${what}`);
  return `${taken} taken${others.join('')}`;
}

function cpuText({ cpus, others, busy, stolen }: UseFigures): string {
  const parts = Object.entries({ ...sumByKind(cpus), 'others on the machine': others }).map(
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

/** Tables besides the figures, each with what it is of. */
export function moreTables({ entries, soak, chaos }: RunReport) {
  const tables: { title: string; header: readonly string[]; rows: string[][] }[] = [];
  if (entries.length > 1) {
    const rows = entries.map(({ scenario, rate, meanHoldMs, placed, completed, failed }) => [
      ...[scenario, rate.toFixed(1), `${(meanHoldMs / 1000).toFixed(1)} s`],
      ...[placed, completed, failed].map(String),
    ]);
    const header = ['scenario', 'calls/s', 'mean length', 'placed', 'as the scenario says', 'failed'];
    tables.push({ title: 'Scenarios', header, rows });
  }
  if (chaos.length > 0) tables.push({ title: 'Faults', header: CHAOS_HEADER, rows: chaosRows(chaos) });
  if (soak !== null) {
    const title = `Soak, from ${soak.from.toFixed(0)} s to ${soak.to.toFixed(0)} s`;
    tables.push({ title, header: SOAK_HEADER, rows: soakRows(soak) });
  }
  return tables;
}

/** The title of a run. */
export function titleOf({ title, rate }: RunReport): string {
  return `Load: ${title} at ${Number(rate.toFixed(1))} calls/s`;
}

/** What a run says at its end, as Markdown. */
export function reportText(report: RunReport): string {
  const { problems } = report;
  return [
    `# ${titleOf(report)}`,
    '',
    ...machineRows(report).map(([name, value]) => `- ${name}: ${value}`),
    '',
    table(figureRows(report)),
    '',
    ...moreTables(report).flatMap(({ title, header, rows }) => [`## ${title}`, '', table(rows, header), '']),
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
