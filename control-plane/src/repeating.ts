import { setTimeout as delay } from 'node:timers/promises';

/** Something that is done again and again, from its start to its stop. */
export class Repeating {
  readonly #step: () => Promise<number>;
  readonly #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();

  /** @param step does it once, and tells how long to wait before the next time, in ms; it may not reject */
  constructor(step: () => Promise<number>) {
    this.#step = step;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Resolves when the step in hand is done. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const pauseMs = await this.#step();
      await delay(pauseMs, undefined, { signal }).catch(() => {});
    }
  }
}
