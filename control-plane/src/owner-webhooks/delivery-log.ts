import type { Redis } from 'ioredis';
import type { PublicEventType } from '../calls/public-events.js';
import { fieldsOf, writtenAt } from '../stream-entries.js';

/** `failed` is tried again, `given_up` is not; `skipped` was not tried because the endpoint is disabled. */
export const DELIVERY_OUTCOMES = ['delivered', 'failed', 'given_up', 'skipped'] as const;
export type DeliveryOutcome = (typeof DELIVERY_OUTCOMES)[number];

/** One attempt to deliver an event. */
export interface Attempt {
  /** Which one it is, from 1; 0 where there was none. */
  number: number;
  /** HTTP status of the answer. */
  status?: number | undefined;
  /** Why there was no answer, or no attempt: a code such as `timeout` or `ECONNREFUSED`. */
  error?: string | undefined;
  /** How long it took. */
  ms?: number | undefined;
}

/** One line of an endpoint's log. */
export interface LoggedDelivery extends Attempt {
  /** Id of the entry, to page by. */
  id: string;
  at: number;
  event_id: string;
  type: PublicEventType;
  call_id: string;
  outcome: DeliveryOutcome;
}

/** The newest of each endpoint are kept. */
export const DELIVERIES_KEPT = 1000;
export const deliveriesKey = (endpoint: string): string => `webhook-deliveries:${endpoint}`;

/** The fields of an entry. */
export function entryOf(
  of: Pick<LoggedDelivery, 'event_id' | 'type' | 'call_id'>,
  outcome: DeliveryOutcome,
  attempt: Attempt,
): (string | number)[] {
  const entry: Record<string, string | number | undefined> = { ...of, outcome, ...attempt };
  return Object.entries(entry).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
}

/** What became of the deliveries to each endpoint: neither bodies nor numbers. */
export class DeliveryLog {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * A page of an endpoint's log, newest first.
   *
   * @param before id of the last one of the page before
   */
  async page(
    endpoint: string,
    outcome: DeliveryOutcome | undefined,
    limit: number,
    before?: string,
  ): Promise<LoggedDelivery[]> {
    const end = before === undefined ? '+' : `(${before}`;
    // With an outcome any entry may be one of the page; there are not many in all.
    const count = outcome === undefined ? limit : DELIVERIES_KEPT;
    const entries = await this.#redis.xrevrange(deliveriesKey(endpoint), end, '-', 'COUNT', count);
    const logged = entries.map(([id, fields]) => loggedOf(id, fields));
    return logged.filter((one) => outcome === undefined || one.outcome === outcome).slice(0, limit);
  }
}

function loggedOf(id: string, list: readonly string[]): LoggedDelivery {
  const fields = fieldsOf(list);
  const figure = (name: string) => (fields.has(name) ? Number(fields.get(name)) : undefined);
  return {
    id,
    at: writtenAt(id),
    event_id: fields.get('event_id') ?? '',
    type: fields.get('type') as PublicEventType,
    call_id: fields.get('call_id') ?? '',
    outcome: fields.get('outcome') as DeliveryOutcome,
    number: figure('number') ?? 0,
    status: figure('status'),
    error: fields.get('error'),
    ms: figure('ms'),
  };
}
