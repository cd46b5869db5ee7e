/** Figures that take too long to be read while somebody waits: read from time to time, one reading after the other. */
export class PolledReading {
  readonly #read: () => Promise<void>;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;

  /** @param read never rejects */
  constructor(read: () => Promise<void>, intervalMs: number) {
    this.#read = read;
    this.#intervalMs = intervalMs;
  }

  start(): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), this.#intervalMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#reading;
  }

  #look(): void {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
  }
}
