import { Counter, type Registry } from 'prom-client';
import type { SpanOutcome } from '../traces/trace-exporter.js';

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
    for (const outcome of ['exported', 'failed', 'dropped']) this.#spans.inc({ outcome }, 0);
  }

  spansDone(outcome: SpanOutcome, spans: number): void {
    this.#spans.inc({ outcome }, spans);
  }
}
