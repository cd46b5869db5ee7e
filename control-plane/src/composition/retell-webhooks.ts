import type { Redis } from 'ioredis';
import type { DueWork, DueWorkOptions } from '../calls/due/work.js';
import type { CallStore } from '../calls/store.js';
import type { ActiveConfig } from '../config/active.js';
import type { Metrics } from '../metrics/metrics.js';
import { CallFinder } from '../retell/call-finder.js';
import { CallWebhook } from '../retell/call-webhook.js';
import { InboundCorrelation } from '../retell/correlation.js';
import { WebhookStore } from '../retell/webhook-store.js';
import { WebhookWorker } from '../retell/webhook-worker.js';

export interface RetellWebhooksParts {
  config: ActiveConfig;
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  /** A connection of the consumer's own. */
  stream: Redis;
  /** This replica's name in the consumer group. */
  consumer: string;
  store: CallStore;
  due: Pick<DueWork, 'apply' | 'hasten'>;
  metrics: Metrics;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** Puts together what takes Retell's webhooks, and what finds their calls and writes them into the records. */
export function createRetellWebhooks(parts: RetellWebhooksParts): {
  correlation: InboundCorrelation;
  finder: CallFinder;
  webhooks: WebhookStore;
  worker: WebhookWorker;
  handlers: Pick<DueWorkOptions['handlers'], 'retell_webhook'>;
} {
  const { config, redis, stream, consumer, store, due, metrics, warn } = parts;
  const correlated = (how: string) => metrics.webhookCorrelated(how);
  const finder = new CallFinder(store);
  const webhooks = new WebhookStore(redis);
  const worker = new WebhookWorker({
    redis: stream,
    consumer,
    store: webhooks,
    callWebhook: new CallWebhook({ config, store, due, finder, correlated }),
    due,
    handled: (event, outcome, lagS) => metrics.callWebhookHandled(event, outcome, lagS),
    warn,
  });
  return {
    correlation: new InboundCorrelation({ store, correlated, warn }),
    finder,
    webhooks,
    worker,
    handlers: { retell_webhook: (id, last) => worker.again(id, last) },
  };
}
