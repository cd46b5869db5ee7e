import type { Redis } from 'ioredis';
import { type CallState, type Direction, isUnplaced, stateOf } from './call.js';
import { fieldsOf, openCalls } from './open-records.js';

/** How many calls are up of one sort. */
export interface ActiveCount {
  direction: Direction;
  /** undefined as long as none is chosen */
  carrier: string | undefined;
  state: CallState;
  calls: number;
}

const FIELDS = ['direction', 'carrier', 'ringing_at', 'answered_at', 'requested_by', 'sip_call_id'] as const;

type Known = Omit<ActiveCount, 'calls'>;

/**
 * Counts the calls that are up by their records. Each look reads the index of open calls anew, so that nothing adds up
 * wrong over time. Nothing that is counted of a call changes once it is answered, so the record of such a call is read
 * once.
 */
export class ActiveCalls {
  readonly #redis: Redis;
  /** Each sort once: what is held of a call is its id and a reference. */
  readonly #sorts = new Map<string, Known>();
  #answered = new Map<string, Known>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Those that Retell was asked for and that no node has yet are left out.
   *
   * @throws where Redis does not answer
   */
  async count(): Promise<ActiveCount[]> {
    const open = await openCalls(this.#redis);
    const answered = new Map<string, Known>();
    const unread: string[] = [];
    for (const id of open.keys()) {
      const known = this.#answered.get(id);
      if (known === undefined) unread.push(id);
      else answered.set(id, known);
    }
    const others: Known[] = [];
    for (const [i, values] of (await fieldsOf(this.#redis, unread, FIELDS)).entries()) {
      const call = this.#sortOf(values);
      if (call?.state === 'answered') answered.set(unread[i] as string, call);
      else if (call !== undefined) others.push(call);
    }
    this.#answered = answered;
    return countsOf([...answered.values(), ...others]);
  }

  /** undefined for a call that is not there (any more), or that no node has. */
  #sortOf(values: readonly (string | null)[]): Known | undefined {
    const [direction, carrier, ringing, answered, requestedBy, callId] = values.map((v) => v ?? undefined);
    if (direction !== 'inbound' && direction !== 'outbound') return undefined;
    if (isUnplaced({ requested_by: requestedBy, sip_call_id: callId })) return undefined;
    const state = stateOf({
      ringing_at: ringing === undefined ? undefined : Number(ringing),
      answered_at: answered === undefined ? undefined : Number(answered),
      ended_at: undefined,
    });
    const name = `${direction} ${state} ${carrier ?? ''}`;
    const sort = this.#sorts.get(name) ?? { direction, carrier, state };
    this.#sorts.set(name, sort);
    return sort;
  }
}

function countsOf(calls: readonly Known[]): ActiveCount[] {
  const counts = new Map<Known, ActiveCount>();
  for (const sort of calls) {
    const count = counts.get(sort) ?? { ...sort, calls: 0 };
    count.calls += 1;
    counts.set(sort, count);
  }
  return [...counts.values()];
}
