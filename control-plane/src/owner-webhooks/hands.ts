interface Lane {
  busy: number;
  waiting: (() => void)[];
}

/** Hands for each name: so many are busy at once, so many more may wait for one, and the others are turned away. */
export class Hands {
  readonly #most: number;
  readonly #mostWaiting: number;
  readonly #lanes = new Map<string, Lane>();

  constructor(most: number, mostWaiting: number) {
    this.#most = most;
    this.#mostWaiting = mostWaiting;
  }

  /** @returns a hand, once it is free, as what gives it back; undefined where as many wait as may */
  take(name: string): Promise<() => void> | undefined {
    const lane = this.#lanes.get(name) ?? { busy: 0, waiting: [] };
    const release = () => this.#release(name, lane);
    if (lane.busy < this.#most) {
      lane.busy += 1;
      this.#lanes.set(name, lane);
      return Promise.resolve(release);
    }
    if (lane.waiting.length >= this.#mostWaiting) return undefined;
    return new Promise((resolve) => lane.waiting.push(() => resolve(release)));
  }

  #release(name: string, lane: Lane): void {
    const next = lane.waiting.shift();
    if (next === undefined) lane.busy -= 1;
    else next();
    if (lane.busy === 0) this.#lanes.delete(name);
  }
}
