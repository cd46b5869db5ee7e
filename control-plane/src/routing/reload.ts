import type { ActiveConfig } from '../config/active.js';
import { crossChecks } from '../config/checks.js';
import { showWith } from '../config/describe.js';
import { ConfigError } from '../config/errors.js';
import type { Config } from '../config/schema.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';
import { type ConfigChanges, changesBetween, reloadable } from './config-changes.js';
import type { Drains } from './drains.js';
import { type NodeApplied, NodeSync } from './node-sync.js';

/** How often a node that could not be brought to the configuration is tried again, in ms. */
const RETRY_MS = 5000;

/** What a reload did. */
export interface ReloadResult {
  /** `incomplete`: the configuration is in force, and a node does not hold it yet. */
  outcome: 'applied' | 'incomplete';
  changes: ConfigChanges;
  /** Changed keys whose old values stay until a restart. */
  requires_restart: string[];
  nodes: NodeApplied[];
}

export interface ReloadObserver {
  reloadDone(outcome: ReloadResult['outcome'] | 'invalid'): void;
  /** Whether a node holds the configuration in force, after each try. */
  nodeApplied(node: NodeApplied): void;
}

export interface ReloadOptions {
  config: ActiveConfig;
  /** Reads and checks the file. Rejects with a ConfigError. */
  load: () => Promise<Config>;
  nodes: ReadonlyMap<string, RoutingTables>;
  drains: Drains;
  /** Where a node's data files are. */
  dataDirectory: (node: string) => string;
  observer: ReloadObserver;
  retryMs?: number;
}

/**
 * Puts a changed configuration file in force without touching calls: checked first, written for every node,
 * read by Kamailio where it changed, and read back.
 */
export class Reload {
  readonly #config: ActiveConfig;
  readonly #load: () => Promise<Config>;
  readonly #drains: Drains;
  readonly #observer: ReloadObserver;
  readonly #retryMs: number;
  readonly #syncs: readonly NodeSync[];
  /** Work on the nodes, one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #idle = true;
  /** The reload that has not begun yet: whoever asks before it does gets its result. */
  #next: Promise<ReloadResult> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReloadOptions) {
    this.#config = options.config;
    this.#load = options.load;
    this.#drains = options.drains;
    this.#observer = options.observer;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    this.#syncs = [...options.nodes].map(
      ([name, node]) =>
        new NodeSync({
          node,
          directory: options.dataDirectory(name),
          gatewaysReloaded: () => options.drains.applyTo(name),
        }),
    );
  }

  /**
   * Compares every node with the configuration in force and brings to it those that hold another one; from then
   * on tries those again that it could not bring to it.
   */
  start(): void {
    void this.#inTurn(() => this.#applyTo(this.#syncs, true));
    this.#timer = setInterval(() => {
      if (this.#idle && this.#syncs.some((sync) => sync.unfinished)) void this.#inTurn(() => this.#retry());
    }, this.#retryMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#last;
  }

  /**
   * Reads the file and puts it in force. One reload runs at a time; those who ask meanwhile share the next one,
   * which reads the file anew.
   *
   * @throws ConfigError with everything that is wrong with the file: then nothing has changed
   */
  run(): Promise<ReloadResult> {
    this.#next ??= this.#inTurn(() => {
      this.#next = undefined;
      return this.#run();
    });
    return this.#next;
  }

  async #run(): Promise<ReloadResult> {
    const before = this.#config.current;
    const { config, requiresRestart } = await this.#checked(before).catch((error) => {
      this.#observer.reloadDone('invalid');
      throw error;
    });
    // First of all, so that questions about numbers that the nodes will know are answered right.
    this.#config.replace(config);
    const nodes = await this.#applyTo(this.#syncs, true);
    // Redis away: what is not configured any more is forgotten at the next reload.
    await this.#drains.forgetUnknown().catch(() => {});
    const outcome = nodes.every(({ applied }) => applied) ? 'applied' : 'incomplete';
    this.#observer.reloadDone(outcome);
    return { outcome, changes: changesBetween(before, config), requires_restart: requiresRestart, nodes };
  }

  /** What is right as a file may still need a value that only a restart applies. @throws ConfigError */
  async #checked(before: Config): Promise<ReturnType<typeof reloadable>> {
    const result = reloadable(before, await this.#load());
    const problems = crossChecks(result.config, new Set(), showWith(new Map()));
    if (problems.length > 0) {
      const waiting = result.requiresRestart.join(', ');
      throw new ConfigError(
        problems.map(({ path, message }) => ({
          path,
          message: `${message} (the changes of ${waiting} need a restart; until then this does not fit the old values)`,
        })),
      );
    }
    return result;
  }

  #retry(): Promise<NodeApplied[]> {
    return this.#applyTo(
      this.#syncs.filter((sync) => sync.unfinished),
      false,
    );
  }

  async #applyTo(syncs: readonly NodeSync[], thorough: boolean): Promise<NodeApplied[]> {
    const config = this.#config.current;
    return Promise.all(
      syncs.map(async (sync) => {
        const result = await sync.apply(config, thorough);
        this.#observer.nodeApplied(result);
        return result;
      }),
    );
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#idle = false;
    const done = turn
      .catch(() => {})
      .then(() => {
        if (this.#last === done) this.#idle = true;
      });
    this.#last = done;
    return turn;
  }
}
