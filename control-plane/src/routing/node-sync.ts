import { readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/schema.js';
import { renderDataFiles, writeDataFiles } from '../kamailio/data-files.js';
import { KamailioError } from '../kamailio/errors.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';
import { type DataTable, gatewaySets, tableOf } from './data-tables.js';

const GATEWAYS = 'dispatcher.list';
const TLS = 'tls.conf';
/** A set that appears must be there before anything leads to it, so the gateways come first. */
const ORDER = [GATEWAYS, 'address.list', TLS];

export interface NodeSyncOptions {
  node: RoutingTables;
  /** Where the node's data files are. */
  directory: string;
  /** Told after every dispatcher.reload, which makes Kamailio forget who is drained. */
  gatewaysReloaded: () => Promise<void>;
}

/** Whether a node holds the configuration. */
export interface NodeApplied {
  name: string;
  applied: boolean;
  /** What was read anew, or why it is not applied. */
  detail: string;
}

/**
 * Brings one node to the configuration: writes its data files, has Kamailio read those tables that changed,
 * and compares what it then holds.
 */
export class NodeSync {
  readonly #node: RoutingTables;
  readonly #directory: string;
  readonly #gatewaysReloaded: () => Promise<void>;
  /** Tables whose file is written and which Kamailio has not read since. */
  readonly #behind = new Set<string>();
  /** The last attempt broke off, so what the node holds is not known. */
  #brokeOff = false;

  constructor(options: NodeSyncOptions) {
    this.#node = options.node;
    this.#directory = options.directory;
    this.#gatewaysReloaded = options.gatewaysReloaded;
  }

  get name(): string {
    return this.#node.name;
  }

  /** Whether another try may help: the last one broke off, or Kamailio would not read a table. */
  get unfinished(): boolean {
    return this.#brokeOff || this.#behind.size > 0;
  }

  /**
   * @param thorough whether tables whose files did not change are compared too, and the certificates of TLS,
   *   whose files have no table, read anew
   * @returns why it is not applied, where it is not: this never rejects
   */
  async apply(config: Config, thorough: boolean): Promise<NodeApplied> {
    try {
      const result = await this.#apply(config, thorough || this.#brokeOff, thorough);
      this.#brokeOff = false;
      return { name: this.name, ...result };
    } catch (error) {
      this.#brokeOff = true;
      return { name: this.name, applied: false, detail: messageOf(error) };
    }
  }

  async #apply(config: Config, compare: boolean, certificates: boolean): Promise<Omit<NodeApplied, 'name'>> {
    const files = renderDataFiles(config);
    const before = await this.#filesOf([...files.keys()]);
    const writtenBefore = await this.#timesOf([...files.keys()]);
    for (const [file, text] of files) if (before.get(file) !== text) this.#behind.add(file);
    if (certificates && files.has(TLS)) this.#behind.add(TLS);
    await writeDataFiles(config, this.#directory);

    const tables = [...files]
      .map(([file, text]) => tableOf(file, text))
      .filter((table) => table !== undefined)
      .sort((a, b) => rank(a) - rank(b));
    for (const file of this.#behind)
      if (!tables.some((table) => table.file === file)) this.#behind.delete(file);
    // The node may hold something else than its files say: it was changed by hand, or a reload broke off.
    for (const table of compare ? tables : []) {
      const text = files.get(table.file) ?? '';
      if (!this.#behind.has(table.file) && (await table.differences(this.#node, text, text)).length > 0) {
        this.#behind.add(table.file);
      }
    }

    const wanted = tables.filter(({ file }) => this.#behind.has(file));
    // A node that hangs is known by this, and not waited for as long as reading a table may take.
    await this.#node.tableSizes();
    await this.#setTimes([...files.keys()], writtenBefore);
    const refused = await this.#reload(wanted, files.get(GATEWAYS) ?? '', before.get(GATEWAYS) ?? '');
    const differences: string[] = [];
    for (const table of compare ? tables : wanted) {
      if (this.#behind.has(table.file)) continue;
      const text = files.get(table.file) ?? '';
      differences.push(...(await table.differences(this.#node, text, before.get(table.file) ?? '')));
    }
    const read = wanted.map(({ file }) => file).join(', ');
    const troubles = [...refused, ...differences];
    return {
      applied: troubles.length === 0,
      detail: troubles.join('; ') || (read === '' ? 'nothing to read anew' : `read anew: ${read}`),
    };
  }

  /**
   * Has Kamailio read the tables. While the others still lead to a dispatcher set that goes, the set stays.
   *
   * @returns what it refused to read, in words
   */
  async #reload(tables: readonly DataTable[], gateways: string, before: string): Promise<string[]> {
    const kept = tables.some(({ file }) => file === GATEWAYS) ? setsThatGo(before, gateways) : '';
    if (kept !== '') await this.#write(GATEWAYS, gateways + kept);
    const refused: string[] = [];
    for (const table of tables) {
      const trouble = await this.#reloadOne(table);
      if (trouble !== undefined) refused.push(trouble);
    }
    const led = tables.some(({ file, leadsToSets }) => leadsToSets && this.#behind.has(file));
    if (kept !== '') {
      this.#behind.add(GATEWAYS);
      await this.#write(GATEWAYS, gateways);
      if (led) return [...refused, `${GATEWAYS}: waits, calls may still be led to gateways that go`];
      const table = tables.find(({ file }) => file === GATEWAYS);
      const trouble = table && (await this.#reloadOne(table));
      if (trouble !== undefined) refused.push(trouble);
    }
    return refused;
  }

  async #reloadOne(table: DataTable): Promise<string | undefined> {
    try {
      if (table.file === GATEWAYS) await this.#reloadGateways(table);
      else await table.reload(this.#node);
      this.#behind.delete(table.file);
      return undefined;
    } catch (error) {
      if (error instanceof KamailioError && error.nodeIsDown) throw error;
      return `${table.file}: ${messageOf(error)}`;
    }
  }

  /** A reload makes every gateway look alive. Those that were known to be dead are told so again. */
  async #reloadGateways(table: DataTable): Promise<void> {
    const before = await this.#node.gateways();
    const alive = new Set(before.filter(({ state }) => state !== 'inactive').map(({ uri }) => uri));
    const known = new Set(before.map(({ uri }) => uri));
    await table.reload(this.#node);
    await this.#gatewaysReloaded();
    for (const { set, uri, state } of await this.#node.gateways()) {
      if (state === 'active' && known.has(uri) && !alive.has(uri)) {
        await this.#node.setGatewayState(set, uri, 'ip');
      }
    }
  }

  async #filesOf(names: readonly string[]): Promise<Map<string, string>> {
    const entries = names.map(async (name) => {
      const text = await readFile(join(this.#directory, name), 'utf8').catch(() => undefined);
      return text === undefined ? [] : [[name, text] as const];
    });
    return new Map((await Promise.all(entries)).flat());
  }

  /** When files were written last, in whole seconds since 1970. */
  async #timesOf(names: readonly string[]): Promise<Map<string, number>> {
    const entries = names.map(async (name) => {
      const found = await stat(join(this.#directory, name)).catch(() => undefined);
      return found === undefined ? [] : [[name, Math.floor(found.mtimeMs / 1000)] as const];
    });
    return new Map((await Promise.all(entries)).flat());
  }

  /**
   * db_text reads a file anew only where it is at least a whole second newer than what it has read: those that
   * are to be read become so, and all others stay as old as they were.
   */
  async #setTimes(names: readonly string[], before: ReadonlyMap<string, number>): Promise<void> {
    const now = Math.floor(Date.now() / 1000);
    for (const name of names) {
      const old = before.get(name);
      const time = old === undefined ? now : this.#behind.has(name) ? Math.max(now, old + 1) : old;
      await utimes(join(this.#directory, name), time, time);
    }
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.#directory, name);
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }
}

function rank({ file }: DataTable): number {
  const place = ORDER.indexOf(file);
  return place === -1 ? ORDER.length : place;
}

/** The lines of the sets that are in the list of before and in that of now no more. */
function setsThatGo(before: string, now: string): string {
  const stay = gatewaySets(now);
  return [...gatewaySets(before)]
    .filter(([set]) => !stay.has(set))
    .flatMap(([, lines]) => lines)
    .map((line) => `${line}\n`)
    .join('');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
