import {
  countOf,
  distance,
  type OpenRecord,
  type OpenRecords,
  type RecordCount,
} from '../calls/open-records.js';
import type { ActiveConfig } from '../config/active.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';

/** How often the counts are compared, in ms. */
const INTERVAL_MS = 30_000;
/** A record follows its dialog within this time, in ms. */
const SETTLED_MS = 5000;
/** Longest time for counting the dialogs of one node, in ms. */
const COUNT_DEADLINE_MS = 10_000;

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
  records: OpenRecords;
  nodes: ReadonlyMap<string, RoutingTables>;
  observer: DriftObserver;
  intervalMs?: number;
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
  readonly #records: OpenRecords;
  readonly #nodes: ReadonlyMap<string, RoutingTables>;
  readonly #observer: DriftObserver;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(options: DriftOptions) {
    this.#config = options.config;
    this.#records = options.records;
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
    const all = await node.calls();
    return (await node.profileSizes('carrier', names, COUNT_DEADLINE_MS)).set(ALL, all);
  }

  /** Open records by carrier, and all of them. */
  async #openRecords(): Promise<Map<string, RecordCount>> {
    const records = await this.#records.read();
    const byCarrier = new Map<string, OpenRecord[]>([[ALL, records]]);
    for (const record of records) {
      const key = record.carrier ?? NOT_CHOSEN;
      const same = byCarrier.get(key) ?? [];
      byCarrier.set(key, same);
      same.push(record);
    }
    return new Map([...byCarrier].map(([key, of]) => [key, countOf(of, SETTLED_MS)]));
  }
}

/** A call whose carrier is not in its record yet may be one of any carrier's dialogs. */
function rangeOf(open: ReadonlyMap<string, RecordCount>, key: string): RecordCount {
  const { settled, all } = open.get(key) ?? { settled: 0, all: 0 };
  return { settled, all: key === ALL ? all : all + (open.get(NOT_CHOSEN)?.all ?? 0) };
}
