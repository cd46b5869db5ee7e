import { mkdir, rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { parseSipUri, parseSipUserUri } from '../config/addresses.js';
import { deniedPrefixes } from '../config/denied-prefixes.js';
import type { Config } from '../config/schema.js';
import { type Gateway, gatewaySets } from './gateway-sets.js';
import { publicAddress, sendSocket } from './sockets.js';
import { renderTlsConfig, tlsNames } from './tls-files.js';

/** Address groups, as kamailio/definitions.cfg names them. */
const CARRIERS = 1;
const RETELL = 2;

/** dispatcher's flags of a gateway in its list file. */
const PROBED = 8;
const NAME_NOT_RESOLVED_AT_START = 16;

/** Columns of the tables that db_text reads, and the versions that Kamailio asks for. */
const HTABLE_COLUMNS =
  'id(int,auto) key_name(string) key_type(int) value_type(int) key_value(string) expires(int)';
const UACREG_COLUMNS =
  'id(int,auto) l_uuid(string) l_username(string) l_domain(string) r_username(string) r_domain(string) ' +
  'realm(string,null) auth_username(string) auth_password(string) auth_ha1(string,null) auth_proxy(string) ' +
  'expires(int) flags(int) reg_delay(int) contact_addr(string,null) socket(string,null)';
const VERSIONS = 'id(int,auto) table_name(string) table_version(int)\n1:htable:2\n2:uacreg:5\n';

/** TRANSFER_TIMEOUT_S of kamailio/definitions.cfg. */
const DEFAULT_TRANSFER_TIMEOUT_S = 60;

/** Some of them hold passwords. */
const FILE_MODE = 0o600;

type Rows = (readonly [key: string, value: string | number])[];

/**
 * Kamailio's data files by name: the carriers', numbers' and gateways' part of the configuration in the
 * formats that Kamailio's modules read.
 */
export function renderDataFiles(config: Config): Map<string, string> {
  const { sets, retell, prefixes } = gatewaySets(config);
  return new Map([
    ['address.list', renderAddresses(config)],
    ['dispatcher.list', renderSets(config, sets)],
    ['numbers', renderHtable(config.numbers.map(({ number, method }) => [number, method]))],
    ['fallbacks', renderHtable(fallbacks(config))],
    ['routes', renderHtable([['retell', retell], ...(prefixes.size > 0 ? [['outbound', 1] as const] : [])])],
    ['prefixes', renderHtable([...prefixes])],
    ['carriers', renderHtable(carriers(config))],
    ['retell', renderHtable(Object.entries(config.retell.digest ?? {}))],
    ['destinations', renderHtable(destinations(config))],
    ['limits', renderHtable(limits(config))],
    ['tls_names', renderHtable(tlsNames(config))],
    ['uacreg', renderTable(UACREG_COLUMNS, registrations(config))],
    ['version', VERSIONS],
    ...(config.sip.tls === undefined ? [] : [['tls.conf', renderTlsConfig(config.sip.tls)] as const]),
  ]);
}

/** Writes the data files; each is replaced in one step, so that Kamailio never reads half a file. */
export async function writeDataFiles(config: Config, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, text] of renderDataFiles(config)) {
    const path = join(directory, name);
    await writeFile(`${path}.new`, text, { mode: FILE_MODE });
    await rename(`${path}.new`, path);
  }
}

/** permissions' address file: group, address, prefix length, port (0: any), tag. */
function renderAddresses(config: Config): string {
  const ofCarriers = config.carriers.flatMap(({ name, networks }) =>
    networks.map((network) => addressLine(CARRIERS, network, name)),
  );
  const ofRetell = config.retell.networks.map((network) => addressLine(RETELL, network, 'retell'));
  return [...ofCarriers, ...ofRetell, ''].join('\n');
}

function addressLine(group: number, network: string, tag: string): string {
  const [address = '', prefix] = network.split('/');
  return `${group} ${address} ${prefix ?? (address.includes(':') ? 128 : 32)} 0 ${tag}`;
}

/** dispatcher's list: set, URI, flags, priority, attributes. Its weights are shares of 100. */
function renderSets(config: Config, sets: ReadonlyMap<number, Gateway[]>): string {
  const lines = [...sets].flatMap(([set, gateways]) => {
    const weights = sharesOf100(gateways.map(({ weight }) => weight));
    return gateways.map(({ uri, owner, probe }, j) => {
      const parsed = parseSipUri(uri);
      const flags = (probe ? PROBED : 0) + (isIP(parsed.host) === 0 ? NAME_NOT_RESOLVED_AT_START : 0);
      const socket = sendSocket(config, parsed);
      const attributes = `weight=${weights[j]};carrier=${owner}${socket === undefined ? '' : `;socket=${socket}`}`;
      return `${set} ${uri} ${flags} 0 ${attributes}`;
    });
  });
  return [...lines, ''].join('\n');
}

/** Whole shares in the ratio of the weights that add up to 100, each at least 1. */
function sharesOf100(weights: number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const shares = weights.map((weight) => Math.max(1, Math.floor((weight * 100) / sum)));
  const heaviest = weights.indexOf(Math.max(...weights));
  const rest = 100 - shares.reduce((a, b) => a + b, 0);
  return shares.map((share, i) => (i === heaviest ? share + rest : share));
}

function fallbacks(config: Config): Rows {
  return config.numbers.flatMap(({ number, fallback }): Rows => {
    if (fallback === undefined) return [];
    const socket = sendSocket(config, parseSipUserUri(fallback));
    return [[number, fallback], ...(socket === undefined ? [] : ([[`${number}::socket`, socket]] as const))];
  });
}

/** What differs from the default of each carrier. */
function carriers(config: Config): Rows {
  return config.carriers.flatMap(({ name, number_format, caller_id, x_headers, digest, transfer }) => {
    const values = {
      number_format: number_format === 'e164' ? undefined : number_format,
      from_user: caller_id.user,
      from_host: caller_id.host,
      p_asserted_identity:
        caller_id.p_asserted_identity === 'kept' ? undefined : caller_id.p_asserted_identity,
      override: caller_id.override === 'dropped' ? undefined : caller_id.override,
      x_headers: x_headers === 'kept' ? undefined : x_headers,
      refer: transfer.refer === 'accepted' ? undefined : transfer.refer,
      refer_to: transfer.refer_to === 'sip' ? undefined : transfer.refer_to,
      refer_host: transfer.host,
      referred_by: transfer.referred_by === 'added' ? undefined : transfer.referred_by,
      diversion: transfer.diversion === 'dropped' ? undefined : transfer.diversion,
      refer_p_asserted_identity:
        transfer.p_asserted_identity === 'dropped' ? undefined : transfer.p_asserted_identity,
      refer_headers: transfer.headers === 'kept' ? undefined : transfer.headers,
      refer_timeout_s: transfer.timeout_s === DEFAULT_TRANSFER_TIMEOUT_S ? undefined : transfer.timeout_s,
      username: digest?.username,
      password: digest?.password,
      realm: digest?.realm,
    };
    return Object.entries(values).flatMap(([key, value]) =>
      value === undefined ? [] : [[`${name}::${key}`, value] as const],
    );
  });
}

/** Where calls may be transferred to. A prefix that is both allowed and denied is denied. */
function destinations({ transfers, numbers }: Config): Rows {
  const denied = new Set(deniedPrefixes(transfers));
  return [
    ...transfers.allow.filter((prefix) => !denied.has(prefix)).map((prefix) => [prefix, 'allow'] as const),
    ...[...denied].map((prefix) => [prefix, 'deny'] as const),
    ...transfers.hosts.map((host) => [`host::${host.toLowerCase()}`, 1] as const),
    ...numbers.flatMap(({ number, transfer_allow }): Rows => {
      if (transfer_allow === undefined) return [];
      const own = `only::${number}`;
      return [[own, 1], ...transfer_allow.map((entry) => [`${own}::${entry.toLowerCase()}`, 1] as const)];
    }),
  ];
}

function limits(config: Config): Rows {
  const of = (
    who: string,
    { limits: limit, max_duration_s: duration }: Pick<Config['numbers'][number], 'limits' | 'max_duration_s'>,
  ): Rows => [
    ...(limit?.concurrent_calls === undefined
      ? []
      : [[`concurrent::${who}`, limit.concurrent_calls] as const]),
    ...(limit?.calls_per_second === undefined ? [] : [[`rate::${who}`, limit.calls_per_second] as const]),
    ...(duration === undefined ? [] : [[`duration::${who}`, duration] as const]),
  ];
  const rows: Rows = [
    ...of('all', config.calls),
    ...config.carriers.flatMap((carrier) => of(`carrier::${carrier.name}`, carrier)),
    ...config.numbers.flatMap((number) => of(`number::${number.number}`, number)),
  ];
  const hasCounted = rows.some(([key]) => !key.startsWith('duration::'));
  const hasDuration = rows.some(([key]) => /^duration::(carrier|number)::/.test(key));
  return [
    ...rows,
    ...(hasCounted ? [['any', 1] as const] : []),
    ...(hasDuration ? [['duration::any', 1] as const] : []),
    ['transfers', config.transfers.per_minute],
  ];
}

/** Rows of uacreg; a carrier's name is the user of our Contact. */
function registrations(config: Config): (string | number)[][] {
  return config.carriers.flatMap(({ name, register, digest }) => {
    if (register === undefined || digest === undefined) return [];
    const registrar = parseSipUri(register.registrar);
    const user = register.user ?? digest.username;
    const domain = registrar.host.includes(':') ? `[${registrar.host}]` : registrar.host;
    const socket = sendSocket(config, registrar) ?? '';
    const transport = registrar.transport === undefined ? '' : `;transport=${registrar.transport}`;
    const contact = socket === '' ? '' : `${publicAddress(config, socket)}${transport}`;
    return [
      [
        ...[name, user, domain, user, domain, digest.realm ?? '', digest.username, digest.password, ''],
        ...[register.registrar, register.expires_s, 0, 0, contact, socket],
      ],
    ];
  });
}

/** An htable: keys are texts, values texts or whole numbers. */
function renderHtable(rows: Rows): string {
  return renderTable(
    HTABLE_COLUMNS,
    rows.map(([key, value]) => [key, 0, typeof value === 'number' ? 1 : 0, value, 0]),
  );
}

/** db_text: one row a line, columns divided by colons; a colon or backslash in a value is escaped. */
function renderTable(columns: string, rows: (string | number)[][]): string {
  const column = (value: string | number) => String(value).replace(/[\\:]/g, (char) => `\\${char}`);
  const lines = rows.map((row, i) => [i + 1, ...row].map(column).join(':'));
  return [columns, ...lines, ''].join('\n');
}
