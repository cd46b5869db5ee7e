import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import {
  isWildcard,
  parseAdvertise,
  parseSipListen,
  type SipListen,
  type SipUri,
} from '../config/addresses.js';
import type { Config } from '../config/schema.js';

/** The sockets on which Kamailio really takes SIP, e.g. udp:192.0.2.1:5060. */
export function sipSockets(config: Config): string[] {
  return config.sip.listen.flatMap((socket) => listenAddresses(socket, config.sip.advertise));
}

/** Whether the sockets are on more than one address. */
export function hasSeveralAddresses(sockets: readonly string[]): boolean {
  return new Set(sockets.map((socket) => parseSipListen(socket).host)).size > 1;
}

/**
 * The socket that requests to a SIP URI leave from, or undefined where the kernel's route decides between
 * several addresses. Left alone Kamailio may take the RPC socket for SIP over TCP, and then drop what comes
 * back to it. Names are reached over IPv4 where we have it.
 */
export function sendSocket(config: Config, { host, transport = 'udp' }: SipUri): string | undefined {
  const sockets = sipSockets(config).filter((socket) => parseSipListen(socket).transport === transport);
  const family = isIP(host) || (sockets.some((socket) => !isIpv6(socket)) ? 4 : 6);
  const fit = sockets.filter((socket) => isIpv6(socket) === (family === 6));
  return hasSeveralAddresses(fit) ? undefined : fit[0];
}

/** The name or address with port that others reach a socket at. */
export function publicAddress(config: Config, socket: string): string {
  const { host, port } = parseSipListen(socket);
  if (config.sip.advertise === undefined) return `${literal(host)}:${port}`;
  const advertised = parseAdvertise(config.sip.advertise);
  return `${literal(advertised.host)}:${advertised.port ?? port}`;
}

/**
 * Kamailio writes the address that it listens on into Via and Record-Route: where that is 0.0.0.0 or ::
 * and no public name is configured, it listens on each of the machine's addresses instead.
 */
function listenAddresses(socket: string, advertise: string | undefined): string[] {
  const { transport, host, port }: SipListen = parseSipListen(socket);
  if (advertise !== undefined || !isWildcard(host)) return [socket];
  return addressesOf(host.includes(':') ? 'IPv6' : 'IPv4').map(
    (address) => `${transport}:${literal(address)}:${port}`,
  );
}

function addressesOf(family: 'IPv4' | 'IPv6'): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => address.family === family && !address.address.startsWith('fe80'))
    .map(({ address }) => address);
}

function isIpv6(socket: string): boolean {
  return parseSipListen(socket).host.includes(':');
}

function literal(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
