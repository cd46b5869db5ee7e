import { Gauge, type Registry } from 'prom-client';
import type { RedisFigures } from '../redis-figures.js';

/** Redis, and the work that waits in it. */
export class RedisMetrics {
  readonly #up: Gauge;
  readonly #commandTime: Gauge;
  readonly #usedMemory: Gauge;
  readonly #maxMemory: Gauge;
  readonly #lag: Gauge<'stream' | 'node'>;
  readonly #overdue: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    // Without labels a gauge would say 0 before anything is known.
    const gauge = (name: string, help: string) => {
      const made = new Gauge({ name: `retell_proxy_${name}`, help, registers });
      made.remove();
      return made;
    };
    this.#up = gauge('redis_up', 'Whether Redis answers');
    this.#commandTime = gauge('redis_command_seconds', 'Time of a PING');
    this.#usedMemory = gauge('redis_used_memory_bytes', 'Memory that Redis uses');
    this.#maxMemory = gauge('redis_max_memory_bytes', 'Memory that Redis may use; 0 where there is no limit');
    this.#overdue = gauge('detail_records_overdue', 'Detail records that have been due for over a minute');
    this.#lag = new Gauge({
      name: 'retell_proxy_stream_lag_entries',
      help: 'Entries of a stream that are not handled yet',
      labelNames: ['stream', 'node'],
      registers,
    });
  }

  /** @param figures undefined where Redis did not answer: the last known ones would look alive */
  read(figures: RedisFigures | undefined): void {
    this.#up.set(figures === undefined ? 0 : 1);
    this.#lag.reset();
    for (const gauge of [this.#commandTime, this.#usedMemory, this.#maxMemory, this.#overdue]) gauge.remove();
    if (figures === undefined) return;
    this.#commandTime.set(figures.pingS);
    this.#usedMemory.set(figures.usedMemory);
    this.#maxMemory.set(figures.maxMemory);
    this.#overdue.set(figures.overdueDetailRecords);
    for (const { stream, node = '', entries } of figures.lags) this.#lag.set({ stream, node }, entries);
  }
}
