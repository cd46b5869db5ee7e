import { setTimeout as delay } from 'node:timers/promises';

/** What may be started at once after a pause, in ms of the rate. */
const BURST_MS = 100;
/** Shortest wait, in ms: at high rates some are started together. */
const TICK_MS = 10;

/** Lets things start at a rate: the first at once, and never more than was missed in the last 100 ms. */
export class Pace {
  readonly #intervalMs: number;
  #nextMs = Number.NEGATIVE_INFINITY;

  /** @param rate starts per second */
  constructor(rate: number) {
    this.#intervalMs = 1000 / rate;
  }

  /**
   * Waits until something may start.
   *
   * @returns how many, at most `most`, which is 1 or more
   * @throws AbortError
   */
  async next(most: number, signal: AbortSignal): Promise<number> {
    const waitMs = this.#nextMs - performance.now();
    if (waitMs > 0) await delay(Math.max(waitMs, TICK_MS), undefined, { signal });
    const now = performance.now();
    const first = Number.isFinite(this.#nextMs) ? Math.max(this.#nextMs, now - BURST_MS) : now;
    // A timer may fire a little early.
    const due = Math.max(1, Math.floor((now - first) / this.#intervalMs) + 1);
    const starts = Math.min(due, most);
    this.#nextMs = first + starts * this.#intervalMs;
    return starts;
  }
}
