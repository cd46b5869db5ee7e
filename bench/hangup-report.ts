import type { HangupFigures, HangupTimes, LoadStep, ManyAtOnce } from './hangup.js';
import type { Machine } from './machine.js';
import type { Summary } from './statistics.js';

/** Longest time in which all calls of one POST /v1/hangups may be ended and confirmed, in ms, for 5,000 of them. */
const BUDGET_MS = 10_000;

/** Where it ran and with what, as Markdown. */
export function reportMachine(machine: Machine, command: string): string {
  return [
    `- Machine: ${machine.cpus} x ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.system}, load before the run ${machine.load.toFixed(2)}`,
    `- Versions: Node.js ${machine.node}, Kamailio ${machine.kamailio}, Redis ${machine.redis}`,
    `- Command: \`npm run bench -- ${command}\``,
  ].join('\n');
}

/** The figures as Markdown. */
export function reportHangup(figures: HangupFigures & { machine: Machine }): string {
  const { machine, options, idle, steps, loaded, many } = figures;
  const { calls, rate, samples } = options;
  const highest = steps.filter(({ clean }) => clean).at(-1)?.rate;
  return [
    reportMachine(machine, `hangup --calls ${calls} --rate ${rate} --samples ${samples}`),
    '',
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
  const met = jobMs < BUDGET_MS ? 'met' : 'MISSED';
  const used = Object.entries(seen.cpus).map(([part, cpus]) => `${part} ${cpus.toFixed(2)}`);
  const ends = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  return [
    `${calls} calls ended by one \`POST /v1/hangups\` at ${rate} a second:`,
    '',
    `- Budget: all confirmed in ${BUDGET_MS / 1000} s, measured ${(jobMs / 1000).toFixed(1)} s: ${met}. The last BYE was with its leg after ${(wireMs / 1000).toFixed(1)} s.`,
    `- Outcomes: ${ends.join(', ')}.`,
    `- As both sides saw it: ${seen.oneSided} calls one-sided, ${seen.fromRecord} BYEs sent from the record, ${seen.twice} BYEs too many.`,
    `- CPUs in use: ${used.join(', ')}.`,
  ];
}
