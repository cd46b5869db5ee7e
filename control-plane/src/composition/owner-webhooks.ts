import type { Redis } from 'ioredis';
import type { DueWork, DueWorkOptions } from '../calls/due/work.js';
import type { CallStore } from '../calls/store.js';
import type { ActiveConfig } from '../config/active.js';
import { Deliveries, type DeliveryObserver, HANDS } from '../owner-webhooks/deliveries.js';
import { DeliveryLog } from '../owner-webhooks/delivery-log.js';
import { EndpointStates } from '../owner-webhooks/endpoint-states.js';
import { Endpoints } from '../owner-webhooks/endpoints.js';
import { FanOut, type FanOutObserver } from '../owner-webhooks/fan-out.js';
import { Sender } from '../owner-webhooks/sender.js';

export interface OwnerWebhooksParts {
  config: Pick<ActiveConfig, 'current'>;
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  /** A connection of the consumer's own. */
  stream: Redis;
  /** This replica's name in the consumer group. */
  consumer: string;
  store: CallStore;
  due: Pick<DueWork, 'apply'>;
  observer: DeliveryObserver & FanOutObserver;
  version: string;
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** For tests: how long an attempt may take, and how long failures last that disable an endpoint, in ms. */
  timeoutMs?: number;
  disableLeastMs?: number;
}

/** Puts together what tells systems of the owner's what happens to calls. */
export function createOwnerWebhooks(parts: OwnerWebhooksParts): {
  endpoints: Endpoints;
  fanOut: FanOut;
  sender: Sender;
  handlers: Pick<DueWorkOptions['handlers'], 'webhook_delivery'>;
} {
  const { config, redis, due, timeoutMs, disableLeastMs } = parts;
  const states = new EndpointStates(redis);
  const sender = new Sender({
    version: parts.version,
    connections: HANDS,
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  const deliveries = new Deliveries({
    ...parts,
    states,
    sender,
    ...(disableLeastMs !== undefined && { disableLeastMs }),
  });
  return {
    endpoints: new Endpoints({ config, redis, states, log: new DeliveryLog(redis), due }),
    fanOut: new FanOut({ ...parts, states }),
    sender,
    handlers: { webhook_delivery: (piece, last, tries) => deliveries.deliver(piece, last, tries) },
  };
}
