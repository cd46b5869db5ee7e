/**
 * Figures that are read when somebody asks for them, at most once in a while. Who asks while they are being read waits
 * for the same reading.
 */
export class FreshReading {
  readonly #read: () => Promise<void>;
  readonly #keptMs: number;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  /**
   * @param read never rejects
   * @param keptMs how long what was read is kept, in ms
   */
  constructor(read: () => Promise<void>, keptMs: number) {
    this.#read = read;
    this.#keptMs = keptMs;
  }

  async bring(): Promise<void> {
    if (this.#reading === undefined) {
      if (performance.now() - this.#readAt < this.#keptMs) return;
      this.#readAt = performance.now();
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
      });
    }
    await this.#reading;
  }
}
