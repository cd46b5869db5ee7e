import type { Redis } from 'ioredis';
import { type Call, type CallState, callerLeg, type Direction, type EndedBy, stateOf } from './call.js';
import { ENDED } from './merge-script.js';
import { fieldsOf } from './open-records.js';
import { type CallStore, OPEN } from './store.js';

/** Calls that are up which are looked at, the newest. */
const MOST_OPEN = 10_000;
/** Ended calls that are looked at, the newest. */
const MOST_ENDED = 5000;
const PERIOD_MS = 3_600_000;
const FAILED_SHOWN = 10;

type OpenState = Exclude<CallState, 'ended'>;

/** Calls of one carrier in one direction that are up, by state. */
export interface OpenCalls extends Record<OpenState, number> {
  /** undefined while none is chosen */
  carrier: string | undefined;
  direction: Direction;
}

export interface OpenFigures {
  total: number;
  /** How many of them, the newest, are in `rows`. */
  counted: number;
  rows: OpenCalls[];
}

/** How calls have been set up. */
export interface SetupFigures {
  /** INVITEs */
  attempts: number;
  answered: number;
  /** Session establishment ratio (RFC 6076 section 4.6), 0 to 1: answered of those not redirected; undefined for none. */
  ser: number | undefined;
  /** Session request delay of the answered ones (RFC 6076 section 4.3.1), in ms. */
  srd_median_ms: number | undefined;
  srd_p95_ms: number | undefined;
}

export interface HourFigures {
  /** Whether more calls have ended in this hour than were looked at. */
  isPart: boolean;
  all: SetupFigures;
  inbound: SetupFigures;
  outbound: SetupFigures;
  /** The last calls that failed, the newest first. */
  failed: Call[];
}

interface Ended {
  id: string;
  direction: Direction;
  invited: boolean;
  answered: boolean;
  ended_by: EndedBy | undefined;
  sip_status: number | undefined;
  srd_ms: number | undefined;
}

/** Counts calls from their records. Every method looks at a bounded number, and rejects when Redis does not answer. */
export class CallFigures {
  readonly #redis: Redis;
  readonly #store: CallStore;

  constructor(redis: Redis, store: CallStore) {
    this.#redis = redis;
    this.#store = store;
  }

  /** The calls that are up. */
  async open(): Promise<OpenFigures> {
    const [total, ids] = await Promise.all([
      this.#redis.zcard(OPEN),
      this.#redis.zrevrange(OPEN, 0, MOST_OPEN - 1),
    ]);
    const names = ['direction', 'carrier', 'ringing_at', 'answered_at', 'ended_at'];
    const rows = new Map<string, OpenCalls>();
    for (const [direction, carrier, ...times] of await fieldsOf(this.#redis, ids, names)) {
      const [ringing_at, answered_at, ended_at] = times.map(number);
      const state = stateOf({ ringing_at, answered_at, ended_at });
      if (state === 'ended') continue;
      const key = `${carrier ?? ''} ${direction}`;
      const row = rows.get(key) ?? {
        ...{ carrier: carrier ?? undefined, direction: directionOf(direction) },
        ...{ routing: 0, ringing: 0, answered: 0 },
      };
      row[state] += 1;
      rows.set(key, row);
    }
    const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    return { total: Math.max(total, ids.length), counted: ids.length, rows: sorted };
  }

  /** The calls that ended in the last hour. */
  async lastHour(nowMs: number): Promise<HourFigures> {
    const from = nowMs - PERIOD_MS;
    const ids = await this.#redis.zrevrangebyscore(ENDED, '+inf', from, 'LIMIT', 0, MOST_ENDED + 1);
    const looked = ids.slice(0, MOST_ENDED);
    const ended = await this.#ended(looked);
    const failed = ended.filter(isFailure).slice(0, FAILED_SHOWN);
    const calls = await this.#store.getAll(failed.map(({ id }) => id));
    return {
      isPart: ids.length > looked.length,
      all: setupFigures(ended),
      inbound: setupFigures(ended.filter(({ direction }) => direction === 'inbound')),
      outbound: setupFigures(ended.filter(({ direction }) => direction === 'outbound')),
      failed: calls.filter((call) => call !== undefined),
    };
  }

  async #ended(ids: readonly string[]): Promise<Ended[]> {
    const names = ['direction', 'ended_by', 'sip_status', 'invited_at', 'created_at', 'sip_call_id'];
    const values = await fieldsOf(this.#redis, ids, [...names, 'ringing_at', 'answered_at']);
    return values.map(([direction, endedBy, status, invitedAt, createdAt, sipCallId, ...times], i) => {
      const [ringing_at, answered_at] = times.map(number);
      // A record of an older version has no time of its INVITE.
      const invited = number(invitedAt ?? (sipCallId ? createdAt : null));
      const responses = [ringing_at, answered_at].filter((at) => at !== undefined);
      const responded = answered_at === undefined ? undefined : Math.min(...responses);
      return {
        id: ids[i] as string,
        direction: directionOf(direction),
        invited: invited !== undefined,
        answered: answered_at !== undefined,
        ended_by: (endedBy ?? undefined) as EndedBy | undefined,
        sip_status: number(status),
        srd_ms:
          invited === undefined || responded === undefined ? undefined : Math.max(0, responded - invited),
      };
    });
  }
}

/** Answered or not, it ended otherwise than anybody wanted: not where its caller gave up or a command ended it. */
function isFailure({ direction, answered, ended_by }: Ended): boolean {
  if (answered) return ended_by === 'failure';
  return ended_by !== callerLeg(direction) && ended_by !== 'api' && ended_by !== 'function';
}

function setupFigures(ended: readonly Ended[]): SetupFigures {
  const calls = ended.filter(({ invited }) => invited);
  const answered = calls.filter((call) => call.answered).length;
  const redirected = calls.filter(({ sip_status: status = 0 }) => status >= 300 && status < 400).length;
  const countable = calls.length - redirected;
  const delays = calls
    .map(({ srd_ms }) => srd_ms)
    .filter((ms) => ms !== undefined)
    .sort((a, b) => a - b);
  return {
    attempts: calls.length,
    answered,
    ser: countable === 0 ? undefined : answered / countable,
    srd_median_ms: quantile(delays, 0.5),
    srd_p95_ms: quantile(delays, 0.95),
  };
}

/** By nearest rank: a value that there is. */
function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

function directionOf(value: string | null | undefined): Direction {
  return value === 'outbound' ? 'outbound' : 'inbound';
}

function number(value: string | null | undefined): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}
