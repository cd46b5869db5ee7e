import { CONTENDER_TITLES, CONTENDERS, type ContenderName } from './contenders.js';
import type { FindMaxOptions, FindMaxResult } from './find-max.js';
import { barsHtml, pageHtml, rowsHtml, tableHtml, verdictHtml } from './page.js';
import { type Head, machineRows, table } from './report.js';
import type { Trial } from './trial.js';
import { ratioOf, type Turn } from './turns.js';
import { percent } from './verdict.js';

/** Everything that is told of it: what the JSON file holds. */
export interface FindMaxReport extends Head, FindMaxResult {
  scenario: string;
  holdMs: number;
  pairs: number;
  durationS: number;
  /** Our highest rate over that of each other; null where either has none. */
  ratios: Record<Exclude<ContenderName, 'ours'>, number | null>;
  problems: string[];
}

/** Our rate over that of a bare Kamailio with the same allocator, and of one as shipped, at least; and added SRD, in ms. */
export const BUDGET = { bare: 0.8, shipped: 1.3, addedMs: 1 };

/** Puts together what was found, with the budgets that it misses. */
export function findMaxReport(
  head: Head,
  { scenario, ...options }: FindMaxOptions,
  result: FindMaxResult,
): FindMaxReport {
  const { best, srd, settled } = result;
  const ratio = (name: ContenderName) => ratioOf(best.ours, best[name]);
  const ratios = { generator: ratio('generator'), shipped: ratio('shipped'), bare: ratio('bare') };
  const problems: string[] = [];
  for (const name of ['bare', 'shipped'] as const) {
    const found = ratios[name];
    if (found === null) problems.push(`no ratio to ${CONTENDER_TITLES[name]}: no rate was clean`);
    else if (found < BUDGET[name]) {
      problems.push(
        `${found.toFixed(2)} of ${CONTENDER_TITLES[name]}; the budget is at least ${BUDGET[name]}`,
      );
    }
  }
  if (srd !== null && srd.addedMs >= BUDGET.addedMs) {
    problems.push(`SRD is ${srd.addedMs.toFixed(2)} ms longer; the budget is under ${BUDGET.addedMs} ms`);
  }
  if (settled.records !== settled.calls) {
    problems.push(`${settled.calls} calls were placed and ${settled.records} have a record`);
  }
  return { ...head, scenario: scenario.name, ...options, ...result, ratios, problems };
}

const HEADER = [
  ...['through', 'highest clean rate', 'ours over it', 'CPUs of Kamailio', 'ms of it a call'],
  ...['retransmissions', 'saturated first above it'],
];

function contenderRows({ best, ratios, trials }: FindMaxReport): string[][] {
  return CONTENDERS.map((name) => {
    const trial = best[name];
    if (trial === null) return [CONTENDER_TITLES[name], 'none', '', '', '', '', ''];
    const ratio = name === 'ours' ? null : ratios[name];
    const cpus = trial.cpus.Kamailio;
    return [
      CONTENDER_TITLES[name],
      `${trial.rate} calls/s`,
      ratio === null ? '' : ratio.toFixed(2),
      cpus === undefined ? '' : cpus.toFixed(2),
      cpus === undefined ? '' : ((cpus / trial.attemptsPerSecond) * 1000).toFixed(2),
      percent(Number(trial.retransmissions.toFixed(5))),
      saturatedAbove(trial, trials),
    ];
  });
}

/** What was at its limit in the trial that was the nearest above the best one. */
function saturatedAbove({ contender, rate }: Trial, trials: readonly Trial[]): string {
  const above = trials.filter(
    (trial) => trial.contender === contender && !trial.isClean && trial.rate >= rate,
  );
  const [nearest] = above.sort((a, b) => a.rate - b.rate);
  return nearest?.saturated ?? 'nothing';
}

function figureRows({ srd, settled, durationS, turns }: FindMaxReport): [string, string][] {
  const added: [string, string][] =
    srd === null
      ? []
      : [
          [
            `SRD beside ${srd.rate} calls/s, median (p99)`,
            `${srd.ours.median.toFixed(2)} ms (${srd.ours.p99.toFixed(1)}); bare Kamailio with tlsf ${srd.bare.median.toFixed(2)} ms (${srd.bare.p99.toFixed(1)}); added ${srd.addedMs.toFixed(2)} ms`,
          ],
        ];
  return [
    ['clean', `no call failed in ${durationS} s, and no more were up than the rate explains`],
    ['turns of the bare Kamailio with tlsf and ours, of which the middle ratio counts', turnsText(turns)],
    ...added,
    ['records', `${settled.records} of the ${settled.calls} calls through ours in clean trials`],
    ['dialogs left of trials that were not clean', String(settled.dialogsLeft)],
  ];
}

/** Both rates of each turn, and their ratio. */
export function turnsText(turns: readonly Turn[]): string {
  const rateOf = (trial: Trial | null) => (trial === null ? 'none' : String(trial.rate));
  return turns
    .map(
      (turn) =>
        `${rateOf(turn.bare)} and ${rateOf(turn.ours)} (${ratioOf(turn.ours, turn.bare)?.toFixed(2) ?? 'none'})`,
    )
    .join('; ');
}

/** As Markdown. */
export function findMaxText(report: FindMaxReport): string {
  const { problems, scenario } = report;
  return [
    `# Highest clean rate: ${scenario}`,
    '',
    ...machineRows(report).map(([name, value]) => `- ${name}: ${value}`),
    '',
    table(contenderRows(report), HEADER),
    '',
    ...figureRows(report).map(([name, value]) => `- ${name}: ${value}`),
    '',
    ...(problems.length === 0
      ? ['Result: all budgets are met.']
      : ['Result: NOT fine.', ...problems.map((problem) => `- ${problem}`)]),
    '',
  ].join('\n');
}

/** As one HTML page. */
export function findMaxPage(report: FindMaxReport): string {
  const trials = report.trials.map((trial: Trial) => [
    CONTENDER_TITLES[trial.contender],
    String(trial.rate),
    `${trial.seconds} s`,
    trial.trouble ?? 'clean',
    percent(Number(trial.busy.toFixed(3))),
  ]);
  const bars = CONTENDERS.map((name) => [CONTENDER_TITLES[name], report.best[name]?.rate ?? 0] as const);
  const body = [
    verdictHtml(report.problems),
    `<section><h2>Highest clean rate</h2>${barsHtml(bars, 'calls/s')}</section>`,
    '<div class="charts"></div>',
    `<section>${tableHtml(HEADER, contenderRows(report))}${rowsHtml(figureRows(report))}</section>`,
    `<div class="charts"><section><h2>Trials</h2>${tableHtml(['through', 'calls/s', 'for', 'result', 'CPU busy'], trials)}</section></div>`,
    `<div class="charts"><section>${rowsHtml(machineRows(report))}</section></div>`,
  ].join('\n');
  return pageHtml(`Highest clean rate: ${report.scenario}`, body);
}
