import { Counter, Gauge, type Registry } from 'prom-client';
import type { ReconcilerObserver, Reconciliation, RunOutcome } from '../calls/reconciler/reconciler.js';
import { startAtZero } from './zeros.js';

/** What the comparisons of dialogs, records and Retell's calls come to. */
export class ReconciliationMetrics implements ReconcilerObserver {
  readonly #drift: Gauge<'node'>;
  readonly #lastRun: Gauge;
  readonly #runs: Counter<'outcome'>;
  readonly #findings: Counter<'kind' | 'action'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#drift = new Gauge({
      name: 'retell_proxy_reconciliation_drift',
      help: "Dialogs of the node less the open records of it, as of this replica's last run",
      labelNames: ['node'],
      registers,
    });
    this.#lastRun = new Gauge({
      name: 'retell_proxy_reconciliation_last_run_timestamp_seconds',
      help: 'When this replica last finished comparing the calls; 0 for never',
      registers,
    });
    this.#runs = new Counter({
      name: 'retell_proxy_reconciliation_runs_total',
      help: 'Comparisons of all calls',
      labelNames: ['outcome'],
      registers,
    });
    this.#findings = new Counter({
      name: 'retell_proxy_reconciliation_findings_total',
      help: 'What did not agree, by what was done',
      labelNames: ['kind', 'action'],
      registers,
    });
    startAtZero(this.#runs, { outcome: ['complete', 'incomplete', 'failed'] });
  }

  reconciled(outcome: RunOutcome, result: Reconciliation | undefined): void {
    this.#runs.inc({ outcome });
    this.#drift.reset();
    if (result === undefined) return;
    this.#lastRun.set(result.finished_at / 1000);
    for (const { node, drift } of result.nodes) if (drift !== null) this.#drift.set({ node }, drift);
    for (const { kind, action, count } of result.counts) this.#findings.inc({ kind, action }, count);
  }

  reconciledElsewhere(): void {
    this.#drift.reset();
  }
}
