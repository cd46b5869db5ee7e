import { type BudgetResult, judge } from './budget.js';
import type { HangupFigures, HangupTimes, LoadStep, ManyAtOnce } from './hangup.js';
import type { Machine } from './machine.js';
import type { Summary } from './statistics.js';

/** From the API request until both legs have their BYE, p99, in ms; and 5,000 calls ended and confirmed, in s. */
const BUDGET = { idleMs: 10, loadedMs: 50, manyS: 10, manyCalls: 5000 };

/** What is nearly one thread, by a part that uses this many CPUs, is what more hangups would wait for. */
const SATURATED = 0.85;

/** Where fewer calls are ended at once than the budget says, they have as much less time. */
export function budgetsOfHangup({ idle, loaded, many }: HangupFigures): BudgetResult[] {
  const { calls, jobMs, outcomes, oneSided, cpus } = many;
  const [busiest, used = 0] = Object.entries(cpus).sort(([, a], [, b]) => b - a)[0] ?? [];
  return [
    judge({
      name: 'hangup, nothing else going on: request to both BYEs, p99',
      ...{ measured: idle.second.p99, unit: 'ms', limit: { under: BUDGET.idleMs } },
    }),
    judge({
      name: `hangup beside ${loaded.rate} calls/s, half of the highest clean rate of the ramp: request to both BYEs, p99`,
      ...{ measured: loaded.second.p99, unit: 'ms', limit: { under: BUDGET.loadedMs } },
    }),
    judge({
      name: `mass hangup: ${calls} calls ended and confirmed`,
      ...{ measured: jobMs / 1000, unit: 's' },
      limit: { atMost: (BUDGET.manyS * calls) / BUDGET.manyCalls },
      saturated: used >= SATURATED ? `${busiest}, ${used.toFixed(2)} CPUs` : 'nothing',
    }),
    judge({
      name: 'mass hangup: calls without the outcome `ended`',
      ...{ measured: calls - (outcomes.ended ?? 0), limit: { exactly: 0 } },
    }),
    judge({ name: 'mass hangup: calls ended on one side alone', measured: oneSided, limit: { exactly: 0 } }),
  ];
}

/** The figures as Markdown. */
export function reportHangup(
  { options, idle, steps, loaded, many }: HangupFigures,
  machine: Machine,
): string {
  const { rate, samples } = options;
  const highest = steps.filter(({ clean }) => clean).at(-1)?.rate;
  return [
    `${samples} calls ended one after the other, from the API request on, in milliseconds:`,
    '',
    '| | BYE at the first leg: median | p99 | at the second: median | p99 | API answers: median | p99 |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    timesRow('nothing else going on', idle),
    timesRow(`${loaded.rate} calls a second beside it`, loaded),
    '',
    `Highest clean rate of the ramp: ${highest} calls a second. CPUs in use, of ${machine.cpus}:`,
    '',
    ...stepTable(steps),
    '',
    ...manyLines(many, rate),
    '',
  ].join('\n');
}

function timesRow(name: string, { first, second, answer }: HangupTimes): string {
  return `| ${name} | ${[first, second, answer].map(cells).join(' | ')} |`;
}

function cells({ median, p99 }: Summary): string {
  return `${median.toFixed(2)} | ${p99.toFixed(2)}`;
}

function stepTable(steps: readonly LoadStep[]): string[] {
  const parts = Object.keys(steps[0]?.cpus ?? {});
  return [
    `| calls a second | ${parts.join(' | ')} | failed | repeated messages | events behind | clean |`,
    `| ---: | ${parts.map(() => '---:').join(' | ')} | ---: | ---: | ---: | --- |`,
    ...steps.map(({ rate, clean, result, lag, cpus }) => {
      const used = parts.map((part) => (cpus[part] ?? 0).toFixed(2)).join(' | ');
      const failed = result.created - result.successful;
      return `| ${rate} | ${used} | ${failed} | ${result.retransmissions} | ${lag} | ${clean ? 'yes' : 'no'} |`;
    }),
  ];
}

function manyLines({ calls, jobMs, wireMs, outcomes, ...seen }: ManyAtOnce, rate: number): string[] {
  const used = Object.entries(seen.cpus).map(([part, cpus]) => `${part} ${cpus.toFixed(2)}`);
  const ends = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  return [
    `${calls} calls ended by one \`POST /v1/hangups\` at ${rate} a second:`,
    '',
    `- All were confirmed after ${(jobMs / 1000).toFixed(1)} s. The last BYE was with its leg after ${(wireMs / 1000).toFixed(1)} s.`,
    `- Outcomes: ${ends.join(', ')}.`,
    `- As both sides saw it: ${seen.oneSided} calls one-sided, ${seen.fromRecord} BYEs sent from the record, ${seen.twice} BYEs too many.`,
    `- CPUs in use: ${used.join(', ')}.`,
  ];
}
