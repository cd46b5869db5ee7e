import { Counter, type Registry } from 'prom-client';
import type { OriginationErrorCode } from '../routing/origination-error.js';
import type { UnplacedOutcome } from '../routing/unplaced-calls.js';
import { startAtZero } from './zeros.js';

/** `failed`: something of ours did not work. */
export type CreationOutcome = 'created' | 'replayed' | 'failed' | OriginationErrorCode;

/** What calls that Retell was asked for tell Prometheus. */
export class OriginationMetrics {
  readonly #created: Counter<'outcome'>;
  readonly #unplaced: Counter<'outcome'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#created = new Counter({
      name: 'retell_proxy_calls_created_total',
      help: 'Requests for a call through Retell, by outcome',
      labelNames: ['outcome'],
      registers,
    });
    this.#unplaced = new Counter({
      name: 'retell_proxy_calls_unplaced_total',
      help: 'Calls that Retell was asked for and whose INVITE did not come, by how that was found',
      labelNames: ['outcome'],
      registers,
    });
    startAtZero(this.#created, {
      outcome: [
        ...['created', 'replayed', 'failed', 'refused', 'limited', 'unknown_outcome', 'node_unavailable'],
        ...['not_configured', 'destination_not_allowed', 'invalid_from', 'key_reused'],
      ],
    });
    startAtZero(this.#unplaced, { outcome: ['ended_at_retell', 'no_invite'] });
  }

  callCreated(outcome: CreationOutcome): void {
    this.#created.inc({ outcome });
  }

  unplacedClosed(outcome: UnplacedOutcome): void {
    this.#unplaced.inc({ outcome });
  }
}
