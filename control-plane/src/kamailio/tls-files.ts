import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseSipUri, parseSipUserUri, type SipUri } from '../config/addresses.js';
import { parseAddress } from '../config/networks.js';
import type { Config } from '../config/schema.js';

/** tls.conf of Kamailio's tls module: one profile for those who connect to us, one for those we connect to. */
export function renderTlsConfig(tls: NonNullable<Config['sip']['tls']>): string {
  const files = [
    `certificate = ${resolve(tls.certificate)}`,
    `private_key = ${resolve(tls.private_key)}`,
    `ca_list = ${resolve(tls.ca)}`,
  ];
  const profile = (name: string, verify: boolean) => [
    `[${name}:default]`,
    'method = TLSv1.2+',
    `verify_certificate = ${verify ? 'yes' : 'no'}`,
    `require_certificate = ${verify ? 'yes' : 'no'}`,
    ...files,
    '',
  ];
  return [...profile('server', tls.require_client_certificate), ...profile('client', true)].join('\n');
}

/**
 * The table tls_names (kamailio/certificates.cfg): which names the certificates of peers may bear.
 *
 * - `*::name`: at the other end of a connection of ours to any address, for gateways that are names
 * - `listed::address` and `address::name`: the same at this address alone
 * - `peer::carrier` and `carrier::name`: who connects to us as this carrier, with client certificates
 * - `names::place::n`, where the place is `*`, an address or a carrier: the names above as they stand in a
 *   certificate, as patterns, n from 0
 */
export function tlsNames(config: Config): [key: string, value: string | number][] {
  if (config.sip.tls === undefined) return [];
  const places = new Map<string, Set<string>>();
  const add = (place: string, name: string) => {
    const names = places.get(place) ?? new Set();
    for (const spelling of spellings(canonical(name))) names.add(spelling);
    places.set(place, names);
  };
  const ours = config.sip.tls.require_client_certificate;
  const keys = new Set<string>();
  for (const { name, uris, tls_name } of peers(config)) {
    const hosts = uris.filter(({ transport }) => transport === 'tls').map(({ host }) => canonical(host));
    for (const host of hosts) {
      add(isIP(host) === 0 ? '*' : host, tls_name ?? host);
      if (isIP(host) !== 0) keys.add(`listed::${host}`);
    }
    if (ours && name !== undefined && tls_name !== undefined) {
      add(name, tls_name);
      keys.add(`peer::${name}`);
    }
  }
  for (const [place, names] of places) for (const name of names) keys.add(`${place}::${name}`);
  return [
    ...[...keys].map((key): [string, number] => [key, 1]),
    ...[...places].flatMap(([place, names]) =>
      chunks([...names].map(encoded)).map((some, n): [string, string] => [
        `names::${place}::${n}`,
        some.join('|'),
      ]),
    ),
  ];
}

interface TlsPeer {
  /** Who may call us under this name; undefined where it only takes calls. */
  name?: string;
  tls_name?: string | undefined;
  /** Where we connect to. */
  uris: SipUri[];
}

function peers(config: Config): TlsPeer[] {
  const { retell, carriers, numbers } = config;
  return [
    { name: 'retell', tls_name: retell.tls_name, uris: retell.gateways.map(({ uri }) => parseSipUri(uri)) },
    ...carriers.map(({ name, tls_name, gateways, register }) => ({
      name,
      tls_name,
      uris: [...gateways.map(({ uri }) => uri), ...(register ? [register.registrar] : [])].map(parseSipUri),
    })),
    ...numbers.flatMap(({ fallback }) =>
      fallback === undefined ? [] : [{ uris: [parseSipUserUri(fallback)] }],
    ),
  ];
}

/** Names in lower case, IPv6 in its shortest form, as Kamailio writes it. */
function canonical(host: string): string {
  return isIP(host) === 6 ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host.toLowerCase();
}

/** The name itself, and the wildcard that stands for it (RFC 6125 section 6.4.3). */
function spellings(name: string): string[] {
  const parent = name.split('.').slice(1).join('.');
  return isIP(name) !== 0 || parent === '' ? [name] : [name, `*.${parent}`];
}

/** A name or address as a subjectAltName has it, in hexadecimal: tag, length and value (RFC 5280 section 4.2.1.6). */
function encoded(name: string): string {
  const [tag, value] =
    isIP(name) === 0 ? ['82', Buffer.from(name).toString('hex')] : ['87', addressBytes(name)];
  // Longer values have their length written in another way; RFC 1035 allows 253 characters, and nobody uses 128.
  return `${tag}${(value.length / 2).toString(16).padStart(2, '0')}${value}`;
}

/** db_text takes values of 16 KiB. */
function chunks(names: string[]): string[][] {
  const size = 30;
  return Array.from({ length: Math.ceil(names.length / size) }, (_, n) =>
    names.slice(n * size, (n + 1) * size),
  );
}

function addressBytes(address: string): string {
  const { family, value } = parseAddress(address);
  return value.toString(16).padStart(family === 4 ? 8 : 32, '0');
}
