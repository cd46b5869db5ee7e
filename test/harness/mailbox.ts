interface Waiter<T> {
  readonly matches: (item: T) => boolean;
  readonly resolve: (item: T) => void;
  readonly reject: (error: Error) => void;
}

export interface MailboxOptions<T> {
  /** One line about an item, for the error of a wait that ends in nothing. */
  readonly summarise: (item: T) => string;
  /** Keep items that nobody has asked for yet; off for load runs. */
  readonly keep: boolean;
  /** Each item goes to one waiter only; otherwise every waiter may see every item. */
  readonly consume: boolean;
}

const HISTORY_LINES = 40;

/** Items that arrive now and are awaited now or later, with an error that tells what came instead. */
export class Mailbox<T> {
  readonly #options: MailboxOptions<T>;
  #items: T[] = [];
  #history: T[] = [];
  #waiters: Waiter<T>[] = [];

  constructor(options: MailboxOptions<T>) {
    this.#options = options;
  }

  push(item: T): void {
    const waiting = this.#waiters.filter((waiter) => waiter.matches(item));
    const served = this.#options.consume ? waiting.slice(0, 1) : waiting;
    this.#waiters = this.#waiters.filter((waiter) => !served.includes(waiter));
    for (const waiter of served) waiter.resolve(item);
    if (!this.#options.keep) return;
    if (served.length === 0 || !this.#options.consume) this.#items.push(item);
    this.#history.push(item);
  }

  /**
   * The first matching item, already here or still to come.
   * @throws Error after `timeoutMs`, naming `awaited` and listing what was received.
   */
  take(matches: (item: T) => boolean, awaited: string, timeoutMs: number): Promise<T> {
    const index = this.#items.findIndex(matches);
    const here = this.#items[index];
    if (here !== undefined) {
      if (this.#options.consume) this.#items.splice(index, 1);
      return Promise.resolve(here);
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter<T> = {
        matches,
        resolve: (item) => {
          clearTimeout(timer);
          resolve(item);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(new Error(`no ${awaited} within ${timeoutMs} ms; ${this.#received()}`));
      }, timeoutMs);
      this.#waiters.push(waiter);
    });
  }

  /** Ends every wait that is still open. */
  close(why: string): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(new Error(`${why}; ${this.#received()}`));
  }

  #received(): string {
    if (!this.#options.keep) return 'what was received is not kept (tracing is off)';
    if (this.#history.length === 0) return 'nothing was received';
    const lines = this.#history.slice(-HISTORY_LINES).map((item) => `\n  ${this.#options.summarise(item)}`);
    return `received:${lines.join('')}`;
  }
}
