import type { ActiveConfig } from '../config/active.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';

/** Kamailio forgets the slots after two minutes: between two rarer looks at Retell they are set anew, in s. */
const REFRESH_S = 60;
/** How often to see whether a reload has turned the polling on, in s. */
const OFF_S = 5;

/** What Retell says of its concurrency (retell.md 2.5): every member may be missing. */
export interface Concurrency {
  current_concurrency?: number;
  concurrency_limit?: number;
  concurrency_burst_enabled?: boolean;
  concurrency_burst_limit?: number;
  reserved_inbound_concurrency?: number;
}

/** What came of the last answer of Retell's. */
export interface SlotsReading {
  /** When it came, in ISO 8601. */
  at: string;
  /** Calls that Retell takes at once, burst included; null where it does not say: then nothing is refused for it. */
  limit: number | null;
  /** Calls that it has, ours and those of others of the workspace. */
  current: number;
  /** Calls of the nodes that answered. */
  ours: number;
  /** How many calls the proxy may have up for Retell, over all nodes. */
  allowed: number | null;
  /** How many of them there may be before an outbound call is refused. */
  allowed_outbound: number | null;
}

export interface SlotsObserver {
  concurrencyRead(reading: SlotsReading): void;
  /** Retell gave no answer that can be used. Kamailio keeps the last slots for two minutes. */
  concurrencyFailed(error: unknown): void;
  /** A node could not be told. */
  slotsNotSet(node: string, error: unknown): void;
}

export interface SlotsOptions {
  config: ActiveConfig;
  nodes: ReadonlyMap<string, RoutingTables>;
  /** Asks Retell; rejects within a bounded time. */
  getConcurrency: () => Promise<Concurrency>;
  observer: SlotsObserver;
}

/**
 * Retell's concurrency is one for its whole workspace: this asks Retell how much of it others use, and tells
 * Kamailio how many calls are left for the proxy, so that it can refuse early what Retell would let ring for
 * 40 s and then drop.
 */
export class RetellSlots {
  readonly #config: ActiveConfig;
  readonly #nodes: ReadonlyMap<string, RoutingTables>;
  readonly #getConcurrency: SlotsOptions['getConcurrency'];
  readonly #observer: SlotsObserver;
  #last: SlotsReading | undefined;
  #polledAtMs = Number.NEGATIVE_INFINITY;
  #fresh = false;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: SlotsOptions) {
    this.#config = options.config;
    this.#nodes = options.nodes;
    this.#getConcurrency = options.getConcurrency;
    this.#observer = options.observer;
  }

  /** The last answer of Retell's; undefined before the first, and while it is not asked. */
  get last(): SlotsReading | undefined {
    return this.#last;
  }

  start(): void {
    this.#work = this.#tick();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#work;
  }

  /** Asks Retell once and tells every node. Never rejects. */
  async poll(): Promise<void> {
    this.#polledAtMs = performance.now();
    try {
      const [answer, counts] = await Promise.all([this.#getConcurrency(), this.#counts()]);
      this.#last = readingOf(answer, total(counts), this.#config.current.retell.reserved_inbound);
      this.#fresh = true;
      this.#observer.concurrencyRead(this.#last);
      await this.#tell(this.#last, counts);
    } catch (error) {
      this.#fresh = false;
      this.#observer.concurrencyFailed(error);
    }
  }

  async #tick(): Promise<void> {
    const { api_key, concurrency_interval_s } = this.#config.current.retell;
    const on = api_key !== undefined && concurrency_interval_s > 0;
    if (!on) {
      this.#last = undefined;
      this.#fresh = false;
      this.#polledAtMs = Number.NEGATIVE_INFINITY;
    } else if (performance.now() - this.#polledAtMs >= concurrency_interval_s * 1000 - 1) {
      await this.poll();
    } else if (this.#fresh && this.#last !== undefined) {
      await this.#tell(this.#last, await this.#counts());
    }
    if (this.#stopped) return;
    const pauseS = on ? Math.min(concurrency_interval_s, REFRESH_S) : OFF_S;
    this.#timer = setTimeout(() => {
      this.#work = this.#tick();
    }, pauseS * 1000);
  }

  /** The calls for Retell of each node that answers. Those of the others count as somebody else's. */
  async #counts(): Promise<Map<string, number>> {
    const entries = [...this.#nodes].map(async ([name, node]) => {
      const calls = await node.profileSize('retell').catch(() => undefined);
      return calls === undefined ? [] : [[name, calls] as const];
    });
    return new Map((await Promise.all(entries)).flat());
  }

  /** Each node may have what the other nodes leave. */
  async #tell(
    { allowed, allowed_outbound }: SlotsReading,
    counts: ReadonlyMap<string, number>,
  ): Promise<void> {
    if (allowed === null || allowed_outbound === null) return;
    const tells = [...this.#nodes].map(async ([name, node]) => {
      const others = total(counts) - (counts.get(name) ?? 0);
      try {
        await node.setSlot('retell', Math.max(0, allowed - others));
        await node.setSlot('retell_outbound', Math.max(0, allowed_outbound - others));
      } catch (error) {
        this.#observer.slotsNotSet(name, error);
      }
    });
    await Promise.all(tells);
  }
}

function readingOf(answer: Concurrency, ours: number, reservedHere: number): SlotsReading {
  const current = answer.current_concurrency ?? 0;
  const at = new Date().toISOString();
  if (typeof answer.concurrency_limit !== 'number') {
    return { at, limit: null, current, ours, allowed: null, allowed_outbound: null };
  }
  // Whoever has turned burst on pays for the calls above the limit, and wants them to pass.
  const burst = answer.concurrency_burst_enabled ? (answer.concurrency_burst_limit ?? 0) : 0;
  const limit = Math.max(answer.concurrency_limit, burst);
  const others = Math.max(0, current - ours);
  const allowed = Math.max(0, limit - others);
  const reserved = Math.max(reservedHere, answer.reserved_inbound_concurrency ?? 0);
  return { at, limit, current, ours, allowed, allowed_outbound: Math.max(0, allowed - reserved) };
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, calls) => sum + calls, 0);
}
