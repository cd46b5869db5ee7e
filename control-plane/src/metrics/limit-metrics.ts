import { Counter, Gauge, type Registry } from 'prom-client';
import type { Drift } from '../routing/drift.js';
import type { LimitUse } from '../routing/limit-use.js';
import type { CarrierLabels } from './labels.js';

/** How full limits are, and whom they keep away. */
export class LimitMetrics {
  readonly #labels: CarrierLabels;
  readonly #reached: Counter<'limit' | 'carrier'>;
  readonly #used: Gauge<'limit' | 'carrier'>;
  readonly #max: Gauge<'limit' | 'carrier'>;
  readonly #drift: Gauge<'limit' | 'carrier'>;

  constructor(registry: Registry, labels: CarrierLabels) {
    this.#labels = labels;
    const shared = { labelNames: ['limit', 'carrier'] as const, registers: [registry] };
    this.#reached = new Counter({
      name: 'retell_proxy_limits_reached_total',
      help: 'Limits that kept a call from somewhere',
      ...shared,
    });
    this.#used = new Gauge({
      name: 'retell_proxy_limit_used',
      help: 'Calls that count for a limit of calls at once',
      ...shared,
    });
    this.#max = new Gauge({
      name: 'retell_proxy_limit_max',
      help: 'Calls at once that a limit allows',
      ...shared,
    });
    this.#drift = new Gauge({
      name: 'retell_proxy_limit_drift',
      help: 'Calls that count for a limit less the calls that are up by their records',
      ...shared,
    });
  }

  reached(limit: string, carrier: string | undefined): void {
    this.#reached.inc({ limit, carrier: this.#labels.of(carrier) });
  }

  used(limits: readonly LimitUse[]): void {
    this.#used.reset();
    this.#max.reset();
    for (const { limit, carrier = '', max, used } of limits) {
      this.#max.set({ limit, carrier }, max);
      if (used !== undefined) this.#used.set({ limit, carrier }, used);
    }
  }

  drift(drifts: readonly Drift[] | undefined): void {
    this.#drift.reset();
    for (const { limit, carrier = '', drift } of drifts ?? []) this.#drift.set({ limit, carrier }, drift);
  }
}
