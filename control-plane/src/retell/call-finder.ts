import { setTimeout as delay } from 'node:timers/promises';
import { type Call, stateOf } from '../calls/call.js';
import type { CallOutline, CallStore } from '../calls/store.js';
import { callRefOf, type RetellCall } from './call-object.js';

/** A call of ours that Retell tells of, and what it was found by. */
export interface FoundCall<T extends CallOutline = Call> {
  call: T;
  how: 'retell_call_id' | 'call_ref';
}

/** Retell's word of a call, and whether it is or was connected there. */
export interface ToldCall {
  told: RetellCall;
  connected: boolean;
}

/** Pauses before each look for the call, in ms: Retell may tell of it before the event of its INVITE is written. */
const PAUSES_MS = [0, 20, 100, 500, 2000];
/** Searches that wait for their call at once; one beyond looks once. */
const MAX_WAITING = 1000;

/** Finds the call that Retell's call object is about. */
export class CallFinder {
  readonly #store: CallStore;
  #waiting = 0;

  constructor(store: CallStore) {
    this.#store = store;
  }

  /**
   * @param connected whether the call is or was connected at Retell
   * @param waits whether one that bears our id and is not known yet is waited for
   * @returns undefined where none is known; `foreign` where ours that it names is another call
   * @throws where Redis does not answer
   */
  async find(
    told: RetellCall,
    connected: boolean,
    waits = false,
  ): Promise<FoundCall | 'foreign' | undefined> {
    return (await this.#byRetellsId(told.call_id)) ?? (await this.#byOurs(told, connected, waits));
  }

  /**
   * Finds the calls of many in two round trips, and waits for none.
   *
   * @returns in their order what `find` does, with no more of each call than decides that
   * @throws where Redis does not answer
   */
  async findAll(all: readonly ToldCall[]): Promise<(FoundCall<CallOutline> | 'foreign' | undefined)[]> {
    const ids = await this.#store.idsOfRetellCallIds(all.map(({ told }) => told.call_id));
    const refs = all.map(({ told }) => callRefOf(told));
    const wanted = new Set([...ids, ...refs].filter((id) => id !== undefined));
    const outlines = await this.#store.outlines([...wanted]);
    const known = new Map(outlines.flatMap((call) => (call === undefined ? [] : [[call.id, call]])));
    return all.map(({ told, connected }, i) => {
      const byRetellsId = known.get(ids[i] ?? '');
      if (byRetellsId !== undefined) return { call: byRetellsId, how: 'retell_call_id' };
      const byOurs = known.get(refs[i] ?? '');
      if (byOurs === undefined) return undefined;
      return fits(byOurs, told, connected) ? { call: byOurs, how: 'call_ref' } : 'foreign';
    });
  }

  async #byRetellsId(retellCallId: string): Promise<FoundCall | undefined> {
    const id = await this.#store.idOfRetellCallId(retellCallId);
    const call = id === undefined ? undefined : await this.#store.get(id);
    return call && { call, how: 'retell_call_id' };
  }

  async #byOurs(
    told: RetellCall,
    connected: boolean,
    waits: boolean,
  ): Promise<FoundCall | 'foreign' | undefined> {
    const ref = callRefOf(told);
    const call = ref === undefined ? undefined : await this.#lookFor(ref, waits);
    if (call === undefined) return undefined;
    return fits(call, told, connected) ? { call, how: 'call_ref' } : 'foreign';
  }

  async #lookFor(id: string, waits: boolean): Promise<Call | undefined> {
    const pauses = waits && this.#waiting < MAX_WAITING ? PAUSES_MS : [0];
    this.#waiting += 1;
    try {
      for (const pauseMs of pauses) {
        await delay(pauseMs);
        const call = await this.#store.get(id);
        if (call !== undefined) return call;
      }
      return undefined;
    } finally {
      this.#waiting -= 1;
    }
  }
}

/**
 * Whether our call can be the one that Retell tells of. Anybody can dial Retell with a header like ours, and a call
 * that one gateway of Retell's did not take was offered to another: the numbers have to be right, it must not be
 * known by another id, and one that is up here was connected there.
 */
function fits(
  call: CallOutline,
  { call_id, from_number, to_number }: RetellCall,
  connected: boolean,
): boolean {
  if (call.retell_call_id !== undefined && call.retell_call_id !== call_id) return false;
  if (!connected && stateOf(call) !== 'ended') return false;
  const ours = call.direction === 'inbound' ? to_number : from_number;
  return call.number !== undefined && call.number === ours;
}
