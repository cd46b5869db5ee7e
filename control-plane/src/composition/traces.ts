import type { Call } from '../calls/call.js';
import type { Config } from '../config/schema.js';
import type { SpanOutcome } from '../traces/trace-exporter.js';

export interface TraceParts {
  config: Config;
  version: string;
  spansDone: (outcome: SpanOutcome, spans: number) => void;
}

/** What makes a trace of each ended call, where that is configured: without it OpenTelemetry is not even loaded. */
export async function createTraces({
  config: { traces },
  ...parts
}: TraceParts): Promise<{ ended(call: Call): void; stop(): Promise<void> } | undefined> {
  if (traces === undefined) return undefined;
  const { TraceExporter } = await import('../traces/trace-exporter.js');
  const { otlp_url: url, headers, sample } = traces;
  return new TraceExporter({ url, headers, sample, ...parts });
}
