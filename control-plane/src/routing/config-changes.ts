import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config/schema.js';

/** How many changed carriers, numbers or endpoints of webhooks are named; all of them are counted. */
const NAMES = 100;

/** What only a restart applies: whole sections, or single keys of one. Everything else follows a reload. */
const RESTART: { [Section in keyof Config]?: 'all' | (keyof Config[Section] & string)[] } = {
  sip: 'all',
  retell: ['register_timeout_ms'],
  calls: ['keepalive_s', 'ring_timeout_s', 'hangup_timeout_ms', 'retention_days'],
  records: 'all',
  capture: 'all',
  traces: 'all',
  api: 'all',
  redis: 'all',
  kamailio: 'all',
  log: 'all',
};

/** Entries of a list by what happened to them. */
export interface ListChange {
  count: number;
  /** The first hundred. */
  names: string[];
}

export interface ListChanges {
  added: ListChange;
  removed: ListChange;
  changed: ListChange;
}

/** How two configurations differ. */
export interface ConfigChanges {
  carriers: ListChanges;
  numbers: ListChanges;
  /** Endpoints of our own webhooks. */
  webhooks: ListChanges;
  /** Other keys, such as `retell.gateways`. */
  keys: string[];
}

/** The configuration that can be in force without a restart, and what of the loaded one has to wait for it. */
export interface Reloadable {
  config: Config;
  /** Changed keys that keep their old value, such as `sip.listen`. */
  requiresRestart: string[];
}

/** What of `loaded` a reload can put in force in place of `active`. */
export function reloadable(active: Config, loaded: Config): Reloadable {
  const config = structuredClone(loaded);
  const waiting = keysThatDiffer(active, loaded).filter(([section, key]) => needsRestart(section, key));
  for (const [section, key] of waiting) keepOld(config, active, section, key);
  return { config, requiresRestart: waiting.map(([section, key]) => `${section}.${key}`) };
}

export function changesBetween(before: Config, after: Config): ConfigChanges {
  return {
    carriers: listChanges(before.carriers, after.carriers, ({ name }) => name),
    numbers: listChanges(before.numbers, after.numbers, ({ number }) => number),
    webhooks: listChanges(before.webhooks, after.webhooks, ({ name }) => name),
    keys: keysThatDiffer(before, after).map(([section, key]) => `${section}.${key}`),
  };
}

type Sections = Record<string, Record<string, unknown> | undefined>;

function needsRestart(section: string, key: string): boolean {
  const keys: 'all' | string[] | undefined = RESTART[section as keyof Config];
  return keys === 'all' || (keys?.includes(key) ?? false);
}

/** What is a list of named entries, not a section with keys. */
const LISTS: readonly string[] = ['carriers', 'numbers', 'webhooks'] satisfies (keyof Config)[];

/** Section and key of every value that differs, outside the lists. */
function keysThatDiffer(a: Config, b: Config): [section: string, key: string][] {
  const [before, after] = [a, b] as unknown as [Sections, Sections];
  const sections = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return sections
    .filter((section) => !LISTS.includes(section))
    .flatMap((section) => {
      const [was = {}, is = {}] = [before[section], after[section]];
      return [...new Set([...Object.keys(was), ...Object.keys(is)])]
        .filter((key) => !isDeepStrictEqual(was[key], is[key]))
        .map((key): [string, string] => [section, key]);
    })
    .sort();
}

function keepOld(config: Config, active: Config, section: string, key: string): void {
  const [target, source] = [config, active] as unknown as [Sections, Sections];
  const old = source[section];
  if (old === undefined) {
    delete target[section];
    return;
  }
  const values = target[section] ?? {};
  target[section] = values;
  if (old[key] === undefined) delete values[key];
  else values[key] = structuredClone(old[key]);
}

function listChanges<T>(
  before: readonly T[],
  after: readonly T[],
  nameOf: (entry: T) => string,
): ListChanges {
  const was = new Map(before.map((entry) => [nameOf(entry), entry]));
  const is = new Map(after.map((entry) => [nameOf(entry), entry]));
  return {
    added: counted([...is.keys()].filter((name) => !was.has(name))),
    removed: counted([...was.keys()].filter((name) => !is.has(name))),
    changed: counted(
      [...is]
        .filter(([name, entry]) => was.has(name) && !isDeepStrictEqual(was.get(name), entry))
        .map(([name]) => name),
    ),
  };
}

function counted(names: string[]): ListChange {
  return { count: names.length, names: names.slice(0, NAMES) };
}
