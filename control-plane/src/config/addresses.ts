import { isIP } from 'node:net';

/**
 * Parsers for the addresses that the configuration holds.
 *
 * Each throws a `Refusal` whose message completes the sentence `"<value>" …` with what is wrong and the fix.
 */

/** A text is not what its key wants; the message says why and what to write, without the text itself. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** An IP address as a number, so that networks can be compared. */
export interface Address {
  family: 4 | 6;
  value: bigint;
}

/** A block of addresses, from `first` to `last`, both included. */
export interface Network {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

/** A host name or an IP address (IPv6 without brackets), and a port. */
export interface HostPort {
  host: string;
  port: number;
}

/** A socket on which Kamailio takes SIP. */
export interface SipListen extends HostPort {
  transport: 'udp' | 'tcp';
}

/** The address of a SIP gateway; without a port or transport, the URI names none. */
export interface SipUri {
  host: string;
  port?: number;
  transport?: 'udp' | 'tcp';
}

const BITS = { 4: 32, 6: 128 } as const;

/** Parses an IPv4 or IPv6 address (no brackets, no zone). */
export function parseAddress(text: string): Address {
  const family = isIP(text);
  if (family === 4) {
    return { family, value: text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  }
  if (family === 6 && !text.includes('%')) {
    return { family, value: ipv6Value(text) };
  }
  throw new Refusal('is not an IP address; write it like 192.0.2.10 or 2001:db8::10');
}

/**
 * Parses a CIDR network or a single address, IPv4 or IPv6.
 *
 * Bits beyond the prefix are refused: they are a typing error more often than not, and a wrong network lets
 * strangers call.
 */
export function parseNetwork(text: string): Network {
  const [host = '', prefixText, ...rest] = text.split('/');
  const notNetwork = 'is not a CIDR network; write it like 198.51.100.0/24';
  if (isIP(host) === 0 || host.includes('%') || rest.length > 0) {
    throw new Refusal(notNetwork);
  }
  const { family, value } = parseAddress(host);
  const bits = BITS[family];
  if (family === 6 && value >> 32n === 0xffffn) {
    throw new Refusal('is IPv4 written as IPv6; write it as IPv4, like 198.51.100.0/24');
  }
  if (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText)) {
    throw new Refusal(notNetwork);
  }
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefix > bits) {
    throw new Refusal(notNetwork);
  }
  if (prefix === 0) {
    throw new Refusal('is the whole internet; write only the networks that really send calls');
  }
  const size = 1n << BigInt(bits - prefix);
  const first = value - (value % size);
  if (first !== value) {
    throw new Refusal(
      `has address bits beyond /${prefix}; write ${addressText(family, first)}/${prefix} for the network or ${host} for the one address`,
    );
  }
  return { family, first, last: first + size - 1n };
}

/** Parses `host:port` or `[IPv6]:port`. */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d+)$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  if (!match || !isHost(host, match[1] !== undefined)) {
    throw new Refusal('is not host:port; write it like 127.0.0.1:8080 or [::1]:8080');
  }
  return { host, port: parsePort(match[3] ?? '') };
}

/** Parses `udp:address:port` or `tcp:address:port`; the address is an IP address, IPv6 in brackets. */
export function parseSipListen(text: string): SipListen {
  const match = /^([a-z]+):(.+)$/.exec(text);
  const form = 'write it like udp:0.0.0.0:5060 or tcp:[::1]:5060';
  const [, transport = '', rest = ''] = match ?? [];
  const known = isTransport(transport);
  if (!known && ['tls', 'ws', 'wss', 'sctp'].includes(transport)) {
    throw new Refusal(`wants ${transport}, which is not supported yet; use udp or tcp`);
  }
  const socket = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d+)$/.exec(rest);
  const host = socket?.[1] ?? socket?.[2] ?? '';
  if (!known || !socket || isIP(host) !== (socket[1] === undefined ? 4 : 6) || host.includes('%')) {
    throw new Refusal(`is not transport:address:port with an IP address; ${form}`);
  }
  return { transport, host, port: parsePort(socket[3] ?? '') };
}

/** Parses a name or address with an optional port; IPv6 in brackets. */
export function parseAdvertise(text: string): { host: string; port?: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d+))?$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  if (!match || !isHost(host, match[1] !== undefined)) {
    throw new Refusal(
      'is not a name or address; write it like sip.example.com, 203.0.113.5:5060 or [2001:db8::5]',
    );
  }
  if (isWildcard(host)) {
    throw new Refusal('is not an address that others can send to; write the public name or address');
  }
  return { host, ...(match[3] !== undefined && { port: parsePort(match[3]) }) };
}

/**
 * Parses the SIP URI of a gateway: `sip:host[:port][;transport=udp|tcp]` (RFC 3261 section 19.1).
 *
 * A user part, other parameters and headers are refused: the proxy puts the dialled number in.
 */
export function parseSipUri(text: string): SipUri {
  const form = 'write it like sip:sip.example.com;transport=tcp';
  const [, scheme = '', rest = ''] = /^(sips?):(.*)$/is.exec(text) ?? [];
  if (scheme === '') {
    throw new Refusal(`is not a SIP URI; ${form}`);
  }
  if (scheme.toLowerCase() === 'sips') {
    throw new Refusal(
      'is a sips URI, and TLS is not supported yet; use sip: with ;transport=udp or ;transport=tcp',
    );
  }
  if (rest.includes('@')) {
    throw new Refusal(`has a user part, which a gateway does not have; ${form}`);
  }
  const match = /^(?:\[([^\]]*)\]|([^:;?[\]]*))(?::(\d+))?(;.*)?$/s.exec(rest);
  const host = match?.[1] ?? match?.[2] ?? '';
  if (!match || !isHost(host, match[1] !== undefined)) {
    throw new Refusal(`is not a SIP URI with a host; ${form}`);
  }
  const uri: SipUri = { host, ...(match[3] !== undefined && { port: parsePort(match[3]) }) };
  if (match[4] === undefined) {
    return uri;
  }
  const transport = /^;transport=([a-z]+)$/i.exec(match[4])?.[1]?.toLowerCase();
  if (transport === 'tls') {
    throw new Refusal('wants TLS, which is not supported yet; use ;transport=udp or ;transport=tcp');
  }
  if (transport === undefined || !isTransport(transport)) {
    throw new Refusal('has parameters other than ;transport=udp or ;transport=tcp; leave the others out');
  }
  return { ...uri, transport };
}

/** Parses the address of Kamailio's JSON-RPC: `http://host[:port]/RPC`. */
export function parseRpcUrl(text: string): HostPort {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const form = 'write it like http://127.0.0.1:8088/RPC';
  if (url?.protocol === 'https:') {
    throw new Refusal(`is https, and Kamailio answers here over http only; ${form}`);
  }
  if (url?.protocol !== 'http:') {
    throw new Refusal(`is not an http URL; ${form}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new Refusal('has a user or password in it; leave them out and set rpc_token');
  }
  if (url.pathname !== '/RPC' || url.search !== '' || url.hash !== '') {
    throw new Refusal(`does not end in /RPC; ${form}`);
  }
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 80 : parsePort(url.port) };
}

/**
 * Parses `redis://` with a host and, where wanted, password, port and database number. TLS and user names are
 * refused: Kamailio's Redis client of Debian 12 knows neither.
 */
export function parseRedisUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url?.protocol !== 'redis:' ||
    url.username !== '' ||
    url.hostname === '' ||
    !/^\/?\d*$/.test(url.pathname)
  ) {
    throw new Refusal(
      'is not a Redis URL without TLS and user name; write it like redis://127.0.0.1:6379 or redis://:password@redis.example.com:6379/0',
    );
  }
  return url;
}

/** Whether the host is the address that stands for all of the machine's own. */
export function isWildcard(host: string): boolean {
  return isIP(host) !== 0 && parseAddress(host).value === 0n;
}

/** A text that is the same for two ways of writing one host. Asks no DNS. */
export function hostKey(host: string): string {
  const name = host.toLowerCase();
  const address = name === 'localhost' ? '127.0.0.1' : name;
  if (isIP(address) === 0) {
    return address;
  }
  const { family, value } = parseAddress(address);
  return `${family}:${value}`;
}

function isTransport(text: string): text is 'udp' | 'tcp' {
  return text === 'udp' || text === 'tcp';
}

function parsePort(text: string): number {
  const port = Number(text);
  if (port < 1 || port > 65535) {
    throw new Refusal('has a port out of range; ports go from 1 to 65535');
  }
  return port;
}

/** Whether the text is an IPv6 address (in brackets), or an IPv4 address or a host name (not in brackets). */
function isHost(text: string, inBrackets: boolean): boolean {
  if (inBrackets) {
    return isIP(text) === 6 && !text.includes('%');
  }
  const labels = text.split('.');
  return (
    isIP(text) === 4 ||
    (text.length <= 253 &&
      labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label)) &&
      // A name that ends in a number is an IPv4 address with a mistake in it.
      !/^\d+$/.test(labels.at(-1) ?? ''))
  );
}

function ipv6Value(text: string): bigint {
  const hex = text.replace(/[\d.]+$/, (tail) => {
    if (!tail.includes('.')) {
      return tail;
    }
    const { value } = parseAddress(tail);
    return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
  });
  const [head = '', tail] = hex.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const left = groups(head);
  const right = groups(tail ?? '');
  const zeros: string[] = Array(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}

function addressText(family: 4 | 6, value: bigint): string {
  const [parts, width] = family === 4 ? [4, 8] : [8, 16];
  const text = Array.from({ length: parts }, (_, index) => {
    const part = (value >> BigInt(width * (parts - 1 - index))) & ((1n << BigInt(width)) - 1n);
    return part.toString(family === 4 ? 10 : 16);
  }).join(family === 4 ? '.' : ':');
  // The URL parser shortens IPv6 as RFC 5952 wants it.
  return family === 4 ? text : new URL(`http://[${text}]`).hostname.slice(1, -1);
}
