import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { BEFORE_ALL, isEarlier, streamInfo } from '../stream-entries.js';
import { type DetailRecord, detailRecordOf } from './detail-record.js';
import { iso } from './iso.js';
import {
  eventBounds,
  eventsAfter,
  PUBLIC_EVENTS,
  type PublicEvent,
  type PublicEventType,
} from './public-events.js';
import type { CallStore } from './store.js';

export interface EventFilter {
  types?: readonly PublicEventType[] | undefined;
  carrier?: string | undefined;
  call_id?: string | undefined;
}

/** An event as others see it, with its call's record as it is when it is read: without one where that is gone. */
export interface ToldEvent {
  event: PublicEvent;
  call: DetailRecord | undefined;
}

/** `gap`: events may be missing here that are not kept any more. `quiet`: nothing has come for a while. */
export type FeedItem = ToldEvent | 'gap' | 'quiet';

/** Pause between two looks for new events, in ms. */
const POLL_MS = 100;
/** After so long without an event it says so, in ms. */
const QUIET_MS = 15_000;
/** Events read at once. */
const STEP = 200;
/** Pause after Redis failed, in ms. */
const RETRY_MS = 1000;

/** Follows what happens to calls. Each follower reads at its own pace: what it does not take, nobody holds for it. */
export class EventFeed {
  readonly #redis: Redis;
  readonly #store: CallStore;

  constructor(redis: Redis, store: CallStore) {
    this.#redis = redis;
    this.#store = store;
  }

  /**
   * The events after a place, and then those that come, until the signal.
   *
   * @param after id of the last event that is known; without one, those from now on
   */
  async *follow(
    filter: EventFilter,
    after: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<FeedItem> {
    let place = after;
    let quietSince = Date.now();
    if (after !== undefined && (await this.#mayHaveMissed(after))) yield 'gap';
    while (!signal.aborted) {
      let step: PublicEvent[] = [];
      try {
        place ??= (await eventBounds(this.#redis)).newest ?? BEFORE_ALL;
        step = await eventsAfter(this.#redis, place, STEP);
        const wanted = await this.#withCalls(step.filter((event) => isWanted(event, filter)));
        for (const told of wanted) yield told;
        if (wanted.length > 0) quietSince = Date.now();
        place = step.at(-1)?.id ?? place;
      } catch {
        // The connection tells of its trouble itself; the place is kept.
        await pause(RETRY_MS, signal);
      }
      if (Date.now() - quietSince >= QUIET_MS) {
        quietSince = Date.now();
        yield 'quiet';
      }
      if (step.length < STEP) await pause(POLL_MS, signal);
    }
  }

  /** Adds to events the records of their calls, in one round trip. */
  async #withCalls(events: readonly PublicEvent[]): Promise<ToldEvent[]> {
    if (events.length === 0) return [];
    const ids = [...new Set(events.map((event) => event.call_id))];
    const calls = await this.#store.getAll(ids);
    const records = new Map(ids.map((id, i) => [id, calls[i] && detailRecordOf(calls[i])]));
    return events.map((event) => ({ event, call: records.get(event.call_id) }));
  }

  /** Whether events after this one have been dropped by now. */
  async #mayHaveMissed(after: string): Promise<boolean> {
    const { oldest } = await eventBounds(this.#redis);
    if (oldest === undefined || !isEarlier(after, oldest)) return false;
    const info = await streamInfo(this.#redis, PUBLIC_EVENTS);
    const figure = (name: string) => Number(info?.get(name));
    return figure('entries-added') > figure('length');
  }
}

/** What others get of an event: `type`, `timestamp` and `data`, as the Standard Webhooks specification has them. */
export function eventBody({
  event,
  call,
}: {
  event: Pick<PublicEvent, 'type' | 'at' | 'call_id' | 'transfer_id'>;
  call: DetailRecord | undefined;
}) {
  return {
    type: event.type,
    timestamp: iso(event.at),
    data: { call_id: event.call_id, transfer_id: event.transfer_id ?? null, call: call ?? null },
  };
}

function isWanted(event: PublicEvent, { types, carrier, call_id }: EventFilter): boolean {
  return (
    (types === undefined || types.includes(event.type)) &&
    (carrier === undefined || event.carrier === carrier) &&
    (call_id === undefined || event.call_id === call_id)
  );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
