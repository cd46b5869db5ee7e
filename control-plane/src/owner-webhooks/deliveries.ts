import type { Redis } from 'ioredis';
import { detailRecordOf } from '../calls/detail-record.js';
import { dueKey } from '../calls/due/kinds.js';
import { Unfinished } from '../calls/due/work.js';
import { eventBody } from '../calls/event-feed.js';
import type { CallStore } from '../calls/store.js';
import type { ActiveConfig } from '../config/active.js';
import type { Attempt, DeliveryOutcome } from './delivery-log.js';
import { type Delivery, deliveryOf, type Endpoint } from './endpoint.js';
import type { EndpointStates, Verdict } from './endpoint-states.js';
import { Hands } from './hands.js';
import type { Sender } from './sender.js';

export interface DeliveryObserver {
  /** Told of every attempt: how long it took. */
  deliveryTried(endpoint: string, seconds: number): void;
  /** Told of every line of the log. */
  deliverySettled(endpoint: string, outcome: DeliveryOutcome): void;
}

export interface DeliveriesOptions {
  config: Pick<ActiveConfig, 'current'>;
  redis: Redis;
  store: Pick<CallStore, 'get'>;
  states: EndpointStates;
  sender: Pick<Sender, 'send'>;
  observer: DeliveryObserver;
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Failed attempts disable an endpoint only where they go on for so long, in ms. Default 15 minutes. */
  disableLeastMs?: number;
}

/**
 * Attempts at one endpoint at once, and events that wait for the next. With both of all endpoints there are hands left
 * (`webhook_delivery` in due/kinds.ts), so that one that is slow holds up no other.
 */
export const HANDS = 10;
const MOST_WAITING = 40;
const DISABLE_LEAST_MS = 15 * 60_000;
/** An event that waits for so long for its first attempt is given up, in ms: the endpoint is too slow for its events. */
const MOST_WAIT_MS = 30 * 60_000;
/** Another replica may know an endpoint that this one does not know yet, or any more: for so long, in ms. */
const UNKNOWN_MS = 10 * 60_000;
const UNKNOWN_PAUSE_MS = 30_000;
/** What is turned away comes back at about this rate, however much it is: within a minute at most. */
const RETURNS_PER_S = 200;
const MOST_PAUSE_S = 60;

const GONE = 410;

/** Delivers events to endpoints, one attempt at a time. */
export class Deliveries {
  readonly #o: Required<DeliveriesOptions>;
  readonly #hands = new Hands(HANDS, MOST_WAITING);

  constructor(options: DeliveriesOptions) {
    this.#o = { disableLeastMs: DISABLE_LEAST_MS, ...options };
  }

  /**
   * Makes one attempt at a piece of due work.
   *
   * @param last whether nobody tries again after this
   * @param tries which attempt it is, from 1
   * @throws Unfinished where it has to be tried again
   */
  async deliver(piece: string, last: boolean, tries: number): Promise<void> {
    const delivery = deliveryOf(piece);
    const { endpoint: name, event } = delivery;
    const age = Date.now() - event.at;
    const endpoint = this.#find(name);
    if (endpoint === undefined) {
      if (age > UNKNOWN_MS) return;
      throw new Unfinished('no such endpoint here', UNKNOWN_PAUSE_MS);
    }
    const hand = this.#hands.take(name);
    if (hand === undefined) {
      if (tries > 1 || age <= MOST_WAIT_MS) throw new Unfinished('no hand is free', await this.#pauseMs());
      return this.#settle(endpoint, delivery, 'given_up', { number: 0, error: 'waited_too_long' });
    }
    const release = await hand;
    try {
      // It may have changed, or gone, while the event waited.
      const current = this.#find(name);
      if (current === undefined) throw new Unfinished('no such endpoint any more', UNKNOWN_PAUSE_MS);
      await this.#attempt(current, delivery, last, tries);
    } finally {
      release();
    }
  }

  #find(name: string): Endpoint | undefined {
    return this.#o.config.current.webhooks.find((endpoint) => endpoint.name === name);
  }

  async #attempt(endpoint: Endpoint, delivery: Delivery, last: boolean, tries: number): Promise<void> {
    const { states, sender, store, observer } = this.#o;
    const { event } = delivery;
    if (await states.isDisabled(endpoint.name)) {
      return this.#settle(endpoint, delivery, 'skipped', { number: 0, error: 'endpoint_disabled' });
    }
    const call = await store.get(event.call_id);
    const body = JSON.stringify(eventBody({ event, call: call && detailRecordOf(call) }));
    const answer = await sender.send(endpoint, `evt_${event.id}`, body);
    observer.deliveryTried(endpoint.name, answer.ms / 1000);
    const attempt: Attempt = { number: tries, ...answer };
    const { status = 0 } = answer;
    if (status >= 200 && status < 300) {
      return this.#settle(endpoint, delivery, 'delivered', attempt, 'well');
    }
    if (status === GONE) return this.#settle(endpoint, delivery, 'given_up', attempt, 'gone');
    await this.#settle(endpoint, delivery, last ? 'given_up' : 'failed', attempt, 'failing');
    throw new Unfinished(`endpoint ${endpoint.name}: ${answer.error ?? `HTTP ${status}`}`);
  }

  async #settle(
    endpoint: Endpoint,
    delivery: Delivery,
    outcome: DeliveryOutcome,
    attempt: Attempt,
    verdict: Verdict = 'untold',
  ): Promise<void> {
    const { states, observer, warn, disableLeastMs } = this.#o;
    const rule = { after: endpoint.disable_after, leastMs: disableLeastMs };
    const disabled = await states.settle(delivery, outcome, attempt, verdict, rule);
    observer.deliverySettled(endpoint.name, outcome);
    if (!disabled) return;
    const { status, error } = attempt;
    warn(
      { endpoint: endpoint.name, status, error },
      'webhook endpoint disabled: nothing is sent there any more',
    );
  }

  /** How long a piece stays away that may not even wait, in ms. */
  async #pauseMs(): Promise<number> {
    const soon = Date.now() + MOST_PAUSE_S * 1000;
    const waiting = await this.#o.redis.zcount(dueKey('webhook_delivery'), '-inf', soon);
    return Math.round(1000 * (1 + Math.random() * Math.min(waiting / RETURNS_PER_S, MOST_PAUSE_S)));
  }
}
