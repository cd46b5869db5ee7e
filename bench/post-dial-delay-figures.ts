import type { Sample } from './dialer.js';
import type { ApiRequest } from './retell-api.js';
import { type Summary, summarise } from './statistics.js';

/** The three ways that calls take. */
export const WAYS = ['bare', 'trunk', 'register'] as const;
export type Way = (typeof WAYS)[number];

/** A call with what became known of its registration on the way. */
export interface RegisteredSample extends Sample {
  /** Kamailio's question could be read from Redis. */
  asked: number;
  request: ApiRequest;
}

export interface Samples {
  bare: Sample[];
  trunk: Sample[];
  register: RegisteredSample[];
}

/** From the carrier's INVITE on, in ms. */
export interface Delays {
  /** Until the INVITE is with the callee. */
  invite: Summary;
  /** Until the callee's 180 is with the carrier. */
  ringing: Summary;
}

/** What the median delays are longer by, in ms. */
export interface Added {
  invite: number;
  ringing: number;
}

export interface Series {
  name: string;
  /** Calls each way. */
  calls: number;
  ways: Record<Way, Delays>;
  /** What is over the bare Kamailio; for `register`, without Retell's API time. */
  added: Record<'trunk' | 'register', Added>;
  /** Retell's API time: from a request's headers at the server to its whole answer being sent. */
  api: Summary;
  /** Where a registered call's time goes until its INVITE is with the callee, in order. */
  parts: Record<'kamailioAsks' | 'controlPlaneRequests' | 'retellApi' | 'answerToInvite', Summary>;
}

/** All figures of one series. */
export function summariseSeries(name: string, { bare, trunk, register }: Samples): Series {
  const ways = { bare: delaysOf(bare), trunk: delaysOf(trunk), register: delaysOf(register) };
  const own = delaysOf(register, ({ request }) => request.answered - request.arrived);
  const part = (time: (sample: RegisteredSample) => number) => summarise(register.map(time));
  const api = part(({ request }) => request.answered - request.arrived);
  return {
    name,
    calls: bare.length,
    ways,
    added: { trunk: over(ways.bare, ways.trunk), register: over(ways.bare, own) },
    api,
    parts: {
      kamailioAsks: part(({ sent, asked }) => asked - sent),
      controlPlaneRequests: part(({ asked, request }) => request.arrived - asked),
      retellApi: api,
      answerToInvite: part(({ request, arrived }) => arrived - request.answered),
    },
  };
}

/** @param leftOut the part of a call's time that does not count, in ms */
function delaysOf<T extends Sample>(samples: readonly T[], leftOut: (sample: T) => number = () => 0): Delays {
  return {
    invite: summarise(samples.map((sample) => sample.arrived - sample.sent - leftOut(sample))),
    ringing: summarise(samples.map((sample) => sample.rang - sample.sent - leftOut(sample))),
  };
}

/** What the medians differ by. Percentiles at the edge have no such difference: they are of other calls each. */
function over(base: Delays, other: Delays): Added {
  return {
    invite: other.invite.median - base.invite.median,
    ringing: other.ringing.median - base.ringing.median,
  };
}
