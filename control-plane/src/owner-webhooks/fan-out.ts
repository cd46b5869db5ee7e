import type { Redis } from 'ioredis';
import type { DueWork } from '../calls/due/work.js';
import { eventBounds, PUBLIC_EVENTS, type PublicEvent, publicEventOf } from '../calls/public-events.js';
import type { ActiveConfig } from '../config/active.js';
import { Repeating } from '../repeating.js';
import { createGroups, StreamConsumer, type StreamEntry } from '../stream-consumer.js';
import { BEFORE_ALL, successorOf } from '../stream-entries.js';
import { type Endpoint, isWantedBy, pieceOf } from './endpoint.js';
import { type EndpointStates, isSince } from './endpoint-states.js';

export interface FanOutObserver {
  /** Told every few seconds which endpoints there are, and whether each is disabled. */
  endpointsSeen(disabled: ReadonlyMap<string, boolean>): void;
}

export interface FanOutOptions {
  config: Pick<ActiveConfig, 'current'>;
  /** A connection for commands that fail where Redis is away. */
  redis: Redis;
  /** A connection of the consumer's own: blocking reads hold it. */
  stream: Redis;
  /** This replica's name in the consumer group. */
  consumer: string;
  states: EndpointStates;
  due: Pick<DueWork, 'apply'>;
  observer: FanOutObserver;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** The consumer group that the replicas share. */
export const FAN_OUT_GROUP = 'webhooks';
/** How often the configuration is looked at, and, where it has endpoints, their states, in ms. */
const LOOK_MS = 500;
const STATES_MS = 5000;

/**
 * Makes of every event one piece of due work for each endpoint that wants it, and acknowledges the event then: whoever
 * is killed in between leaves it to another replica. Nothing is read where no endpoint is configured.
 */
export class FanOut {
  readonly #o: FanOutOptions;
  readonly #looking = new Repeating(() => this.#look());
  #consumer: StreamConsumer | undefined;
  /** By endpoint, the first event that it gets. */
  #since: Map<string, string> | undefined;
  #nextStates = 0;

  constructor(options: FanOutOptions) {
    this.#o = options;
  }

  start(): void {
    this.#looking.start();
  }

  async stop(): Promise<void> {
    await this.#looking.stop();
    await this.#consumer?.stop();
  }

  async #look(): Promise<number> {
    try {
      await this.#follow();
    } catch (error) {
      this.#o.warn({ err: error }, 'webhook endpoints not looked at: trying again');
    }
    return LOOK_MS;
  }

  /** Reads events as long as there are endpoints. */
  async #follow(): Promise<void> {
    const { redis, stream, consumer, warn } = this.#o;
    const names = this.#names();
    // Before an endpoint is noted: all that it is noted to get is read then.
    if (names.length > 0 && this.#consumer === undefined) {
      await createGroups(redis, [PUBLIC_EVENTS], FAN_OUT_GROUP, '$');
    }
    const changed = names.length !== this.#since?.size || names.some((name) => !this.#since?.has(name));
    if (changed || (names.length > 0 && Date.now() >= this.#nextStates)) await this.#keepStates();
    if (names.length === 0) {
      await this.#consumer?.stop();
      this.#consumer = undefined;
    } else if (this.#consumer === undefined) {
      this.#consumer = new StreamConsumer({
        redis: stream,
        streams: [PUBLIC_EVENTS],
        group: FAN_OUT_GROUP,
        consumer,
        what: 'events for webhooks',
        handle: (_stream, entries) => this.#handle(entries),
        warn,
      });
      this.#consumer.start();
    }
  }

  /**
   * Takes note in Redis of endpoints that have come and gone. One that comes gets what is written from now on, however
   * far behind the group is: it may have stood still while there was no endpoint.
   */
  async #keepStates(first?: string): Promise<void> {
    const { redis, states, observer } = this.#o;
    const names = this.#names();
    const next = first ?? successorOf((await eventBounds(redis)).newest ?? BEFORE_ALL);
    // What was known stays so where somebody else has taken the state away.
    await states.keep(names, (name) => this.#since?.get(name) ?? next);
    const read = await states.read(names);
    this.#since = new Map(names.map((name, i) => [name, read[i]?.since ?? next]));
    observer.endpointsSeen(new Map(names.map((name, i) => [name, read[i]?.disabled_at !== undefined])));
    this.#nextStates = Date.now() + STATES_MS;
  }

  async #handle(entries: readonly StreamEntry[]): Promise<void> {
    const endpoints = this.#o.config.current.webhooks;
    const [[oldest = BEFORE_ALL] = []] = entries;
    // The configuration is newer than what was taken note of.
    if (endpoints.some(({ name }) => !this.#since?.has(name))) await this.#keepStates(oldest);
    const events = entries.flatMap(([id, fields]) => (fields === null ? [] : [publicEventOf(id, fields)]));
    if (events.length < entries.length) {
      this.#o.warn({ events: entries.length - events.length }, 'events were dropped before their webhooks');
    }
    await this.#o.due.apply(
      events.flatMap((event) =>
        endpoints
          .filter((endpoint) => this.#isDue(endpoint, event))
          .map(({ name }) => ({
            kind: 'webhook_delivery' as const,
            id: pieceOf(name, event),
            // Redis' own time, as due work goes by: it is due at once whatever our clock says.
            atMs: event.at,
          })),
      ),
    );
  }

  #isDue(endpoint: Endpoint, event: PublicEvent): boolean {
    return isWantedBy(endpoint, event) && isSince(this.#since?.get(endpoint.name) ?? BEFORE_ALL, event.id);
  }

  #names(): string[] {
    return this.#o.config.current.webhooks.map(({ name }) => name);
  }
}
