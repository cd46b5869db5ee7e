import { setTimeout as delay } from 'node:timers/promises';
import type { Callees } from './callees.js';
import type { Second } from './calls.js';
import type { Course, Underway } from './drive.js';
import { FAULTS, type FaultName, INFLICT } from './faults.js';
import type { OwnSystem } from './system.js';

/** When one fault was there, in s since calls began. */
export interface FaultTimes {
  name: FaultName;
  from: number;
  /** When it was over. */
  to: number;
  /** When its recovery was over: until then what fails is put down to it. */
  until: number;
}

/** What became of calls because of one fault. */
export interface FaultFigures extends FaultTimes {
  /** Calls placed while it was there. */
  placed: number;
  /** Calls that failed from its start to the end of its recovery. */
  failed: number;
  /** The longest SRD p99 of a second in that time, in ms. */
  srdP99Ms: number | null;
}

/** Part of the steady window in which faults come: a soak looks at what is behind. */
const SHARE = 2 / 3;
/** A fault lasts so long at most, in s, and a third of its time at most: the rest is for its recovery. */
const LASTS_S = 15;
/** What fails for want of answers does so up to 32 s later (RFC 3261 timers B and F): each fault has at least so long, in s. */
const LEAST_S = 40;

/**
 * The ring timeout of a stack that is broken, in s: calls that ring at a gateway when it dies fail then, and in the time
 * of that fault.
 */
export const CHAOS_RING_TIMEOUT_S = LEAST_S - LASTS_S - 5;

/** Gateways that there are at least: one of them dies, and the others take the calls. */
export const CHAOS_GATEWAYS = 2;

/** The shortest steady window in which all faults have their time, in s. */
export const CHAOS_LEAST_S = (FAULTS.length * LEAST_S) / SHARE;

/** Seconds since calls began at which the last recovery is over. */
export function chaosEnd({ warmUpS, durationS }: Course): number {
  return warmUpS + durationS * SHARE;
}

/** When each fault begins and ends. */
export function faultTimes({ warmUpS, durationS }: Course): FaultTimes[] {
  const each = (durationS * SHARE) / FAULTS.length;
  const lasts = Math.min(LASTS_S, each / 3);
  return FAULTS.map((name, i) => {
    // The first seconds of its time show what is as it should be.
    const from = warmUpS + i * each + Math.min(2, each / 10);
    return { name, from, to: from + lasts, until: warmUpS + (i + 1) * each };
  });
}

/** Breaks one thing after the other, at its time, and makes it whole again. */
export async function playChaos(
  times: readonly FaultTimes[],
  system: OwnSystem,
  callees: Callees,
  { startedMs, signal }: Underway,
  say: (text: string) => void,
): Promise<void> {
  const until = async (at: number) => {
    const ms = startedMs + at * 1000 - Date.now();
    // What is broken is made whole even where the run is over early.
    await delay(Math.max(0, ms), undefined, { signal }).catch(() => undefined);
  };
  for (const { name, from, to } of times) {
    await until(from);
    if (signal.aborted) return;
    say(`${name}, for ${(to - from).toFixed(0)} s`);
    const heal = await INFLICT[name](system, callees);
    await until(to);
    await heal();
    say(`${name}: over`);
  }
}

/** What the seconds of a run say of each fault. */
export function faultFigures(times: readonly FaultTimes[], seconds: readonly Second[]): FaultFigures[] {
  return times.map((fault) => {
    const during = (from: number, to: number) => seconds.filter(({ at }) => at + 1 > from && at < to);
    const all = during(fault.from, fault.until);
    const p99s = all.flatMap(({ srdMs }) => srdMs?.p99 ?? []);
    const sum = (some: readonly Second[], value: (second: Second) => number) =>
      Math.round(some.reduce((total, second) => total + value(second), 0));
    return {
      ...fault,
      placed: sum(during(fault.from, fault.to), ({ started }) => started),
      failed: sum(all, ({ failed }) => failed),
      srdP99Ms: p99s.length === 0 ? null : Math.max(...p99s),
    };
  });
}

/** Faults that lose calls for which nobody can make up: those that the dead gateway had. */
const LOSES_CALLS: ReadonlySet<FaultName> = new Set(['Retell gateway dead']);

/** Calls that failed and that no fault explains. */
export function unexplained(failed: number, faults: readonly FaultFigures[]): number {
  const explained = faults
    .filter(({ name }) => LOSES_CALLS.has(name))
    .reduce((sum, fault) => sum + fault.failed, 0);
  return Math.max(0, failed - explained);
}

export const CHAOS_HEADER = [
  'fault',
  'from',
  'for',
  'calls placed meanwhile',
  'failed',
  'longest SRD p99',
] as const;

/** As rows of a table. */
export function chaosRows(faults: readonly FaultFigures[]): string[][] {
  return faults.map(({ name, from, to, placed, failed, srdP99Ms }) => [
    name,
    `${from.toFixed(0)} s`,
    `${(to - from).toFixed(0)} s`,
    String(placed),
    String(failed),
    srdP99Ms === null ? '' : `${srdP99Ms} ms`,
  ]);
}
