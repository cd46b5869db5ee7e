import { setTimeout as delay } from 'node:timers/promises';
import type { TestLike } from '../../test/harness/stack.js';
import { Calls, type CallTotals, type Second, type SteadyFigures } from './calls.js';
import { type Address, type Callee, type Placement, type Stream, startCallers } from './pairs.js';
import { type Sample, Sampler } from './sampler.js';
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
export interface Leg {
  stream: Stream;
  /** Where the calls of a pair go; with `over` they are sent there and have `to` in the Request-URI. */
  to: (pair: number) => Address;
  over?: Address;
}

export interface DriveOptions {
  placement: Placement;
  legs: readonly Leg[];
  callees: readonly Callee[];
  system: System;
  course: Course;
  /** Call-IDs begin with it. */
  callIdPrefix: string;
  /** Told of each sample. */
  onProgress?: (progress: Progress) => void;
  /** Callers give a message up after 3 times instead of SIPp's 5 and 7, some 8 s: those that fail are over sooner. */
  isImpatient?: boolean;
  /** Asked at each sample whether to place no more calls, before the time is up. */
  isOver?: (progress: Progress) => boolean;
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
  steady: SteadyFigures;
  seconds: Second[];
  samples: Sample[];
}

const IMPATIENT = ['-max_retrans', '3', '-max_invite_retrans', '3'];
/** A call that fails for want of answers takes 32 s (RFC 3261 timers B and F); one that is held, its length besides. */
const LONGEST_END_MS = 40_000;

/** Places calls for the time of the course, waits for their ends, and looks at everything meanwhile. */
export async function drive(t: TestLike, options: DriveOptions): Promise<Driven> {
  const { placement, legs, callees, system, course, callIdPrefix } = options;
  const { warmUpS, durationS, sampleS = 1 } = course;
  const startedMs = Date.now();
  const started = legs.map(({ stream, to, over }, i) =>
    startCallers(t, placement, stream, {
      to,
      ...(over !== undefined && { over }),
      callIdPrefix: `${callIdPrefix}-${i}`,
      more: options.isImpatient ? IMPATIENT : [],
    }),
  );
  const callers = (await Promise.all(started)).flat();
  const calls = new Calls(callers, startedMs);
  const sampler = new Sampler(
    system,
    () =>
      groupsOf(
        callers.map(({ run }) => run.pid),
        callees,
      ),
    startedMs,
  );
  const sinceStart = () => (Date.now() - startedMs) / 1000;
  const of = warmUpS + durationS;
  await sampler.look();
  while (sinceStart() < of) {
    const next = (Math.floor(sinceStart() / sampleS) + 1) * sampleS;
    await delay(Math.max(1, (Math.min(next, of) - sinceStart()) * 1000));
    await Promise.all([calls.poll(), sampler.look()]);
    const at = sinceStart();
    const [second] = calls.seconds(Math.max(0, Math.floor(at) - 2), Math.max(1, Math.floor(at) - 1));
    if (second === undefined) continue;
    const progress = { at, of, second, totals: calls.totals(), sample: sampler.samples.at(-1) };
    options.onProgress?.(progress);
    if (options.isOver?.(progress)) break;
  }
  await calls.stop(LONGEST_END_MS + Math.max(...legs.map(({ stream }) => stream.holdMs)));
  await sampler.look();
  for (const { run } of callers) await run.stop();
  return {
    totals: calls.totals(),
    steady: calls.steady(warmUpS, of),
    seconds: calls.seconds(0, Math.ceil(sinceStart())),
    samples: sampler.samples,
  };
}

/** Process groups of the SIPps: the sampler sums those of one name. */
function groupsOf(callers: readonly (number | undefined)[], callees: readonly Callee[]) {
  const named = (name: string, groups: readonly (number | undefined)[]) =>
    groups.map((group, i) => [groups.length === 1 ? name : `${name} ${i + 1}`, group] as const);
  return Object.fromEntries([
    ...named('SIPp caller', callers),
    ...named(
      'SIPp callee',
      callees.map(({ run }) => run.pid),
    ),
  ]);
}
