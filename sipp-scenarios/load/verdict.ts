import { type FaultFigures, unexplained } from './chaos.js';
import type { RunResult } from './run.js';

/** What a run may not exceed. */
export interface Thresholds {
  /** Share of the calls, 0 to 1. */
  maxFailed: number;
  /** 99th percentile of the session request delay in the steady window, in ms; none where undefined. */
  maxSrdP99Ms?: number;
}

/** A run that places fewer than this part of the calls that were asked for has not shown what was asked. */
const RATE_REACHED = 0.95;
/** With a ramp: SIPp follows it by steps. */
const RAMP_REACHED = 0.9;

/** Why a run is not fine; none where it is. */
export function problemsOf(
  { steady, settled }: Pick<RunResult, 'steady' | 'settled'>,
  { rate, hasRamp }: { rate: number; hasRamp: boolean },
  { maxFailed, maxSrdP99Ms }: Thresholds,
  faults: readonly FaultFigures[] = [],
): string[] {
  const problems: string[] = [];
  if (steady.attemptsPerSecond < rate * (hasRamp ? RAMP_REACHED : RATE_REACHED)) {
    problems.push(
      `${steady.attemptsPerSecond.toFixed(1)} calls/s were placed of ${Number(rate.toFixed(1))} that were asked for`,
    );
  }
  const counted = unexplained(steady.failed, faults);
  const share = shareOf(counted, steady.attempts);
  if (share > maxFailed) {
    const why = faults.length === 0 ? '' : ', and not because of a dead gateway';
    problems.push(`${percent(share)} of the calls failed (${counted})${why}; ${percent(maxFailed)} may`);
  }
  const p99 = steady.srdMs?.p99;
  if (maxSrdP99Ms !== undefined && (p99 === undefined || p99 >= maxSrdP99Ms)) {
    problems.push(
      p99 === undefined
        ? 'no call had a response, so there is no SRD'
        : `SRD p99 is ${p99} ms; it has to be under ${maxSrdP99Ms} ms`,
    );
  }
  if (settled.records !== null && settled.records !== settled.calls) {
    problems.push(`${settled.calls} calls were placed and ${settled.records} have a record`);
  }
  if (settled.dialogsLeft !== null && settled.dialogsLeft !== 0) {
    problems.push(`${settled.dialogsLeft} dialogs are left in Kamailio`);
  }
  return problems;
}

/** Share of the calls of the steady window that failed: some that were placed just before it may be among them. */
export function shareOf(failed: number, attempts: number): number {
  return Math.min(1, failed / Math.max(1, attempts));
}

/** A share as text: 0.001 is 0.1 %. */
export function percent(share: number): string {
  return `${Number((share * 100).toFixed(3))} %`;
}
