import { type BudgetResult, judge } from './budget.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { holdCalls, startHangupScene } from './hangup-scene.js';
import { byesFromRecord, byesTwice, oneSided } from './held-calls.js';

export interface HangupRacesOptions {
  /** Calls that are up at once and are ended one by one. */
  calls: number;
  /** Requests in flight. */
  concurrency: number;
}

export interface HangupRaces {
  options: HangupRacesOptions;
  seconds: number;
  /** Requests by status and outcome. */
  outcomes: Record<string, number>;
  oneSided: number;
  /** Calls that no side was told of. */
  untouched: number;
  fromRecord: number;
  twice: number;
}

/** Ends calls as fast as the API takes it, where both sides answer their BYEs at once. */
export async function raceHangups(options: HangupRacesOptions): Promise<HangupRaces> {
  const cleanup = new Cleanup();
  try {
    const scene = await startHangupScene(cleanup);
    await holdCalls(scene, options.calls);
    const ids = (await scene.held.calls()).map(({ id }) => id);
    const outcomes: Record<string, number> = {};
    const started = now();
    const requester = async () => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
        const { status, body } = await scene.stack.api.post(`/v1/calls/${id}/hangup`);
        const what = `${status} ${body.outcome ?? body.code}`;
        outcomes[what] = (outcomes[what] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: options.concurrency }, requester));
    const seconds = (now() - started) / 1000;
    const calls = await scene.held.calls();
    return {
      options,
      seconds,
      outcomes,
      oneSided: oneSided(calls),
      untouched: calls.filter(({ caller, callee }) => caller.byes + callee.byes === 0).length,
      fromRecord: byesFromRecord(calls),
      twice: byesTwice(calls),
    };
  } finally {
    await cleanup.run();
  }
}

/** Principle 2 of the design: what one side alone is told of is no hangup. */
export function budgetsOfHangupRaces({ options, oneSided }: HangupRaces): BudgetResult[] {
  return [
    judge({
      name: `${options.calls} hangups, ${options.concurrency} at once: calls ended on one side alone`,
      ...{ measured: oneSided, limit: { exactly: 0 } },
    }),
  ];
}

/** The figures as Markdown. */
export function reportHangupRaces(races: HangupRaces): string {
  const { options, seconds, outcomes } = races;
  const { calls, concurrency } = options;
  return [
    `${calls} answered calls ended one by one, ${concurrency} requests at once, in ${seconds.toFixed(1)} s (${Math.round(calls / seconds)} a second):`,
    '',
    ...Object.entries(outcomes).map(([outcome, count]) => `- ${count} x ${outcome}`),
    `- One-sided calls, which must be none: ${races.oneSided}; calls that no side was told of: ${races.untouched}.`,
    `- BYEs sent from the record, because Kamailio had sent none: ${races.fromRecord}. BYEs too many: ${races.twice}.`,
    '',
  ].join('\n');
}
