import { isIP } from 'node:net';
import {
  addressesWithoutSocket,
  type Find,
  networkOverlaps,
  portClashes,
  tlsSockets,
} from './address-checks.js';
import { DEFAULT_PORTS, hostKey, parseRpcUrl, parseSipListen, parseSipUri } from './addresses.js';
import type { Show } from './describe.js';
import type { ConfigProblem } from './errors.js';
import { collect, collectPlaces, listOf, type Place } from './path.js';
import { readable } from './refusal.js';

/**
 * The checks that look at more than one key.
 *
 * They take data that may be malformed, so that their problems are reported together with the schema's; what
 * cannot be read is left out, because the schema has reported it.
 *
 * @param skip paths whose value is not known (a variable that is not set)
 */
export function crossChecks(data: unknown, skip: Set<string>, show: Show): ConfigProblem[] {
  const known = ({ path }: Place) => !skip.has(path);
  const find = (pattern: string) => collect(data, pattern).filter(known);
  const places = (pattern: string) => collectPlaces(data, pattern).filter(known);
  return [
    ...duplicates(find, show),
    ...networkOverlaps(find, show),
    ...portClashes(find, show),
    ...(missing('sip.tls', places, skip) ? tlsSockets(find, show) : []),
    ...addressesWithoutSocket(find, show),
    ...numbersThatCannotWork(places, skip),
    ...keysThatNeedAnother(places, skip),
    ...keepaliveTooOften(places),
    ...carriersOfWebhooks(find, show),
  ];
}

/** Finds the values of any kind at the places that a pattern leads to. */
type Places = (pattern: string) => Place[];

interface Unique {
  patterns: string[];
  /** What two values must not share, where that is not the text itself; throws a `Refusal` for a bad text. */
  key?: (text: string) => string;
  fix: string;
  secret?: true;
  /** Only values of one list are compared with each other. */
  perList?: true;
}

const unique: Unique[] = [
  { patterns: ['sip.listen[]'], key: listenKey, fix: 'leave one out' },
  {
    patterns: ['retell.gateways[].uri', 'carriers[].gateways[].uri'],
    key: gatewayKey,
    fix: 'leave one out, and use weight to give it more calls',
  },
  { patterns: ['retell.webhook_keys[]'], fix: 'leave one out', secret: true },
  { patterns: ['numbers[].number'], fix: 'leave one out' },
  { patterns: ['carriers[].name'], fix: 'give each carrier a name of its own' },
  { patterns: ['carriers[].prefixes[]'], fix: 'leave one out', perList: true },
  { patterns: ['webhooks[].name'], fix: 'give each endpoint a name of its own' },
  { patterns: ['webhooks[].secrets[]'], fix: 'leave one out', secret: true, perList: true },
  { patterns: ['api.tokens[].name'], fix: 'give each token a name of its own' },
  { patterns: ['api.tokens[].token'], fix: 'give each caller a token of its own', secret: true },
  { patterns: ['kamailio.nodes[].name'], fix: 'give each node a name of its own' },
  { patterns: ['kamailio.nodes[].rpc_url'], key: rpcKey, fix: 'give each node its own address' },
];

function duplicates(find: Find, show: Show): ConfigProblem[] {
  return unique.flatMap(({ patterns, key = String, fix, secret, perList }) => {
    const seen = new Map<string, string>();
    return patterns.flatMap(find).flatMap(({ path, value }) => {
      const text = readable(key, value);
      if (text === undefined) {
        return [];
      }
      const id = perList ? `${listOf(path)} ${text}` : text;
      const first = seen.get(id);
      if (first === undefined) {
        seen.set(id, path);
        return [];
      }
      return [
        { path, message: `${secret ? 'this value' : show(path, value)} is the same as ${first}; ${fix}` },
      ];
    });
  });
}

function listenKey(text: string): string {
  const { transport, host, port } = parseSipListen(text);
  return `${transport} ${hostKey(host)} ${port}`;
}

function gatewayKey(text: string): string {
  const { host, port, transport = 'udp' } = parseSipUri(text);
  // Without a port a name may lead to other servers (SRV, RFC 3263), an address does not.
  return `${transport} ${hostKey(host)} ${port ?? (isIP(host) === 0 ? '' : DEFAULT_PORTS[transport])}`;
}

function rpcKey(text: string): string {
  const { host, port } = parseRpcUrl(text);
  return `${hostKey(host)} ${port}`;
}

/** Numbers whose method wants what is not there, or cannot do what is asked. */
function numbersThatCannotWork(places: Places, skip: ReadonlySet<string>): ConfigProblem[] {
  const registered = places('numbers[]').filter(({ value }) => fieldsOf(value).method === 'register');
  const [first] = registered;
  const noKey = first && missing('retell.api_key', places, skip);
  return [
    ...(noKey
      ? [
          {
            path: 'retell.api_key',
            message: `is missing; ${first.path} has method register, which needs it; add it, like api_key: "\${RETELL_API_KEY}"`,
          },
        ]
      : []),
    ...registered
      .filter(({ path, value }) => !('agent_id' in fieldsOf(value)) && !skip.has(`${path}.agent_id`))
      .map(({ path }) => ({
        path: `${path}.agent_id`,
        message:
          'is missing; method register needs the agent that takes the call; add it, like agent_id: "agent_0123456789"',
      })),
    ...registered
      .filter(({ value }) => fieldsOf(value).reject === true)
      .map(({ path }) => ({
        path: `${path}.reject`,
        message: 'works with method trunk only; leave it out, or write method: trunk',
      })),
    ...places('numbers[].metadata.call_ref').map(({ path }) => ({
      path,
      message: 'is the name under which the proxy puts its own id of the call; use another',
    })),
  ];
}

/** Keys that do nothing, or cannot work, without another one. */
function keysThatNeedAnother(places: Places, skip: ReadonlySet<string>): ConfigProblem[] {
  const undigested = places('carriers[]')
    .filter(({ value }) => 'register' in fieldsOf(value) && !('digest' in fieldsOf(value)))
    .map(({ path }) => ({
      path: `${path}.digest`,
      message: `is missing; register needs it; add it, like digest: {username: "acme-user", password: "\${ACME_PASSWORD}"}`,
    }));
  const reserved = places('retell.reserved_inbound')
    .filter(({ value }) => typeof value === 'number' && value > 0 && missing('retell.api_key', places, skip))
    .map(({ path }) => ({
      path,
      message: 'needs retell.api_key, with which Retell is asked for its concurrency; add that, or write 0',
    }));
  return [...undigested, ...reserved];
}

/** Whether a key is not there; one whose variable is not set is. */
function missing(path: string, places: Places, skip: ReadonlySet<string>): boolean {
  return places(path).length === 0 && !skip.has(path);
}

/** The keys of a section; none where it is something else. */
function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/** Kamailio takes no shorter interval than this, in s. */
const SHORTEST_KEEPALIVE_S = 30;

function keepaliveTooOften(places: Places): ConfigProblem[] {
  return places('calls.keepalive_s')
    .filter(({ value }) => typeof value === 'number' && value > 0 && value < SHORTEST_KEEPALIVE_S)
    .map(({ path, value }) => ({
      path,
      message: `${value} is too often; write 0 for never, or ${SHORTEST_KEEPALIVE_S} to 3600`,
    }));
}

/** Names of carriers that there are none of: a typing error would keep all events back. */
function carriersOfWebhooks(find: Find, show: Show): ConfigProblem[] {
  const known = new Set(find('carriers[].name').map(({ value }) => value));
  return find('webhooks[].carriers[]')
    .filter(({ value }) => !known.has(value))
    .map(({ path, value }) => ({
      path,
      message: `${show(path, value)} is no name in carriers; write one of them, or leave the list out for all`,
    }));
}
