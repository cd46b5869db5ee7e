import type { Redis } from 'ioredis';
import { recordKey } from '../calls/store.js';
import type { ActiveConfig } from '../config/active.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';

/** How often the counts are compared, in ms. */
const INTERVAL_MS = 30_000;
/** A record follows its dialog within this time, in ms. */
const SETTLED_MS = 5000;
/** Longest time for counting the dialogs of one node, in ms. */
const COUNT_DEADLINE_MS = 10_000;
/** Records read in one round trip. */
const BATCH = 1000;
/** The index of open calls (calls/store.ts). */
const OPEN = 'calls:open';

/** How far the dialogs that limits count and the open records are apart. */
export interface Drift {
  limit: 'overall' | 'carrier';
  /** For `carrier` only. */
  carrier?: string;
  /** Dialogs more than records; negative for fewer; 0 within what calls on their way explain. */
  drift: number;
}

export interface DriftObserver {
  /** The drift of everything; undefined where a node or Redis did not answer, so that nothing is known. */
  limitDrift(drifts: readonly Drift[] | undefined): void;
}

export interface DriftOptions {
  config: ActiveConfig;
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  nodes: ReadonlyMap<string, RoutingTables>;
  observer: DriftObserver;
  intervalMs?: number;
}

/** Open records of one carrier, or of all. */
interface Open {
  /** Those that have been there for a while. */
  settled: number;
  all: number;
}

/** Key of the counts over all carriers, and of records whose carrier is not chosen yet: no carrier has these names. */
const ALL = '*';
const NOT_CHOSEN = '';

/**
 * Compares two counts that ought to agree: the calls up by Kamailio's dialog profiles, which the limits use,
 * and by the records in Redis.
 */
export class LimitDrift {
  readonly #config: ActiveConfig;
  readonly #redis: Redis;
  readonly #nodes: ReadonlyMap<string, RoutingTables>;
  readonly #observer: DriftObserver;
  readonly #intervalMs: number;
  /** The carriers of open calls, which never change: each is read once. */
  #carriers = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(options: DriftOptions) {
    this.#config = options.config;
    this.#redis = options.redis;
    this.#nodes = options.nodes;
    this.#observer = options.observer;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (!this.#busy) this.#work = this.look();
    }, this.#intervalMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#work;
  }

  /** Compares once. Never rejects. */
  async look(): Promise<void> {
    this.#busy = true;
    try {
      this.#observer.limitDrift(await this.#drifts());
    } catch {
      // Which node or whether Redis is away is in their own metrics.
      this.#observer.limitDrift(undefined);
    } finally {
      this.#busy = false;
    }
  }

  /** The records before and after the dialogs: a call that ends in between is no drift. */
  async #drifts(): Promise<Drift[] | undefined> {
    const names = this.#config.current.carriers.map(({ name }) => name);
    const before = await this.#openRecords();
    const dialogs = await Promise.all([...this.#nodes.values()].map((node) => this.#dialogs(node, names)));
    const after = await this.#openRecords();
    if (dialogs.some((counts) => counts.size < names.length + 1)) return undefined;
    const driftOf = (key: string) =>
      distance(
        dialogs.reduce((sum, counts) => sum + (counts.get(key) ?? 0), 0),
        [before, after].map((open) => rangeOf(open, key)),
      );
    return [
      { limit: 'overall', drift: driftOf(ALL) },
      ...names.map((carrier): Drift => ({ limit: 'carrier', carrier, drift: driftOf(carrier) })),
    ];
  }

  /** Calls up by carrier, and all of them. */
  async #dialogs(node: RoutingTables, names: readonly string[]): Promise<Map<string, number>> {
    const all = await node.profileSize('all');
    return (await node.profileSizes('carrier', names, COUNT_DEADLINE_MS)).set(ALL, all);
  }

  /** Open records by carrier, and all of them. */
  async #openRecords(): Promise<Map<string, Open>> {
    const settledBefore = Date.now() - SETTLED_MS;
    const flat = await this.#redis.zrange(OPEN, '0', '-1', 'WITHSCORES');
    const ids = flat.filter((_, i) => i % 2 === 0);
    await this.#readCarriers(ids);
    const open = new Map<string, Open>();
    for (const [i, id] of ids.entries()) {
      const settled = Number(flat[2 * i + 1]) <= settledBefore ? 1 : 0;
      for (const key of [ALL, this.#carriers.get(id) ?? NOT_CHOSEN]) {
        const counts = open.get(key) ?? { settled: 0, all: 0 };
        open.set(key, { settled: counts.settled + settled, all: counts.all + 1 });
      }
    }
    return open;
  }

  async #readCarriers(ids: readonly string[]): Promise<void> {
    const known = new Map<string, string>();
    const unknown: string[] = [];
    for (const id of ids) {
      const carrier = this.#carriers.get(id);
      if (carrier === undefined) unknown.push(id);
      else known.set(id, carrier);
    }
    for (let at = 0; at < unknown.length; at += BATCH) {
      const batch = unknown.slice(at, at + BATCH);
      const pipeline = this.#redis.pipeline();
      for (const id of batch) pipeline.hget(recordKey(id), 'carrier');
      for (const [i, [error, carrier]] of ((await pipeline.exec()) ?? []).entries()) {
        if (error) throw error;
        const id = batch[i];
        if (id !== undefined && typeof carrier === 'string') known.set(id, carrier);
      }
    }
    this.#carriers = known;
  }
}

/** A call whose carrier is not in its record yet may be one of any carrier's dialogs. */
function rangeOf(open: ReadonlyMap<string, Open>, key: string): Open {
  const { settled, all } = open.get(key) ?? { settled: 0, all: 0 };
  return { settled, all: key === ALL ? all : all + (open.get(NOT_CHOSEN)?.all ?? 0) };
}

/** How far a count of dialogs is outside of what the records allow. */
function distance(dialogs: number, records: readonly Open[]): number {
  const least = Math.min(...records.map(({ settled }) => settled));
  const most = Math.max(...records.map(({ all }) => all));
  return dialogs > most ? dialogs - most : dialogs < least ? dialogs - least : 0;
}
