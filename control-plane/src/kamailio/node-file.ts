import { parseHepAddress } from '../config/receivers.js';
import type { Config } from '../config/schema.js';
import { hasSeveralAddresses, publicAddress, sipSockets } from './sockets.js';

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
 * Events that may wait for Redis, for each MiB of shared memory: a quarter of it at 1 KiB each, so that calls always have
 * the rest.
 */
export const EVENTS_PER_MB = 256;

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
    substitute('EVENT_QUEUE_SIZE', String(config.kamailio.shared_memory_mb * EVENTS_PER_MB)),
    `#!define MAX_DURATION_S ${config.calls.max_duration_s}`,
    ...(config.calls.keepalive_s === 0 ? [] : [`#!define KEEPALIVE_S ${config.calls.keepalive_s}`]),
    `#!define RING_TIMEOUT_MS ${config.calls.ring_timeout_s * 1000}`,
    `#!define DECISION_TIMEOUT_MS ${config.retell.register_timeout_ms}`,
    ...(config.sip.tls === undefined ? [] : ['#!define WITH_TLS']),
    ...capture(config, node.name),
    // With several addresses the kernel's route decides which of them a message leaves from.
    ...(hasSeveralAddresses(listen) ? ['mhomed=1'] : []),
    ...listen.map((socket) => `listen=${socket}${advertised(config, socket)}`),
    `include_file "${options.mainFile}"`,
    '',
  ].join('\n');
}

function advertised(config: Config, socket: string): string {
  return config.sip.advertise === undefined ? '' : ` advertise ${publicAddress(config, socket)}`;
}

function capture({ capture: section, kamailio }: Config, node: string): string[] {
  if (section === undefined) return [];
  const { host, port } = parseHepAddress(section.hep);
  const position = kamailio.nodes.findIndex(({ name }) => name === node);
  return [
    '#!define WITH_CAPTURE',
    substitute('CAPTURE_SERVER', `${host.includes(':') ? `[${host}]` : host}:${port}`),
    `#!define CAPTURE_ID ${section.node_id + position}`,
  ];
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
