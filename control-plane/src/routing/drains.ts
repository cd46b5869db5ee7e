import type { Redis } from 'ioredis';
import type { ActiveConfig } from '../config/active.js';
import type { Config } from '../config/schema.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';

/** Redis' hash of what is drained: `carrier:{name}` or `gateway:{uri}` to the time in ms since 1970. */
const KEY = 'drains';

/** How often every node is compared with what is wanted, in ms: a node that restarted has forgotten it. */
const INTERVAL_MS = 10_000;

/** What may be drained. */
export interface Drained {
  carriers: ReadonlySet<string>;
  /** URIs of gateways, Retell's too. */
  gateways: ReadonlySet<string>;
}

export type DrainTarget = { carrier: string } | { gateway: string };

export interface DrainsObserver {
  /** A node could not be brought to what is drained. It is tried again. */
  drainsNotApplied(node: string, error: unknown): void;
}

export interface DrainsOptions {
  config: ActiveConfig;
  redis: Redis;
  nodes: ReadonlyMap<string, RoutingTables>;
  observer: DrainsObserver;
  intervalMs?: number;
}

/**
 * Drained carriers and gateways: they get no new calls, and those that are up go on. Redis knows what is
 * drained; nodes are told at once, and again when they have forgotten it.
 */
export class Drains {
  readonly #config: ActiveConfig;
  readonly #redis: Redis;
  readonly #nodes: ReadonlyMap<string, RoutingTables>;
  readonly #observer: DrainsObserver;
  readonly #intervalMs: number;
  /** The last work on each node: one at a time, so that none undoes what a later one did. */
  readonly #turns = new Map<string, Promise<void>>();
  #lastKnown: Drained = { carriers: new Set(), gateways: new Set() };
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DrainsOptions) {
    this.#config = options.config;
    this.#redis = options.redis;
    this.#nodes = options.nodes;
    this.#observer = options.observer;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
  }

  /** Applies what is drained now, and from time to time. */
  start(): void {
    void this.#applyToAll();
    this.#timer = setInterval(() => void this.#applyToAll(), this.#intervalMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#turns.values());
  }

  /** What is drained; the last known where Redis does not answer. */
  async current(): Promise<Drained> {
    try {
      const fields = await this.#redis.hkeys(KEY);
      const named = (prefix: string) =>
        new Set(
          fields.filter((field) => field.startsWith(prefix)).map((field) => field.slice(prefix.length)),
        );
      this.#lastKnown = { carriers: named('carrier:'), gateways: named('gateway:') };
    } catch {
      // What was drained stays drained while Redis is away.
    }
    return this.#lastKnown;
  }

  /**
   * Drains it, and resolves when every node that answers has been told.
   *
   * @throws where Redis does not answer
   */
  async drain(target: DrainTarget): Promise<void> {
    await this.#redis.hsetnx(KEY, fieldOf(target), String(Date.now()));
    await this.#applyToAll();
  }

  /** Lets it have new calls again. @throws where Redis does not answer */
  async resume(target: DrainTarget): Promise<void> {
    await this.#redis.hdel(KEY, fieldOf(target));
    await this.#applyToAll();
  }

  /** Tells one node what is drained. @throws KamailioError */
  async applyTo(name: string): Promise<void> {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(() => this.#apply(node));
    this.#turns.set(
      name,
      turn.catch(() => {}),
    );
    await turn;
  }

  /** Forgets carriers and gateways that are not configured any more: a new one of that name is a new one. */
  async forgetUnknown(): Promise<void> {
    const { carriers, gateways } = await this.current();
    const known = new Set(this.#config.current.carriers.map(({ name }) => name));
    const uris = new Set(gatewaysOf(this.#config.current).map(({ uri }) => uri));
    const gone = [
      ...[...carriers].filter((name) => !known.has(name)).map((carrier) => fieldOf({ carrier })),
      ...[...gateways].filter((uri) => !uris.has(uri)).map((gateway) => fieldOf({ gateway })),
    ];
    if (gone.length > 0) await this.#redis.hdel(KEY, ...gone);
  }

  async #applyToAll(): Promise<void> {
    const tries = [...this.#nodes.keys()].map((name) =>
      this.applyTo(name).catch((error) => this.#observer.drainsNotApplied(name, error)),
    );
    await Promise.all(tries);
  }

  async #apply(node: RoutingTables): Promise<void> {
    const wanted = await this.current();
    const held = await node.drained();
    for (const carrier of wanted.carriers) if (!held.has(carrier)) await node.setDrained(carrier);
    for (const carrier of held) if (!wanted.carriers.has(carrier)) await node.clearDrained(carrier);
    const unprobed = new Set(
      gatewaysOf(this.#config.current)
        .filter(({ probe }) => !probe)
        .map(({ uri }) => uri),
    );
    for (const { set, uri, state } of await node.gateways()) {
      const drained = wanted.gateways.has(uri);
      if (drained === (state === 'disabled')) continue;
      await node.setGatewayState(set, uri, drained ? 'dx' : unprobed.has(uri) ? 'ax' : 'ap');
    }
  }
}

function fieldOf(target: DrainTarget): string {
  return 'carrier' in target ? `carrier:${target.carrier}` : `gateway:${target.gateway}`;
}

function gatewaysOf({ carriers, retell }: Config): { uri: string; probe: boolean }[] {
  return [
    ...retell.gateways.map(({ uri }) => ({ uri, probe: true })),
    ...carriers.flatMap(({ gateways, probe }) => gateways.map(({ uri }) => ({ uri, probe }))),
  ];
}
