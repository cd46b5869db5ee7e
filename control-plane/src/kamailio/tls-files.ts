import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseSipUri } from '../config/addresses.js';
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
 * Keys of the table tls_names (kamailio/tls.cfg, kamailio/screening.cfg): which names the certificates of
 * peers may bear.
 *
 * - `*::name`: at the other end of a connection of ours to any address, for gateways that are names
 * - `listed::address` and `address::name`: the same at this address alone
 * - `peer::carrier` and `carrier::name`: who connects to us as this carrier, with client certificates; a
 *   carrier that has no gateway over TLS and no `tls_name` may bear any name
 */
export function tlsNames(config: Config): string[] {
  if (config.sip.tls === undefined) return [];
  const owners = [
    { name: 'retell', tls_name: config.retell.tls_name, gateways: config.retell.gateways },
    ...config.carriers,
  ];
  const ours = config.sip.tls.require_client_certificate;
  return [
    ...new Set(
      owners.flatMap(({ name, tls_name, gateways, ...rest }) => {
        const registrar = 'register' in rest && rest.register ? [rest.register.registrar] : [];
        const hosts = [...gateways.map(({ uri }) => uri), ...registrar]
          .map(parseSipUri)
          .filter(({ transport }) => transport === 'tls')
          .map(({ host }) => host);
        const callers = tls_name === undefined ? hosts : [tls_name];
        return [
          ...hosts.flatMap((host) => {
            const names = spellings(tls_name ?? host);
            const place = isIP(host) === 0 ? '*' : host;
            return [...(place === '*' ? [] : [`listed::${host}`]), ...names.map((n) => `${place}::${n}`)];
          }),
          ...(ours && callers.length > 0
            ? [`peer::${name}`, ...callers.flatMap(spellings).map((n) => `${name}::${n}`)]
            : []),
        ];
      }),
    ),
  ];
}

/** The name itself, and the wildcard that stands for it (RFC 6125 section 6.4.3). */
function spellings(name: string): string[] {
  const parent = name.split('.').slice(1).join('.');
  return isIP(name) !== 0 || parent === '' ? [name] : [name, `*.${parent}`];
}
