import { setTimeout as delay } from 'node:timers/promises';
import type { TestLike } from '../../test/harness/stack.js';
import type { Callee } from './callees.js';
import type { Caller } from './caller.js';
import { Calls, type CallTotals, type Second, type SteadyFigures } from './calls.js';
import { type CallerOptions, type Placement, type Stream, startCallers } from './pairs.js';
import { type Sample, Sampler, type WatchedPart } from './sampler.js';
import type { System } from './system.js';

/** How a run goes on. */
export interface Course {
  /** Before the window in which figures count, in s. */
  warmUpS: number;
  /** That window, in s. */
  durationS: number;
  /** Between two looks at the machine and the parts, in s. Default 1. */
  sampleS?: number;
}

/** One kind of calls and who takes them. */
export interface Leg extends Pick<CallerOptions, 'pairs' | 'to' | 'over'> {
  stream: Stream;
}

/** A run under way. */
export interface Underway {
  /** When calls began, in ms since 1970. */
  startedMs: number;
  /** Those of each leg. */
  callers: readonly (readonly Caller[])[];
  /** Aborted once no more calls are placed. */
  signal: AbortSignal;
}

export interface DriveOptions {
  placement: Placement;
  legs: readonly Leg[];
  callees: readonly Callee[];
  system: System;
  course: Course;
  /** Call-IDs begin with it; behind it come the number of the leg and that of the pair. */
  callIdPrefix: string;
  /** Told of each sample. */
  onProgress?: (progress: Progress) => void;
  /** Callers give a message up after 3 times instead of SIPp's 5 and 7, some 8 s: those that fail are over sooner. */
  isImpatient?: boolean;
  /** Asked at each sample whether to place no more calls, before the time is up. */
  isOver?: (progress: Progress) => boolean;
  /** What goes on meanwhile; the run does not end before it. */
  meanwhile?: readonly ((underway: Underway) => Promise<void>)[];
}

/** How far a run has come. */
export interface Progress {
  /** Seconds since calls began, and until no more are placed. */
  at: number;
  of: number;
  /** What the latest whole second was like. */
  second: Second;
  totals: CallTotals;
  sample: Sample | undefined;
}

export interface Driven {
  totals: CallTotals;
  /** Of each leg. */
  legTotals: Omit<CallTotals, 'unfinished'>[];
  steady: SteadyFigures;
  seconds: Second[];
  samples: Sample[];
}

const IMPATIENT = ['-max_retrans', '3', '-max_invite_retrans', '3'];
/** A call that fails for want of answers takes 32 s (RFC 3261 timers B and F); one that is held, its length besides. */
const LONGEST_END_MS = 40_000;

/** Places calls for the time of the course, waits for their ends, and looks at everything meanwhile. */
export async function drive(t: TestLike, options: DriveOptions): Promise<Driven> {
  const { legs, callees, system, course, meanwhile = [] } = options;
  const { warmUpS, durationS } = course;
  const startedMs = Date.now();
  const callers = await startLegs(t, options);
  const all = callers.flat();
  const calls = new Calls(all, startedMs);
  const sampler = new Sampler(system, () => partsOf(all, callees), startedMs);
  const placing = new AbortController();
  const others = meanwhile.map((work) => work({ startedMs, callers, signal: placing.signal }));
  await watch(options, calls, sampler, startedMs);
  placing.abort();
  await calls.stop(LONGEST_END_MS + Math.max(...legs.map(({ stream }) => stream.holdMs)));
  await Promise.all(others);
  await sampler.look();
  for (const { run } of all) await run.stop();
  return {
    totals: calls.totals(),
    legTotals: callers.map((some) => calls.totalsOf(some)),
    steady: calls.steady(warmUpS, warmUpS + durationS),
    seconds: calls.seconds(0, Math.ceil((Date.now() - startedMs) / 1000)),
    samples: sampler.samples,
  };
}

function startLegs(t: TestLike, options: DriveOptions): Promise<Caller[][]> {
  const { placement, legs, callIdPrefix, isImpatient } = options;
  const started = legs.map(({ stream, ...where }, i) =>
    startCallers(t, placement, stream, {
      ...where,
      callIdPrefix: `${callIdPrefix}-${i}`,
      more: isImpatient ? IMPATIENT : [],
    }),
  );
  return Promise.all(started);
}

/** Looks at everything until the time is up. */
async function watch(
  { course, onProgress, isOver }: DriveOptions,
  calls: Calls,
  sampler: Sampler,
  startedMs: number,
): Promise<void> {
  const { warmUpS, durationS, sampleS = 1 } = course;
  const of = warmUpS + durationS;
  const sinceStart = () => (Date.now() - startedMs) / 1000;
  await sampler.look();
  while (sinceStart() < of) {
    const next = (Math.floor(sinceStart() / sampleS) + 1) * sampleS;
    await delay(Math.max(1, (Math.min(next, of) - sinceStart()) * 1000));
    await Promise.all([calls.poll(), sampler.look()]);
    const at = sinceStart();
    const [second] = calls.seconds(Math.max(0, Math.floor(at) - 2), Math.max(1, Math.floor(at) - 1));
    if (second === undefined) continue;
    const progress = { at, of, second, totals: calls.totals(), sample: sampler.samples.at(-1) };
    onProgress?.(progress);
    if (isOver?.(progress)) return;
  }
}

/** The SIPps as parts, with names that end in a number where there are several. */
function partsOf(callers: readonly Caller[], callees: readonly Callee[]): Record<string, WatchedPart> {
  const named = (name: string, parts: readonly { run: { pid: number | undefined }; port: number }[]) =>
    parts.map(({ run, port }, i) => {
      const own = parts.length === 1 ? name : `${name} ${i + 1}`;
      return [own, { group: run.pid, port }] as const;
    });
  return Object.fromEntries([...named('SIPp caller', callers), ...named('SIPp callee', callees)]);
}
