import { Counter, type Registry } from 'prom-client';
import type { SpanOutcome } from '../traces/trace-exporter.js';
import { startAtZero } from './zeros.js';

/** What becomes of spans for OpenTelemetry. */
export class TraceMetrics {
  readonly #spans: Counter<'outcome'>;

  constructor(registry: Registry) {
    this.#spans = new Counter({
      name: 'retell_proxy_trace_spans_total',
      help: 'Spans of calls by what became of them',
      labelNames: ['outcome'],
      registers: [registry],
    });
    startAtZero(this.#spans, { outcome: ['exported', 'failed', 'dropped'] });
  }

  spansDone(outcome: SpanOutcome, spans: number): void {
    this.#spans.inc({ outcome }, spans);
  }
}
