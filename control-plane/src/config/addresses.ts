import { isIP } from 'node:net';
import { isWithin, parseAddress } from './networks.js';
import { Refusal } from './refusal.js';

/**
 * Parsers for the hosts, ports, SIP addresses and URLs that the configuration holds.
 *
 * Each throws a `Refusal` whose message completes the sentence `"<value>" …` with what is wrong and the fix.
 */

/** A host name or an IP address (IPv6 without brackets), and a port. */
export interface HostPort {
  host: string;
  port: number;
}

/** What SIP is carried over. */
export type Transport = 'udp' | 'tcp' | 'tls';

/** The port of each where none is written (RFC 3261 section 19.1.2). */
export const DEFAULT_PORTS = { udp: 5060, tcp: 5060, tls: 5061 } as const;

/** A socket on which Kamailio takes SIP. */
export interface SipListen extends HostPort {
  transport: Transport;
}

/** The address of a SIP gateway (IPv6 without brackets); without a port or transport, the URI names none. */
export interface SipUri {
  host: string;
  port?: number;
  transport?: Transport;
}

/** A SIP address with a user part. */
export interface SipUserUri extends SipUri {
  user: string;
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

/** Parses `udp:address:port`, `tcp:` or `tls:`; the address is an IP address, IPv6 in brackets. */
export function parseSipListen(text: string): SipListen {
  const [, transport = '', rest = ''] = /^([a-z]+):(.+)$/.exec(text) ?? [];
  const known = isTransport(transport);
  if (!known && ['ws', 'wss', 'sctp'].includes(transport)) {
    throw new Refusal(`wants ${transport}, which is not supported; use udp, tcp or tls`);
  }
  const socket = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d+)$/.exec(rest);
  const host = socket?.[1] ?? socket?.[2] ?? '';
  if (!known || !socket || isIP(host) !== (socket[1] === undefined ? 4 : 6) || host.includes('%')) {
    throw new Refusal(
      'is not transport:address:port with an IP address; write it like udp:0.0.0.0:5060 or tcp:[::1]:5060',
    );
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

/** Parses a host name or an IP address; IPv6 in brackets. Gives it without them. */
export function parseHost(text: string): string {
  const inBrackets = text.startsWith('[') && text.endsWith(']');
  const host = inBrackets ? text.slice(1, -1) : text;
  if (!isHost(host, inBrackets)) {
    throw new Refusal(
      'is not a name or address; write it like sip.example.com, 203.0.113.5 or [2001:db8::5]',
    );
  }
  return host;
}

/** Parses a host name, no address: what a certificate bears. */
export function parseHostName(text: string): string {
  if (isIP(text) !== 0 || !isHost(text, false)) {
    throw new Refusal('is not a host name; write it like sip.example.com');
  }
  return text;
}

/**
 * Parses the SIP URI of a gateway or registrar: `sip:host[:port][;transport=udp|tcp|tls]` (RFC 3261 section 19.1).
 *
 * A user part, other parameters and headers are refused: the proxy puts the dialled number in.
 */
export function parseSipUri(text: string): SipUri {
  const form = 'write it like sip:sip.example.com;transport=tcp';
  const rest = afterSipScheme(text, form);
  if (rest.includes('@')) {
    throw new Refusal(`has a user part, which does not belong here; ${form}`);
  }
  return parseSipHostPart(rest, form);
}

/** Parses a SIP URI with a user part: `sip:user@host[:port][;transport=udp|tcp|tls]`. */
export function parseSipUserUri(text: string): SipUserUri {
  const form = 'write it like sip:+14155550199@198.51.100.10';
  const rest = afterSipScheme(text, form);
  const at = rest.lastIndexOf('@');
  if (at === -1) {
    throw new Refusal(`has no user part; ${form}`);
  }
  const user = rest.slice(0, at);
  if (!isSipUser(user)) {
    throw new Refusal(`has a user part that cannot be one; use ${SIP_USER_CHARACTERS}, ${form}`);
  }
  return { user, ...parseSipHostPart(rest.slice(at + 1), form) };
}

/** What `isSipUser` accepts, in words. */
export const SIP_USER_CHARACTERS = '1 to 64 letters, digits and + - . _ ~ * !';

/** Whether the text can stand before the @ of a SIP URI; what would need escaping there cannot. */
export function isSipUser(text: string): boolean {
  return /^[A-Za-z0-9+._~*!-]{1,64}$/.test(text);
}

function afterSipScheme(text: string, form: string): string {
  const [, scheme = '', rest = ''] = /^(sips?):(.*)$/is.exec(text) ?? [];
  if (scheme === '') {
    throw new Refusal(`is not a SIP URI; ${form}`);
  }
  if (scheme.toLowerCase() === 'sips') {
    throw new Refusal('is a sips URI; for TLS write sip: with ;transport=tls');
  }
  return rest;
}

function parseSipHostPart(text: string, form: string): SipUri {
  const match = /^(?:\[([^\]]*)\]|([^:;?[\]]*))(?::(\d+))?(;.*)?$/s.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  if (!match || !isHost(host, match[1] !== undefined)) {
    throw new Refusal(`is not a SIP URI with a host; ${form}`);
  }
  if (isWildcard(host)) {
    throw new Refusal(`has an address that nobody can be reached at; ${form}`);
  }
  const uri: SipUri = { host, ...(match[3] !== undefined && { port: parsePort(match[3]) }) };
  if (match[4] === undefined) {
    return uri;
  }
  const transport = /^;transport=([a-z]+)$/i.exec(match[4])?.[1]?.toLowerCase();
  if (transport === undefined || !isTransport(transport)) {
    throw new Refusal('has parameters other than ;transport=udp, tcp or tls; leave the others out');
  }
  return { ...uri, transport };
}

/** Parses the address of an HTTP API: `http://` or `https://`, with a port and a path where wanted. */
export function parseBaseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const form = 'write it like https://api.retellai.com';
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw new Refusal(`is not an http or https URL; ${form}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new Refusal(`has a user or password in it; ${form}`);
  }
  if (url.search !== '' || url.hash !== '') {
    throw new Refusal(`has a ? or # part; ${form}`);
  }
  return url;
}

/** RFC 1918, RFC 4193 and loopback. */
const PRIVATE_NETWORKS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '127.0.0.0/8', 'fc00::/7', '::1'];
/** Names that no public DNS has: of one label, and of the domains that are kept for private use. */
const PRIVATE_NAME = /^[^.]+$|\.(localhost|local|internal|home\.arpa)$/i;

/** Parses where webhooks are posted to: `https://`, or `http://` where nobody outside can listen. */
export function parseWebhookUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const form = 'write it like https://crm.example.com/hooks/calls';
  if ((url?.protocol !== 'https:' && url?.protocol !== 'http:') || text.length > 2000) {
    throw new Refusal(`is not an https URL of up to 2000 characters; ${form}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new Refusal(`has a user or password in it; leave them out: the signature says who sends`);
  }
  if (url.hash !== '') {
    throw new Refusal(`has a # part, which is never sent; ${form}`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isPrivate = isIP(host) === 0 ? PRIVATE_NAME.test(host) : isWithin(host, PRIVATE_NETWORKS);
  if (url.protocol === 'http:' && !isPrivate) {
    throw new Refusal(`is http to a host that is not on a private network; ${form}`);
  }
  return url;
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

function isTransport(text: string): text is Transport {
  return text === 'udp' || text === 'tcp' || text === 'tls';
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
