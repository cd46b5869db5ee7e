/** How a circuit breaker is tuned. */
export interface BreakerOptions {
  /** Failures in a row that open it. Default 3. */
  failures?: number;
  /** How long it stays open before one call is let through again, in ms. Default 1,000. */
  openMs?: number;
  /** The clock, in ms. */
  now?: () => number;
}

/**
 * Circuit breaker: after some failures in a row nothing is asked for a while, then one call probes. It
 * keeps a node that hangs from holding every API request until its deadline.
 */
export class Breaker {
  readonly #failures: number;
  readonly #openMs: number;
  readonly #now: () => number;
  #failed = 0;
  #retryAt = 0;

  constructor({ failures = 3, openMs = 1000, now = Date.now }: BreakerOptions = {}) {
    this.#failures = failures;
    this.#openMs = openMs;
    this.#now = now;
  }

  get state(): 'closed' | 'open' {
    return this.#failed >= this.#failures ? 'open' : 'closed';
  }

  /** Whether a call may be made now. While open, one call in each `openMs` is let through as the probe. */
  admits(): boolean {
    if (this.state === 'closed') return true;
    if (this.#now() < this.#retryAt) return false;
    this.#retryAt = this.#now() + this.#openMs;
    return true;
  }

  succeeded(): void {
    this.#failed = 0;
  }

  failed(): void {
    this.#failed += 1;
    if (this.state === 'open') this.#retryAt = this.#now() + this.#openMs;
  }
}
