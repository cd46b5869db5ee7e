import type { Redis } from 'ioredis';
import type { DueWork } from '../calls/due/work.js';
import { PUBLIC_EVENTS, publicEventOf } from '../calls/public-events.js';
import type { ActiveConfig } from '../config/active.js';
import type { DeliveryLog, DeliveryOutcome, LoggedDelivery } from './delivery-log.js';
import { type Endpoint, isWantedBy, pieceOf } from './endpoint.js';
import type { EndpointState, EndpointStates } from './endpoint-states.js';

export interface EndpointsOptions {
  config: Pick<ActiveConfig, 'current'>;
  redis: Redis;
  states: EndpointStates;
  log: DeliveryLog;
  due: Pick<DueWork, 'apply'>;
}

/** An endpoint and what is known of it; without a state where no replica has taken note of it yet. */
export interface SeenEndpoint {
  endpoint: Endpoint;
  state: EndpointState | undefined;
}

/** Why an event is not sent again: it is not kept, or none that the endpoint wants. */
export type ReplayResult = 'replayed' | 'event_not_found' | 'endpoint_disabled';

/** The endpoints for whoever looks after them. Every method rejects when Redis does not answer in time. */
export class Endpoints {
  readonly #o: EndpointsOptions;

  constructor(options: EndpointsOptions) {
    this.#o = options;
  }

  /** @returns undefined where the configuration has no endpoint of this name */
  find(name: string): Endpoint | undefined {
    return this.#o.config.current.webhooks.find((endpoint) => endpoint.name === name);
  }

  async list(): Promise<SeenEndpoint[]> {
    const endpoints = this.#o.config.current.webhooks;
    const states = await this.#o.states.read(endpoints.map(({ name }) => name));
    return endpoints.map((endpoint, i) => ({ endpoint, state: states[i] }));
  }

  /** Has events sent there again. @returns whether it was disabled */
  enable({ name }: Endpoint): Promise<boolean> {
    return this.#o.states.enable(name);
  }

  /** A page of its log, newest first. */
  deliveries(
    { name }: Endpoint,
    outcome: DeliveryOutcome | undefined,
    limit: number,
    before?: string,
  ): Promise<LoggedDelivery[]> {
    return this.#o.log.page(name, outcome, limit, before);
  }

  /** Sends an event once more, at once and with all tries before it, also where it waits for its next one. */
  async replay(endpoint: Endpoint, eventId: string): Promise<ReplayResult> {
    const { redis, states, due } = this.#o;
    const [entry] = await redis.xrange(PUBLIC_EVENTS, eventId, eventId);
    const event = entry && publicEventOf(...entry);
    if (event === undefined || !isWantedBy(endpoint, event)) return 'event_not_found';
    if (await states.isDisabled(endpoint.name)) return 'endpoint_disabled';
    const piece = { kind: 'webhook_delivery', id: pieceOf(endpoint.name, event) } as const;
    await due.apply([piece]);
    await due.apply([{ ...piece, atMs: event.at }]);
    return 'replayed';
  }
}
