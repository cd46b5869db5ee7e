import { Gauge, type Registry } from 'prom-client';
import type { GatewayOnNode } from '../routing/gateway-states.js';

/** The gateways, as the nodes see them. */
export class GatewayMetrics {
  readonly #up: Gauge<'node' | 'carrier' | 'gateway'>;
  readonly #latency: Gauge<'node' | 'carrier' | 'gateway'>;

  constructor(registry: Registry) {
    const shared = { labelNames: ['node', 'carrier', 'gateway'] as const, registers: [registry] };
    this.#up = new Gauge({
      name: 'retell_proxy_gateway_up',
      help: 'Whether the node sends calls to the gateway',
      ...shared,
    });
    this.#latency = new Gauge({
      name: 'retell_proxy_gateway_latency_seconds',
      help: 'Average time of the answers of the gateway to OPTIONS',
      ...shared,
    });
  }

  read(gateways: readonly GatewayOnNode[]): void {
    this.#up.reset();
    this.#latency.reset();
    for (const { node, owner, uri, up, latencyMs } of gateways) {
      const labels = { node, carrier: owner, gateway: uri };
      this.#up.set(labels, up ? 1 : 0);
      if (latencyMs !== undefined) this.#latency.set(labels, latencyMs / 1000);
    }
  }
}
