import { networkInterfaces } from 'node:os';
import { isWildcard, parseAdvertise, parseSipListen } from '../config/addresses.js';
import type { Config } from '../config/schema.js';

export interface NodeFileOptions {
  /** The node's name, one of `kamailio.nodes`. */
  node: string;
  /** Redis as Kamailio reaches it, e.g. redis://127.0.0.1:6379/0. Its password is read from REDIS_PASSWORD. */
  redisUrl: string;
  /** Directory of the data files, absolute. */
  dataDirectory: string;
  /** kamailio/kamailio.cfg, absolute. */
  mainFile: string;
}

/**
 * The file that a Kamailio node is started with: its addresses and sizes as definitions, then the
 * configuration that all nodes share. It holds no secret: they come as environment variables
 * (KAMAILIO_RPC_TOKEN, REDIS_PASSWORD).
 *
 * @throws RangeError where the node is not configured
 */
export function renderNodeFile(config: Config, options: NodeFileOptions): string {
  const node = config.kamailio.nodes.find(({ name }) => name === options.node);
  if (node === undefined) throw new RangeError(`kamailio.nodes has no node ${options.node}`);
  const rpc = new URL(node.rpc_url);
  const listen = sipSockets(config);
  return [
    '#!KAMAILIO',
    '# Rendered from config.yaml: changes here are lost.',
    substitute('NODE_NAME', node.name),
    substitute('DATA_DIR', options.dataDirectory),
    substitute('RPC_LISTEN', `tcp:${rpc.host}`),
    `#!define RPC_PORT ${rpc.port}`,
    substitute('REDIS_SERVER', redisServer(options.redisUrl)),
    `#!define SIP_WORKERS ${config.sip.workers}`,
    `#!define MAX_DURATION_S ${config.calls.max_duration_s}`,
    `#!define RING_TIMEOUT_MS ${config.calls.ring_timeout_s * 1000}`,
    // With several addresses the kernel's route decides which of them a message leaves from.
    ...(hasSeveralAddresses(listen) ? ['mhomed=1'] : []),
    ...listen.map((socket) => `listen=${socket}${advertised(config.sip.advertise, socket)}`),
    `include_file "${options.mainFile}"`,
    '',
  ].join('\n');
}

/** The sockets on which Kamailio really takes SIP, e.g. udp:192.0.2.1:5060. */
export function sipSockets(config: Config): string[] {
  return config.sip.listen.flatMap((socket) => listenAddresses(socket, config.sip.advertise));
}

/** Whether the sockets are on more than one address. */
export function hasSeveralAddresses(sockets: readonly string[]): boolean {
  return new Set(sockets.map((socket) => parseSipListen(socket).host)).size > 1;
}

/**
 * Kamailio writes the address that it listens on into Via and Record-Route: where that is 0.0.0.0 or ::
 * and no public name is configured, it listens on each of the machine's addresses instead.
 */
function listenAddresses(socket: string, advertise: string | undefined): string[] {
  const { transport, host, port } = parseSipListen(socket);
  if (advertise !== undefined || !isWildcard(host)) return [socket];
  const ipv6 = host.includes(':');
  return addressesOf(ipv6 ? 'IPv6' : 'IPv4').map(
    (address) => `${transport}:${ipv6 ? `[${address}]` : address}:${port}`,
  );
}

function addressesOf(family: 'IPv4' | 'IPv6'): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => address.family === family && !address.address.startsWith('fe80'))
    .map(({ address }) => address);
}

function advertised(name: string | undefined, socket: string): string {
  if (name === undefined) return '';
  const { host, port } = parseAdvertise(name);
  const literal = host.includes(':') ? `[${host}]` : host;
  return ` advertise ${literal}:${port ?? parseSipListen(socket).port}`;
}

function redisServer(redisUrl: string): string {
  const url = new URL(redisUrl);
  const database = url.pathname.slice(1) || '0';
  const password = url.password === '' ? '' : ';pass=$env(REDIS_PASSWORD)';
  return `addr=${url.hostname};port=${url.port || 6379};db=${database}${password}`;
}

/** A definition that also stands inside of strings and listen lines. */
function substitute(name: string, value: string): string {
  return `#!substdef "!${name}!${value}!g"`;
}
