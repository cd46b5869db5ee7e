import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { DeliveryObserver } from '../owner-webhooks/deliveries.js';
import type { DeliveryOutcome } from '../owner-webhooks/delivery-log.js';
import type { FanOutObserver } from '../owner-webhooks/fan-out.js';

/** What becomes of webhooks to the owner's own systems. The label `endpoint` is a name in the configuration. */
export class DeliveryMetrics implements DeliveryObserver, FanOutObserver {
  readonly #deliveries: Counter<'endpoint' | 'outcome'>;
  readonly #time: Histogram<'endpoint'>;
  readonly #disabled: Gauge<'endpoint'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#deliveries = new Counter({
      name: 'retell_proxy_webhook_deliveries_total',
      help: 'Attempts to deliver events to endpoints, and events that were not tried, by outcome',
      labelNames: ['endpoint', 'outcome'],
      registers,
    });
    this.#time = new Histogram({
      name: 'retell_proxy_webhook_delivery_seconds',
      help: 'Time of attempts to deliver events',
      labelNames: ['endpoint'],
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.#disabled = new Gauge({
      name: 'retell_proxy_webhook_endpoint_disabled',
      help: 'Whether nothing is sent to the endpoint',
      labelNames: ['endpoint'],
      registers,
    });
  }

  deliveryTried(endpoint: string, seconds: number): void {
    this.#time.observe({ endpoint }, seconds);
  }

  deliverySettled(endpoint: string, outcome: DeliveryOutcome): void {
    this.#deliveries.inc({ endpoint, outcome });
  }

  endpointsSeen(disabled: ReadonlyMap<string, boolean>): void {
    this.#disabled.reset();
    for (const [endpoint, is] of disabled) this.#disabled.set({ endpoint }, is ? 1 : 0);
  }
}
