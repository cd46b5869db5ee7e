import type { Redis } from 'ioredis';
import { recordKey } from './store.js';

/**
 * Tells those who wait for a call of each change of its record, whichever replica wrote it. It needs a
 * Redis connection of its own, as every subscriber does.
 */
export class CallChanges {
  readonly #redis: Redis;
  readonly #listeners = new Map<string, Set<(fields: string[]) => void>>();

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on('message', (channel: string, fields: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener(fields.split(' '));
    });
  }

  /**
   * Watches the call from now on, until the watch is stopped.
   *
   * @param matters which new fields of the record are worth a look
   */
  async watch(id: string, matters: (field: string) => boolean): Promise<ChangeWatch> {
    const channel = recordKey(id);
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners);
    const watch = new ChangeWatch(() => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
      this.#listeners.delete(channel);
      // A lost unsubscribe costs one unheard channel; the connection's own errors are logged elsewhere.
      this.#redis.unsubscribe(channel).catch(() => {});
    });
    const listener = (fields: string[]) => {
      if (fields.some(matters)) watch.changed();
    };
    listeners.add(listener);
    try {
      await this.#redis.subscribe(channel);
    } catch (error) {
      watch.stop();
      throw error;
    }
    return watch;
  }
}

/** Waits for changes of one call, and misses none between two waits. */
export class ChangeWatch {
  readonly stop: () => void;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(stop: () => void) {
    this.stop = stop;
  }

  changed(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** Resolves at the next change, or after `timeoutMs`. */
  async next(timeoutMs: number): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#changed = false;
  }
}
