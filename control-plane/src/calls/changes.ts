import type { Redis } from 'ioredis';
import { recordKey } from './store.js';

/**
 * Tells those who wait for a call of each change of its record, whichever replica wrote it. It needs a
 * Redis connection of its own, as every subscriber does.
 */
export class CallChanges {
  readonly #redis: Redis;
  readonly #listeners = new Map<string, Set<() => void>>();

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on('message', (channel: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener();
    });
  }

  /** Calls `listener` at every change of the call from now on, until the returned function is called. */
  async watch(id: string, listener: () => void): Promise<() => void> {
    const channel = recordKey(id);
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners);
    listeners.add(listener);
    const stop = () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
      this.#listeners.delete(channel);
      // A lost unsubscribe costs one unheard channel; the connection's own errors are logged elsewhere.
      this.#redis.unsubscribe(channel).catch(() => {});
    };
    try {
      await this.#redis.subscribe(channel);
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  }
}
