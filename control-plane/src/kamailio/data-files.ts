import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseSipListen, parseSipUri } from '../config/addresses.js';
import type { Config } from '../config/schema.js';
import { hasSeveralAddresses, sipSockets } from './node-file.js';

/** Address groups, as kamailio/definitions.cfg names them. */
const CARRIERS = 1;
const RETELL = 2;

/** Columns of an htable that db_text reads (Kamailio's htable table, version 2). */
const HTABLE_HEADER =
  'id(int,auto) key_name(string) key_type(int) value_type(int) key_value(string) expires(int)';

/**
 * Kamailio's data files by name: the carriers', numbers' and gateways' part of the configuration in the
 * formats that Kamailio's modules read.
 */
export function renderDataFiles(config: Config): Map<string, string> {
  return new Map([
    ['address.list', renderAddresses(config)],
    ['dispatcher.list', renderGateways(config)],
    ['numbers', renderHtable(config.numbers.map(({ number, method }) => [number, method]))],
    [
      'routes',
      renderHtable([
        [
          'retell',
          gatewaySets(config)
            .map((_, i) => `${i + 1}=9`)
            .join(';'),
        ],
      ]),
    ],
    ['version', 'id(int,auto) table_name(string) table_version(int)\n1:htable:2\n'],
  ]);
}

/** Writes the data files; each is replaced in one step, so that Kamailio never reads half a file. */
export async function writeDataFiles(config: Config, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, text] of renderDataFiles(config)) {
    const path = join(directory, name);
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  }
}

/** permissions' address file: group, address, prefix length, port (0: any), tag. */
function renderAddresses(config: Config): string {
  const carriers = config.carriers.flatMap(({ name, networks }) =>
    networks.map((network) => addressLine(CARRIERS, network, name)),
  );
  const retell = config.retell.networks.map((network) => addressLine(RETELL, network, 'retell'));
  return [...carriers, ...retell, ''].join('\n');
}

function addressLine(group: number, network: string, tag: string): string {
  const [address = '', prefix] = network.split('/');
  return `${group} ${address} ${prefix ?? (address.includes(':') ? 128 : 32)} 0 ${tag}`;
}

/** One dispatcher set for each priority of Retell's gateways, the first in line first. */
function gatewaySets(config: Config): Config['retell']['gateways'][] {
  const priorities = [...new Set(config.retell.gateways.map(({ priority }) => priority))].sort(
    (a, b) => a - b,
  );
  return priorities.map((priority) =>
    config.retell.gateways.filter((gateway) => gateway.priority === priority),
  );
}

/** dispatcher's list: set, URI, flags, priority, attributes. Its weights are shares of 100. */
function renderGateways(config: Config): string {
  const sockets = sipSockets(config);
  const lines = gatewaySets(config).flatMap((gateways, i) => {
    const weights = sharesOf100(gateways.map(({ weight }) => weight));
    return gateways.map(
      ({ uri }, j) => `${i + 1} ${uri} 0 0 weight=${weights[j]}${sendSocket(uri, sockets)}`,
    );
  });
  return [...lines, ''].join('\n');
}

/**
 * The socket that requests to a gateway leave from. Left alone Kamailio may take the RPC socket for SIP
 * over TCP, and then drop what comes back to it. With several addresses the kernel's route decides.
 */
function sendSocket(uri: string, sockets: readonly string[]): string {
  const { transport = 'udp' } = parseSipUri(uri);
  const fit = sockets.filter((socket) => parseSipListen(socket).transport === transport);
  return fit.length === 0 || hasSeveralAddresses(fit) ? '' : `;socket=${fit[0]}`;
}

/** Whole shares in the ratio of the weights that add up to 100, each at least 1. */
function sharesOf100(weights: number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const shares = weights.map((weight) => Math.max(1, Math.floor((weight * 100) / sum)));
  const heaviest = weights.indexOf(Math.max(...weights));
  const rest = 100 - shares.reduce((a, b) => a + b, 0);
  return shares.map((share, i) => (i === heaviest ? share + rest : share));
}

/** db_text: one row a line, columns divided by colons; a colon or backslash in a value is escaped. */
function renderHtable(rows: (readonly [key: string, value: string])[]): string {
  const column = (text: string) => text.replace(/[\\:]/g, (char) => `\\${char}`);
  const lines = rows.map(([key, value], i) => `${i + 1}:${column(key)}:0:0:${column(value)}:0`);
  return [HTABLE_HEADER, ...lines, ''].join('\n');
}
