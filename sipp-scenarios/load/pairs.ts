import { freePort } from '../../control-plane/src/cli/ports.js';
import type { TestLike } from '../../test/harness/stack.js';
import type { Scenario } from '../scenarios.js';
import { type SippOptions, SippRun } from '../sipp.js';
import { Caller } from './caller.js';

export type Transport = 'udp' | 'tcp';

export interface Address {
  host: string;
  port: number;
}

/** Calls of one kind that go on side by side with others. */
export interface Stream {
  scenario: Scenario;
  /** Calls a second, over all pairs. */
  rate: number;
  holdMs: number;
}

/** Where the SIPps of a run are. */
export interface Placement {
  /** How many SIPps call. */
  pairs: number;
  transport: Transport;
  /** Address that the calls of a pair come from, 0 the first. */
  callerHost: (pair: number, direction: Scenario['direction']) => string;
  /** Where the other side of a pair takes them; at a free port where there is none. */
  callee: (pair: number, direction: Scenario['direction']) => { host: string; port?: number };
}

/** One that takes calls. */
export interface Callee extends Address {
  run: SippRun;
}

/** Number of ours that carriers dial, and that outbound calls come from. */
export const OWN_NUMBER = '+14155550100';
/** Number that Retell calls. */
export const OTHER_NUMBER = '+14155550123';

/** Each pair on loopback addresses of its own: carriers in 127.1.0.0/24, Retell in 127.2.0.0/24. */
export const LOOPBACK: Pick<Placement, 'callerHost' | 'callee'> = {
  callerHost: (pair, direction) => hostOf(direction === 'inbound' ? 1 : 2, pair),
  callee: (pair, direction) => ({ host: hostOf(direction === 'inbound' ? 2 : 1, pair) }),
};

function hostOf(network: number, pair: number): string {
  return `127.${network}.0.${pair + 1}`;
}

/** A whole run of SIPp is cut off after so long, in s: it is ended by what started it long before. */
const SIPP_TIMEOUT_S = 7 * 24 * 3600;

/** Starts the side that takes a scenario's calls, one for each pair. */
export async function startCallees(
  t: TestLike,
  placement: Placement,
  { scenario, holdMs }: Pick<Stream, 'scenario' | 'holdMs'>,
): Promise<Callee[]> {
  const { callee, direction, digest } = scenario;
  if (callee === undefined) return [];
  return Promise.all(
    Array.from({ length: placement.pairs }, async (_, pair) => {
      const { host, port = await freePort(host) } = placement.callee(pair, direction);
      return startCallee(t, {
        ...{ host, port, scenario: callee, holdMs, transport: placement.transport },
        ...(digest !== undefined && { credentials: digest.carrier }),
      });
    }),
  );
}

/** Starts one SIPp that takes calls. */
export async function startCallee(
  t: TestLike,
  options: Address & Pick<SippOptions, 'scenario' | 'holdMs' | 'transport' | 'credentials'>,
): Promise<Callee> {
  const run = await SippRun.start({ ...options, timeoutS: SIPP_TIMEOUT_S });
  t.teardown(() => run.stop());
  return { run, host: options.host, port: options.port };
}

export interface CallerOptions {
  /** Where the calls of a pair go; with `over` they are sent there and have `to` in the Request-URI. */
  to: (pair: number) => Address;
  over?: Address;
  /** Call-IDs begin with it. */
  callIdPrefix: string;
  /** Further arguments of SIPp. */
  more: readonly string[];
}

/** Has each pair call with its share of the rate, from now until `stop` of each. */
export async function startCallers(
  t: TestLike,
  placement: Placement,
  { scenario, rate, holdMs }: Stream,
  { to, over, callIdPrefix, more }: CallerOptions,
): Promise<Caller[]> {
  return Promise.all(
    Array.from({ length: placement.pairs }, async (_, pair) => {
      const host = placement.callerHost(pair, scenario.direction);
      const { host: toHost, port: toPort } = to(pair);
      const caller = await Caller.start({
        scenario: scenario.caller,
        host,
        port: await freePort(host),
        target: `${toHost}:${toPort}`,
        number: scenario.direction === 'inbound' ? OWN_NUMBER : OTHER_NUMBER,
        rate: rate / placement.pairs,
        holdMs,
        transport: placement.transport,
        ...(scenario.digest !== undefined && { credentials: scenario.digest.retell }),
        callIdPrefix: `${callIdPrefix}-${pair}`,
        timeoutS: SIPP_TIMEOUT_S,
        more: [...more, ...(over === undefined ? [] : ['-rsa', `${over.host}:${over.port}`])],
      });
      t.teardown(() => caller.run.stop());
      return caller;
    }),
  );
}
