import {
  type Attributes,
  type HrTime,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import type { Call } from '../calls/call.js';
import { type CallSpan, shareOf, traceOf } from './call-spans.js';

export type SpanOutcome = 'exported' | 'failed' | 'dropped';

export interface TraceExporterOptions {
  /** OTLP over HTTP, e.g. http://127.0.0.1:4318/v1/traces. */
  url: string;
  headers: Record<string, string>;
  /** Which share of the calls, 0 to 1. */
  sample: number;
  version: string;
  /** Told what became of spans. */
  spansDone: (outcome: SpanOutcome, spans: number) => void;
  /** Most spans that wait to be sent. Default 20000. */
  most?: number;
  /** Longest that spans wait for others, in ms. Default 2000. */
  delayMs?: number;
  /** Longest that sending may take, with every retry, in ms. Default 10000. */
  timeoutMs?: number;
}

/** Longest that a stop waits for what is left, in ms. */
const STOP_MS = 2000;

/** Sends each call's trace in the background. What a slow collector leaves no room for is dropped, whole calls. */
export class TraceExporter {
  readonly #o: Required<TraceExporterOptions>;
  readonly #provider: BasicTracerProvider;
  #waiting = 0;
  /** The ids of the span that is made next. */
  #ids = { trace: '', span: '' };

  constructor(options: TraceExporterOptions) {
    this.#o = { most: 20_000, delayMs: 2000, timeoutMs: 10_000, ...options };
    const { url, headers, version, most, delayMs, timeoutMs } = this.#o;
    const exporter = this.#counted(new OTLPTraceExporter({ url, headers, timeoutMillis: timeoutMs }));
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'retell-sip-proxy', 'service.version': version }),
      sampler: new AlwaysOnSampler(),
      idGenerator: { generateTraceId: () => this.#ids.trace, generateSpanId: () => this.#ids.span },
      spanProcessors: [
        new BatchSpanProcessor(exporter, {
          maxQueueSize: most,
          maxExportBatchSize: Math.min(512, most),
          scheduledDelayMillis: delayMs,
          exportTimeoutMillis: timeoutMs + 1000,
        }),
      ],
    });
  }

  /** Takes a call that has ended. Never waits and never throws for the collector's sake. */
  ended(call: Call): void {
    const { sample, most, spansDone } = this.#o;
    if (shareOf(call.id) >= sample) return;
    const { id, root, parts } = traceOf(call);
    const spans = 1 + parts.length;
    if (this.#waiting + spans > most) {
      spansDone('dropped', spans);
      return;
    }
    this.#waiting += spans;
    const tracer = this.#provider.getTracer('retell-sip-proxy', this.#o.version);
    const start = (span: CallSpan, context = ROOT_CONTEXT) => {
      this.#ids = { trace: id, span: span.id };
      const attributes: Attributes = span.attributes;
      const options = { startTime: hrTime(span.startMs), attributes, kind: SpanKind.INTERNAL };
      const started = tracer.startSpan(span.name, options, context);
      if (span.failed) started.setStatus({ code: SpanStatusCode.ERROR });
      return started;
    };
    const whole = start(root);
    const within = trace.setSpan(ROOT_CONTEXT, whole);
    for (const part of parts) start(part, within).end(hrTime(part.endMs));
    whole.end(hrTime(root.endMs));
  }

  /** Sends what is left, as far as the collector takes it soon. */
  async stop(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_MS);
    });
    await Promise.race([this.#provider.shutdown().catch(() => {}), enough]);
    clearTimeout(timer);
  }

  #counted(exporter: SpanExporter): SpanExporter {
    return {
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          this.#waiting -= spans.length;
          this.#o.spansDone(
            result.error === undefined && result.code === 0 ? 'exported' : 'failed',
            spans.length,
          );
          done(result);
        }),
      shutdown: () => exporter.shutdown(),
    };
  }
}

/** A plain number would be taken for the time since the process began, where it is smaller than that begin. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
