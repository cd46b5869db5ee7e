import { CONTENDER_TITLES, CONTENDERS, type ContenderName } from '../sipp-scenarios/load/contenders.js';
import { type FindMaxResult, findMax } from '../sipp-scenarios/load/find-max.js';
import { BUDGET, turnsText } from '../sipp-scenarios/load/find-max-report.js';
import { ProgressBar } from '../sipp-scenarios/load/progress.js';
import { scenarioNamed } from '../sipp-scenarios/scenarios.js';
import { type BudgetResult, figureText, judge } from './budget.js';
import { Cleanup } from './cleanup.js';

export interface CallRateOptions {
  /** How long a rate has to be clean, in s. */
  duration: number;
  /** SIPps on each side. */
  pairs: number;
  /** How long a call is held, in ms. */
  holdMs: number;
  /** 1: coarse searches and one turn, for a look; 0: fine ones and three turns. */
  coarse: number;
}

export interface CallRateFigures extends FindMaxResult {
  options: CallRateOptions;
}

/** Finds the highest clean rates, as `npm run load -- --find-max` does. */
export async function measureCallRate(options: CallRateOptions): Promise<CallRateFigures> {
  const { duration: durationS, pairs, holdMs, coarse } = options;
  const cleanup = new Cleanup();
  try {
    const what = { scenario: scenarioNamed('inbound'), holdMs, pairs, durationS, isQuick: coarse === 1 };
    return { options, ...(await findMax(cleanup, what, new ProgressBar())) };
  } finally {
    await cleanup.run();
  }
}

export function budgetsOfCallRate({ best, srd, settled }: CallRateFigures): BudgetResult[] {
  const beside = (name: 'bare' | 'shipped') =>
    judge({
      name: `highest clean call rate, next to ${CONTENDER_TITLES[name]}`,
      ...{ measured: best.ours?.rate ?? null, unit: 'calls/s', of: 'ratio' },
      limit: { atLeast: BUDGET[name] },
      baseline: best[name] === null ? undefined : { name: CONTENDER_TITLES[name], value: best[name].rate },
      saturated: best.ours?.saturated ?? 'nothing',
    });
  return [
    beside('bare'),
    beside('shipped'),
    judge({
      name: `session request delay beside ${srd?.rate ?? '?'} calls/s, half of it: median`,
      ...{ measured: srd?.ours.median ?? null, unit: 'ms', of: 'difference' },
      limit: { under: BUDGET.addedMs },
      baseline: srd === null ? undefined : { name: CONTENDER_TITLES.bare, value: srd.bare.median },
    }),
    judge({
      name: `highest clean call rate: calls of ${settled.calls} in clean trials without exactly one record`,
      ...{ measured: settled.records === null ? null : Math.abs(settled.calls - settled.records) },
      limit: { exactly: 0 },
    }),
  ];
}

/** The figures as Markdown. */
export function reportCallRate({
  options,
  best,
  turns,
  srd,
  settled,
  eventsDropped,
  trials,
}: CallRateFigures): string {
  const added =
    srd === null
      ? []
      : [
          `- Session request delay beside ${srd.rate} calls/s, median (p99): ours ${figureText(srd.ours.median, 'ms')} (${figureText(srd.ours.p99)}), bare ${figureText(srd.bare.median, 'ms')} (${figureText(srd.bare.p99)}); added ${figureText(srd.addedMs, 'ms')}.`,
        ];
  return [
    `The same calls by SIPp, ${options.holdMs / 1000} s long, through each. Clean is a rate at which no call fails in ${options.duration} s and no more are up than it explains.`,
    '',
    '| through | calls a second | CPUs of Kamailio | of it a call | repeated messages | saturated first |',
    '| --- | ---: | ---: | ---: | ---: | --- |',
    ...CONTENDERS.map((name) => row(name, best[name])),
    '',
    `- Turns of the bare Kamailio with tlsf and ours, of which the middle ratio counts: ${turnsText(turns)}.`,
    ...added,
    `- Records of the clean trials through ours: ${settled.records} of ${settled.calls} calls. Dialogs left by trials that were given up: ${settled.dialogsLeft}.${eventsDropped === null ? '' : ` Call events dropped: ${eventsDropped}.`}`,
    `- ${trials.length} trials${options.coarse === 1 ? ', in coarse steps' : ''}.`,
    '',
  ].join('\n');
}

function row(name: ContenderName, trial: FindMaxResult['best'][ContenderName]): string {
  if (trial === null) return `| ${CONTENDER_TITLES[name]} | none | | | | |`;
  const { rate, cpus, attemptsPerSecond, retransmissions, saturated } = trial;
  const own = cpus.Kamailio;
  const cells = [
    CONTENDER_TITLES[name],
    rate,
    own === undefined ? '' : own.toFixed(2),
    own === undefined ? '' : figureText((own / attemptsPerSecond) * 1000, 'ms'),
    `${(retransmissions * 100).toFixed(2)} %`,
    saturated ?? 'nothing',
  ];
  return `| ${cells.join(' | ')} |`;
}
