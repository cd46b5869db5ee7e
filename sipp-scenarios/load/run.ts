import { randomBytes } from 'node:crypto';
import { EVENTS_PER_CALL } from '../../control-plane/src/cli/size/figures.js';
import { EVENTS_PER_MB } from '../../control-plane/src/kamailio/node-file.js';
import type { TestLike } from '../../test/harness/stack.js';
import { type Callees, startCallees } from './callees.js';
import { type CommandFigures, Commands } from './commands.js';
import { type Course, type Driven, drive, type Leg, type Progress, type Underway } from './drive.js';
import { type Address, LOOPBACK, OWN_NUMBER, type Placement, type Transport } from './pairs.js';
import { followRamp } from './ramp-rates.js';
import { type Saturation, saturationOf } from './saturation.js';
import { type Settled, settle } from './settle.js';
import {
  aimAtRunning,
  type OwnSystem,
  type RunningSystemOptions,
  type System,
  startOwnSystem,
} from './system.js';
import { meanHoldMs, type Traffic } from './traffic.js';

/** A stack that runs already, and where its configuration expects the other sides. */
export interface Target extends RunningSystemOptions {
  /** Address that calls come from; it has to be in the networks of a carrier, or for outbound calls of Retell. */
  callerHost: string;
  /** The gateway that the calls are sent to; each further pair has the next port. Without it somebody else takes them. */
  callee?: Address;
}

export interface RunOptions {
  traffic: Traffic;
  pairs: number;
  /** SIPps that take calls. Default one for each pair. */
  gateways?: number;
  transport: Transport;
  course: Course;
  /** Without it a stack is started for the run. */
  target?: Target;
  /** Of a stack that is started for the run, in s. Default: as configured by itself. */
  ringTimeoutS?: number | undefined;
  /** What is done to a stack that was started for the run, meanwhile. */
  disturb?: (system: OwnSystem, callees: Callees, underway: Underway) => Promise<void>;
}

export interface RunResult extends Driven {
  settled: Settled;
  /** What was at its limit in the steady window, the first one first. */
  saturation: Saturation[];
  /** null where no scenario waits for commands. */
  commands: CommandFigures | null;
  /** Legs of each entry of the traffic, by their index in `legTotals`. */
  legsOfEntries: number[][];
}

/** Plays the traffic. @throws Error where a part does not come up */
export async function runLoad(
  t: TestLike,
  options: RunOptions,
  onProgress: (progress: Progress) => void,
): Promise<RunResult> {
  const { traffic, pairs, course, target, disturb } = options;
  const placement = placementOf(options);
  const isTaken = target !== undefined && target.callee === undefined;
  const called = isTaken ? { inbound: [], outbound: [] } : await startCallees(t, placement, traffic.entries);
  const own = target === undefined ? await startSystem(t, options, called) : undefined;
  const system: System = own ?? aimAtRunning(target as Target);
  const { legs, legsOfEntries } = legsOf(traffic, pairs, system.sip);
  const callIdPrefix = `load-${randomBytes(4).toString('hex')}`;
  const commands = commandsOf(legs, system, callIdPrefix);
  const driven = await drive(t, {
    ...{ placement, legs, system, course, callIdPrefix, onProgress },
    callees: [...called.inbound, ...called.outbound],
    meanwhile: [
      ...(traffic.ramp.length === 0 ? [] : [followRamp(traffic.ramp, legs, course)]),
      ...(disturb === undefined || own === undefined
        ? []
        : [(underway: Underway) => disturb(own, called, underway)]),
    ],
  });
  const settled = await settle(system, {
    calls: callsOf(legs, driven),
    countRecords: () => system.countRecords(callIdPrefix),
  });
  commands?.stop();
  const steady = driven.samples.filter(({ at }) => isSteady(at, course));
  const saturation = saturationOf(steady);
  return { ...driven, settled, saturation, commands: commands?.figures ?? null, legsOfEntries };
}

/** Whether a sample that was taken then tells of the steady window. */
export function isSteady(at: number, { warmUpS, durationS }: Course): boolean {
  return at > warmUpS && at <= warmUpS + durationS + 1;
}

/** Calls that have to have a record: what the proxy answers itself is none. */
function callsOf(legs: readonly Leg[], { legTotals }: Driven): number {
  return legs.reduce(
    (sum, { stream }, i) => sum + (stream.scenario.callee === undefined ? 0 : (legTotals[i]?.placed ?? 0)),
    0,
  );
}

/** Calls of one kind come from all pairs; of several each has callers of its own, spread over the pairs. */
function legsOf(
  { entries }: Traffic,
  pairs: number,
  to: Address,
): { legs: Leg[]; legsOfEntries: number[][] } {
  const legs: Leg[] = [];
  const isPlain = entries.length === 1 && entries[0]?.holdsMs.length === 1;
  const legsOfEntries = entries.map(({ scenario, rate, holdsMs, number }) =>
    holdsMs.map((holdMs) => {
      legs.push({
        stream: { scenario, rate: rate / holdsMs.length, holdMs, number },
        to: () => to,
        ...(!isPlain && { pairs: [legs.length % pairs] }),
      });
      return legs.length - 1;
    }),
  );
  return { legs, legsOfEntries };
}

function commandsOf(legs: readonly Leg[], { api }: System, callIdPrefix: string): Commands | undefined {
  if (legs.every(({ stream }) => stream.scenario.command === undefined)) return undefined;
  if (api === undefined) throw new Error('a scenario that waits for commands needs --api and --token');
  return new Commands(api, (sipCallId) => {
    if (!sipCallId.startsWith(`${callIdPrefix}-`)) return undefined;
    return legs[Number(sipCallId.slice(callIdPrefix.length + 1).split('-')[0])]?.stream.scenario.command;
  });
}

function placementOf({ pairs, gateways = pairs, transport, target }: RunOptions): Placement {
  const sides = { pairs, gateways, transport };
  if (target === undefined) return { ...sides, ...LOOPBACK };
  const { callerHost, callee } = target;
  return {
    ...sides,
    callerHost: () => callerHost,
    callee: (pair) =>
      callee === undefined ? { host: callerHost } : { host: callee.host, port: callee.port + pair },
  };
}

function startSystem(
  t: TestLike,
  { traffic: { entries, ramp }, transport, ringTimeoutS }: RunOptions,
  { inbound, outbound }: Callees,
): Promise<OwnSystem> {
  const numbers = entries
    .filter(({ scenario }) => scenario.direction === 'inbound')
    .map(({ number }) => number);
  const highest = Math.max(1, ...ramp.map(({ factor }) => factor));
  const memory = entries.reduce(
    (sum, entry) => sum + sharedMemoryFor(entry.rate * highest, meanHoldMs(entry)),
    0,
  );
  return startOwnSystem(t, {
    transport,
    retell: inbound,
    carrier: outbound,
    // Outbound scenarios call from this one.
    numbers: [...new Set([OWN_NUMBER, ...numbers])],
    sharedMemoryMb: Math.max(LEAST_MB, Math.ceil(memory)),
    digest: entries[0]?.scenario.digest,
    ringTimeoutS,
  });
}

/** Of a dialog, and of the transactions of a call until tm forgets them 5 s after their ends, in KiB. */
const DIALOG_KIB = 12;
const TRANSACTIONS_KIB = 120;
const LEAST_MB = 256;
/** How long Redis may be away without an event being lost, in s: chaos pauses it for half of that. */
const REDIS_AWAY_S = 30;

/** Shared memory that calls at a rate and their events never fill, in MiB: twice what they need. */
function sharedMemoryFor(rate: number, holdMs: number): number {
  const calls = (2 * rate * ((holdMs / 1000) * DIALOG_KIB + TRANSACTIONS_KIB)) / 1024;
  return Math.max(calls, (rate * EVENTS_PER_CALL * REDIS_AWAY_S) / EVENTS_PER_MB);
}
