import { Counter, Histogram, type Registry } from 'prom-client';
import type { Telling } from '../calls/transfer/follow-up.js';
import type { TransferObserver } from '../calls/transfer/tracker.js';
import {
  TOLD_STAGES,
  type TransferOutcome,
  type TransferSource,
  type TransferStage,
} from '../calls/transfer/transfer.js';
import { startAtZero } from './zeros.js';

/** Upper bounds in s: a refusal takes milliseconds, a callee rings for a minute. */
const BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300];

/** What transfers tell Prometheus. */
export class TransferMetrics implements TransferObserver {
  readonly #stages: Counter<'stage'>;
  readonly #ended: Counter<'source' | 'outcome'>;
  readonly #time: Histogram<'outcome'>;
  readonly #notices: Counter<'outcome'>;
  readonly #functions: Counter<'function' | 'outcome'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#stages = new Counter({
      name: 'retell_proxy_transfer_stages_total',
      help: 'Transfers that reached a stage, each once',
      labelNames: ['stage'],
      registers,
    });
    this.#ended = new Counter({
      name: 'retell_proxy_transfers_total',
      help: 'Transfers that ended, by source and outcome',
      labelNames: ['source', 'outcome'],
      registers,
    });
    this.#time = new Histogram({
      name: 'retell_proxy_transfer_seconds',
      help: 'Time from a transfer to its outcome',
      labelNames: ['outcome'],
      buckets: BUCKETS,
      registers,
    });
    this.#notices = new Counter({
      name: 'retell_proxy_transfer_notices_total',
      help: 'Failed transfers, by whether the live agent was told',
      labelNames: ['outcome'],
      registers,
    });
    this.#functions = new Counter({
      name: 'retell_proxy_functions_total',
      help: "Calls of Retell's custom functions",
      labelNames: ['function', 'outcome'],
      registers,
    });
    startAtZero(this.#stages, { stage: ['requested', ...TOLD_STAGES] });
    startAtZero(this.#ended, {
      source: ['api', 'function', 'retell'],
      outcome: ['succeeded', 'rejected', 'failed', 'timed_out', 'call_ended'],
    });
    startAtZero(this.#notices, { outcome: ['told', 'not_told'] });
    startAtZero(this.#functions, {
      function: ['transfer_call', 'end_call'],
      outcome: ['begun', 'done', 'not_done', 'refused', 'failed'],
    });
  }

  reached(stage: TransferStage): void {
    this.#stages.inc({ stage });
  }

  transferEnded(source: TransferSource, outcome: TransferOutcome, seconds: number): void {
    this.#ended.inc({ source, outcome });
    this.#time.observe({ outcome }, Math.max(seconds, 0));
  }

  noticed(outcome: Telling['outcome']): void {
    this.#notices.inc({ outcome });
  }

  functionDone(name: string, outcome: string): void {
    this.#functions.inc({ function: name, outcome });
  }
}
