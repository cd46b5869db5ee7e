import { Counter, Gauge, type Registry } from 'prom-client';
import { startAtZero } from './zeros.js';

/** What becomes of ended calls' detail records, and of who follows the calls. */
export class RecordMetrics {
  readonly #written: Counter<'kind'>;
  readonly #eventStreams: Gauge;
  readonly #dropped: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#written = new Counter({
      name: 'retell_proxy_detail_records_total',
      help: 'Call detail records written into their stream',
      labelNames: ['kind'],
      registers,
    });
    startAtZero(this.#written, { kind: ['record', 'amendment'] });
    this.#eventStreams = new Gauge({
      name: 'retell_proxy_event_streams',
      help: 'Streams of server-sent events that are open',
      registers,
    });
    this.#dropped = new Counter({
      name: 'retell_proxy_event_streams_dropped_total',
      help: 'Readers of events that were too slow',
      registers,
    });
  }

  /** @param version 1 for a first record, more for an amendment */
  written(version: number): void {
    this.#written.inc({ kind: version === 1 ? 'record' : 'amendment' });
  }

  eventStreams(open: number): void {
    this.#eventStreams.set(open);
  }

  eventStreamDropped(): void {
    this.#dropped.inc();
  }
}
