import { setTimeout as delay } from 'node:timers/promises';
import { type Call, type MatchedBy, stateOf } from '../calls/call.js';
import type { CallOutline, CallStore } from '../calls/store.js';
import { callRefOf, type RetellCall } from './call-object.js';

/** A call of ours that Retell tells of. */
export interface FoundCall<T extends CallOutline = Call> {
  call: T;
  /** What it was found by; undefined where its record has Retell's id already. */
  by: Extract<MatchedBy, 'metadata' | 'header' | 'dynamic_variable' | 'numbers'> | undefined;
}

/** Retell's word of a call, whether it is or was connected there, and when that was told, in ms since 1970. */
export interface ToldCall {
  told: RetellCall;
  connected: boolean;
  atMs: number;
}

/** Pauses before each look for the call, in ms: Retell may tell of it before the event of its INVITE is written. */
const PAUSES_MS = [0, 20, 100, 500, 2000];
/** Between a call's INVITE and its connection at Retell lies at most so much: it may wait there for an agent. In ms. */
const SETUP_MS = 120_000;
/** How far our clock and Retell's may differ, in ms. */
const CLOCKS_MS = 5000;
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
   * @param atMs when Retell told it, in ms since 1970
   * @param waits whether one that bears our id and is not known yet is waited for
   * @returns undefined where none is known; `foreign` where ours that it names is another call
   * @throws where Redis does not answer
   */
  async find(
    told: RetellCall,
    connected: boolean,
    atMs: number,
    waits = false,
  ): Promise<FoundCall | 'foreign' | undefined> {
    return (
      (await this.#byRetellsId(told.call_id)) ??
      (callRefOf(told) === undefined
        ? this.#byNumbers(told, connected, atMs)
        : this.#byOurs(told, connected, waits))
    );
  }

  /**
   * Finds the calls of many in two round trips, but for those that only their numbers can tell, and waits for none.
   *
   * @returns in their order what `find` does, with no more of each call than decides that
   * @throws where Redis does not answer
   */
  async findAll(all: readonly ToldCall[]): Promise<(FoundCall<CallOutline> | 'foreign' | undefined)[]> {
    const ids = await this.#store.idsOfRetellCallIds(all.map(({ told }) => told.call_id));
    const refs = all.map(({ told }) => callRefOf(told));
    const wanted = new Set([...ids, ...refs.map((ref) => ref?.id)].filter((id) => id !== undefined));
    const outlines = await this.#store.outlines([...wanted]);
    const known = new Map(outlines.flatMap((call) => (call === undefined ? [] : [[call.id, call]])));
    return Promise.all(
      all.map(({ told, connected, atMs }, i) => {
        const byRetellsId = known.get(ids[i] ?? '');
        if (byRetellsId !== undefined) return { call: byRetellsId, by: undefined };
        const ref = refs[i];
        if (ref === undefined) return this.#byNumbers(told, connected, atMs);
        const call = known.get(ref.id);
        if (call === undefined) return undefined;
        return fits(call, told, connected) ? { call, by: ref.place } : 'foreign';
      }),
    );
  }

  async #byRetellsId(retellCallId: string): Promise<FoundCall | undefined> {
    const id = await this.#store.idOfRetellCallId(retellCallId);
    const call = id === undefined ? undefined : await this.#store.get(id);
    return call && { call, by: undefined };
  }

  async #byOurs(
    told: RetellCall,
    connected: boolean,
    waits: boolean,
  ): Promise<FoundCall | 'foreign' | undefined> {
    const ref = callRefOf(told);
    const call = ref === undefined ? undefined : await this.#lookFor(ref.id, waits);
    if (ref === undefined || call === undefined) return undefined;
    return fits(call, told, connected) ? { call, by: ref.place } : 'foreign';
  }

  /** The one call that there was then between these numbers and that is not known to be another one of Retell's. */
  async #byNumbers(told: RetellCall, connected: boolean, atMs: number): Promise<FoundCall | undefined> {
    const { from_number = '', to_number = '' } = told;
    const startMs = told.start_timestamp ?? atMs;
    const calls = await Promise.all(
      (['inbound', 'outbound'] as const).map(async (direction) => {
        if (told.direction !== undefined && told.direction !== direction) return [];
        const [number, other] = direction === 'inbound' ? [to_number, from_number] : [from_number, to_number];
        const some = await this.#store.between(number, other, startMs - SETUP_MS, startMs + CLOCKS_MS);
        return some.filter((call) => call.direction === direction && mayBe(call, connected, startMs));
      }),
    );
    const [call, ...others] = calls.flat();
    return call === undefined || others.length > 0 ? undefined : { call, by: 'numbers' };
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
  // Of a call that we asked Retell for there is one there, whether it was connected or not.
  if (!connected && stateOf(call) !== 'ended' && call.requested_by === undefined) return false;
  const ours = call.direction === 'inbound' ? to_number : from_number;
  return call.number !== undefined && call.number === ours;
}

/** Whether Retell may have had this call then, and is not known to have told of it. */
function mayBe(call: Call, connected: boolean, startMs: number): boolean {
  return (
    call.retell_call_id === undefined &&
    (connected || call.answered_at === undefined) &&
    (call.ended_at === undefined || !connected || call.ended_at >= startMs - CLOCKS_MS) &&
    // The fallback of its number has it, not Retell.
    !call.timeline.some(({ type }) => type === 'fallback')
  );
}
