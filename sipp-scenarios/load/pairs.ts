import { freePort } from '../../control-plane/src/cli/ports.js';
import type { TestLike } from '../../test/harness/stack.js';
import type { Scenario } from '../scenarios.js';
import { Caller } from './caller.js';

export type Transport = 'udp' | 'tcp';
type Direction = Scenario['direction'];

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
  /** Number that is dialled. */
  number: string;
}

/** Where the SIPps of a run are. */
export interface Placement {
  /** How many SIPps call. */
  pairs: number;
  /** How many take calls. */
  gateways: number;
  transport: Transport;
  /** Address that the calls of a pair come from, 0 the first. */
  callerHost: (pair: number, direction: Direction) => string;
  /** Where the other side of a pair takes them; at a free port where there is none. */
  callee: (pair: number, direction: Direction) => { host: string; port?: number };
}

/** Number of ours that carriers dial, and that outbound calls come from. */
export const OWN_NUMBER = '+14155550100';
/** Number that Retell calls. */
export const OTHER_NUMBER = '+14155550140';
/** Each pair on loopback addresses of its own: carriers in 127.1.0.0/24, Retell in 127.2.0.0/24. */
export const LOOPBACK: Pick<Placement, 'callerHost' | 'callee'> = {
  callerHost: (pair, direction) => hostOf(direction === 'inbound' ? 1 : 2, pair),
  callee: (pair, direction) => ({ host: hostOf(direction === 'inbound' ? 2 : 1, pair) }),
};

function hostOf(network: number, pair: number): string {
  return `127.${network}.0.${pair + 1}`;
}

/** A whole run of SIPp is cut off after so long, in s: it is ended by what started it long before. */
export const SIPP_TIMEOUT_S = 7 * 24 * 3600;

export interface CallerOptions {
  /** Which pairs call; all of them where it is left out. */
  pairs?: readonly number[];
  /** Where the calls of a pair go; with `over` they are sent there and have `to` in the Request-URI. */
  to: (pair: number) => Address;
  over?: Address;
  /** Call-IDs begin with it. */
  callIdPrefix: string;
  /** Further arguments of SIPp. */
  more: readonly string[];
}

/** Has pairs call, each with its share of the rate, from now until `stop` of each. */
export async function startCallers(
  t: TestLike,
  placement: Placement,
  { scenario, rate, holdMs, number }: Stream,
  options: CallerOptions,
): Promise<Caller[]> {
  const { to, over, callIdPrefix, more } = options;
  const pairs = options.pairs ?? Array.from({ length: placement.pairs }, (_, pair) => pair);
  return Promise.all(
    pairs.map(async (pair) => {
      const host = placement.callerHost(pair, scenario.direction);
      const { host: toHost, port: toPort } = to(pair);
      const caller = await Caller.start({
        ...{ scenario: scenario.caller, host, port: await freePort(host), number, holdMs },
        target: `${toHost}:${toPort}`,
        rate: rate / pairs.length,
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
