import { randomBytes } from 'node:crypto';
import type { TestLike } from '../../test/harness/stack.js';
import type { Scenario } from '../scenarios.js';
import { type Course, type Driven, drive, type Progress } from './drive.js';
import {
  type Address,
  type Callee,
  LOOPBACK,
  type Placement,
  startCallees,
  type Transport,
} from './pairs.js';
import { type Saturation, saturationOf } from './saturation.js';
import { type Settled, settle } from './settle.js';
import { aimAtRunning, type RunningSystemOptions, type System, startOwnSystem } from './system.js';

/** A stack that runs already, and where its configuration expects the other sides. */
export interface Target extends RunningSystemOptions {
  /** Address that calls come from; it has to be in the networks of a carrier, or for outbound calls of Retell. */
  callerHost: string;
  /** The gateway that the calls are sent to; each further pair has the next port. */
  callee: Address;
}

export interface RunOptions {
  scenario: Scenario;
  /** Calls a second, over all pairs. */
  rate: number;
  holdMs: number;
  pairs: number;
  transport: Transport;
  course: Course;
  /** Without it a stack is started for the run. */
  target?: Target;
}

export interface RunResult extends Driven {
  settled: Settled;
  /** What was at its limit in the steady window, the first one first. */
  saturation: Saturation[];
}

/** Plays a scenario at a rate. @throws Error where a part does not come up */
export async function runLoad(
  t: TestLike,
  options: RunOptions,
  onProgress: (progress: Progress) => void,
): Promise<RunResult> {
  const { scenario, rate, holdMs, pairs, transport, course, target } = options;
  const placement = placementOf(pairs, transport, target);
  const callees = await startCallees(t, placement, { scenario, holdMs });
  const system = target === undefined ? await startSystem(t, options, callees) : aimAtRunning(target);
  const callIdPrefix = `load-${randomBytes(4).toString('hex')}`;
  const legs = [{ stream: { scenario, rate, holdMs }, to: () => system.sip }];
  const driven = await drive(t, { placement, legs, callees, system, course, callIdPrefix, onProgress });
  // What the proxy answers itself is no call.
  const calls = scenario.callee === undefined ? 0 : driven.totals.placed;
  const settled = await settle(system, callIdPrefix, calls);
  const end = course.warmUpS + course.durationS;
  const steady = driven.samples.filter(({ at }) => at > course.warmUpS && at <= end + 1);
  return { ...driven, settled, saturation: saturationOf(steady) };
}

function placementOf(pairs: number, transport: Transport, target: Target | undefined): Placement {
  if (target === undefined) return { pairs, transport, ...LOOPBACK };
  const { callerHost, callee } = target;
  return {
    pairs,
    transport,
    callerHost: () => callerHost,
    callee: (pair) => ({ host: callee.host, port: callee.port + pair }),
  };
}

function startSystem(
  t: TestLike,
  { scenario, rate, holdMs, transport }: RunOptions,
  callees: readonly Callee[],
): Promise<System> {
  const isInbound = scenario.direction === 'inbound';
  return startOwnSystem(t, {
    transport,
    retell: isInbound ? callees : [],
    carriers: isInbound ? [] : [{ prefix: '+1', gateways: callees }],
    sharedMemoryMb: sharedMemoryFor(rate, holdMs),
    digest: scenario.digest,
  });
}

/** Of a dialog, and of the transactions of a call until tm forgets them 5 s after their ends, in KiB. */
const DIALOG_KIB = 12;
const TRANSACTIONS_KIB = 120;
const LEAST_MB = 256;

/** Shared memory that calls at a rate never fill, in MiB: twice what they need. */
export function sharedMemoryFor(rate: number, holdMs: number): number {
  const kib = rate * ((holdMs / 1000) * DIALOG_KIB + TRANSACTIONS_KIB);
  return Math.max(LEAST_MB, Math.ceil((2 * kib) / 1024));
}
