import { parseAddress } from '../config/networks.js';
import type { NodeNetwork, RoutingTables } from '../kamailio/routing-tables.js';

/** How many of an htable's changed keys are compared one by one. */
const KEYS_COMPARED = 20;
/** How many differences of one table are named. */
const NAMED = 3;

/** One of Kamailio's data files that it can read anew while it runs. */
export interface DataTable {
  file: string;
  /** Whether it leads calls to dispatcher sets. */
  leadsToSets: boolean;
  reload(node: RoutingTables): Promise<void>;
  /**
   * How what the node holds differs from the file, in words; empty where it does not.
   *
   * @param before the file as it was before, to know which keys are worth a look
   */
  differences(node: RoutingTables, text: string, before: string): Promise<string[]>;
}

/**
 * The table that a data file is read into, or undefined for the one file that is none.
 *
 * @throws RangeError for a file that nobody has told how to reload
 */
export function tableOf(file: string, text: string): DataTable | undefined {
  switch (file) {
    case 'version':
      return undefined;
    case 'dispatcher.list':
      return {
        file,
        leadsToSets: false,
        reload: (node) => node.reloadGateways(),
        differences: gatewayDifferences,
      };
    case 'address.list':
      return {
        file,
        leadsToSets: false,
        reload: (node) => node.reloadNetworks(),
        differences: networkDifferences,
      };
    case 'uacreg':
      return {
        file,
        leadsToSets: false,
        reload: (node) => node.reloadRegistrations(),
        differences: registrationDifferences,
      };
    case 'tls.conf':
      // Kamailio shows of its TLS profiles no more than that they are there.
      return {
        file,
        leadsToSets: false,
        reload: (node) => node.reloadTls(),
        differences: async () => [],
      };
  }
  if (!text.startsWith('id(int,auto) key_name(')) throw new RangeError(`no table is read from ${file}`);
  return {
    file,
    leadsToSets: file === 'prefixes' || file === 'routes',
    reload: (node) => node.reloadTable(file),
    differences: (node, now, before) => htableDifferences(node, file, now, before),
  };
}

/** The dispatcher sets that a dispatcher.list has lines of, with the lines. */
export function gatewaySets(text: string): Map<string, string[]> {
  const sets = new Map<string, string[]>();
  for (const line of lines(text)) {
    const [set = ''] = line.split(' ');
    sets.set(set, [...(sets.get(set) ?? []), line]);
  }
  return sets;
}

async function gatewayDifferences(node: RoutingTables, text: string): Promise<string[]> {
  const wanted = lines(text).map((line) => {
    const [set, uri, , , attributes = ''] = line.split(' ');
    return `${set} ${uri} ${attributes}`;
  });
  const held = (await node.gateways()).map(({ set, uri, attributes }) => `${set} ${uri} ${attributes}`);
  const uris = (keys: string[]) => [...new Set(keys.map((key) => key.split(' ')[1] ?? ''))];
  return [
    // It leaves a gateway out whose name it cannot resolve when it reads the list.
    ...told('gateways that Kamailio does not hold (does the name resolve?)', uris(missing(wanted, held))),
    ...told('gateways that Kamailio should not hold', uris(missing(held, wanted))),
  ];
}

async function networkDifferences(node: RoutingTables, text: string): Promise<string[]> {
  const wanted = lines(text).map((line) => {
    const [group, address = '', prefix, , tag = ''] = line.split(' ');
    return networkKey({ group: Number(group), address, prefix: Number(prefix), tag });
  });
  const held = (await node.networks()).map(networkKey);
  return [
    ...told('networks that Kamailio does not hold', missing(wanted, held)),
    ...told('networks that Kamailio should not hold', missing(held, wanted)),
  ];
}

/** Two ways of writing one address are one key. */
function networkKey({ group, address, prefix, tag }: NodeNetwork): string {
  const { family, value } = parseAddress(address);
  const bits = BigInt((family === 4 ? 32 : 128) - prefix);
  return `${group} ${family}:${(value >> bits).toString(16)}/${prefix} ${tag}`;
}

async function registrationDifferences(node: RoutingTables, text: string): Promise<string[]> {
  const wanted = rowsOf(text).map(([, id = '']) => id);
  const held = (await node.registrations()).map(({ id }) => id);
  return [
    ...told('registrations that Kamailio does not hold', missing(wanted, held)),
    ...told('registrations that Kamailio should not hold', missing(held, wanted)),
  ];
}

/** A big table is not read back whole: the number of its keys, and the keys that changed. */
async function htableDifferences(
  node: RoutingTables,
  table: string,
  text: string,
  before: string,
): Promise<string[]> {
  const wanted = valuesOf(text);
  const size = (await node.tableSizes()).get(table);
  const counts = size === wanted.size ? [] : [`${table}: ${size ?? 'no'} keys instead of ${wanted.size}`];
  const was = valuesOf(before);
  const changed = [...wanted].filter(([key, value]) => was.get(key) !== value).slice(0, KEYS_COMPARED);
  const wrong: string[] = [];
  for (const [key, value] of changed) {
    if ((await node.tableValue(table, key)) !== value) wrong.push(key);
  }
  return [...counts, ...told(`${table}: keys with another value`, wrong)];
}

function valuesOf(text: string): Map<string, string> {
  return new Map(rowsOf(text).map(([, key = '', , , value = '']) => [key, value]));
}

/** The rows of a db_text file by columns, without its header. */
function rowsOf(text: string): string[][] {
  return lines(text).slice(1).map(columnsOf);
}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', '0': '\0' };

function columnsOf(row: string): string[] {
  if (!row.includes('\\')) return row.split(':');
  return [...row.matchAll(/((?:\\.|[^\\:])*)(?::|$)/g)].map(([, column = '']) =>
    column.replace(/\\(.)/g, (_, char: string) => ESCAPES[char] ?? char),
  );
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function missing(wanted: readonly string[], held: readonly string[]): string[] {
  const there = new Set(held);
  return wanted.filter((key) => !there.has(key));
}

function told(what: string, which: string[]): string[] {
  if (which.length === 0) return [];
  const more = which.length > NAMED ? `, and ${which.length - NAMED} more` : '';
  return [`${what}: ${which.slice(0, NAMED).join(', ')}${more}`];
}
