import {
  type HostPort,
  hostKey,
  isWildcard,
  type Network,
  parseHostPort,
  parseNetwork,
  parseRpcUrl,
  parseSipListen,
  parseSipUri,
  Refusal,
} from './addresses.js';
import type { Show } from './describe.js';
import type { ConfigProblem } from './errors.js';
import { collect, type Located } from './path.js';

/**
 * The checks that look at more than one key.
 *
 * They take data that may be malformed, so that their problems are reported together with the schema's; what
 * cannot be read is left out, because the schema has reported it.
 *
 * @param skip paths whose value is not known (a variable that is not set)
 */
export function crossChecks(data: unknown, skip: Set<string>, show: Show): ConfigProblem[] {
  const find = (pattern: string) => collect(data, pattern).filter(({ path }) => !skip.has(path));
  return [
    ...duplicates(find, show),
    ...networkOverlaps(find, show),
    ...portClashes(find, show),
    ...gatewaysWithoutSocket(find, show),
  ];
}

type Find = (pattern: string) => Located[];

interface Unique {
  pattern: string;
  /** What two values must not share, where that is not the text itself; throws a `Refusal` for a bad text. */
  key?: (text: string) => string;
  fix: string;
  secret?: true;
}

const unique: Unique[] = [
  { pattern: 'sip.listen[]', key: listenKey, fix: 'leave one out' },
  {
    pattern: 'retell.gateways[].uri',
    key: gatewayKey,
    fix: 'leave one out, and use weight to give it more calls',
  },
  { pattern: 'numbers[].number', fix: 'leave one out' },
  { pattern: 'carriers[].name', fix: 'give each carrier a name of its own' },
  { pattern: 'api.tokens[].name', fix: 'give each token a name of its own' },
  { pattern: 'api.tokens[].token', fix: 'give each caller a token of its own', secret: true },
  { pattern: 'kamailio.nodes[].name', fix: 'give each node a name of its own' },
  { pattern: 'kamailio.nodes[].rpc_url', key: rpcKey, fix: 'give each node its own address' },
];

function duplicates(find: Find, show: Show): ConfigProblem[] {
  return unique.flatMap(({ pattern, key = String, fix, secret }) => {
    const seen = new Map<string, string>();
    return find(pattern).flatMap(({ path, value }) => {
      const id = readable(key, value);
      if (id === undefined) {
        return [];
      }
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

interface OwnedNetwork extends Located {
  network: Network;
  /** `retell.networks` or `carriers[n].networks`. */
  owner: string;
  position: number;
}

/** A network tells who sends: two carriers, or a carrier and Retell, that share addresses cannot be told apart. */
function networkOverlaps(find: Find, show: Show): ConfigProblem[] {
  const networks: OwnedNetwork[] = [...find('retell.networks[]'), ...find('carriers[].networks[]')].flatMap(
    ({ path, value }, position) => {
      const network = readable(parseNetwork, value);
      return network ? [{ path, value, network, owner: path.replace(/\[\d+\]$/, ''), position }] : [];
    },
  );
  // Two CIDR networks are apart or one is inside the other, so in this order all that hold a network come
  // before it, and a stack of them is enough: no comparison of each with each.
  networks.sort(
    (a, b) =>
      a.network.family - b.network.family ||
      compare(a.network.first, b.network.first) ||
      compare(b.network.last, a.network.last) ||
      a.position - b.position,
  );
  const around: OwnedNetwork[] = [];
  const clashes: { later: OwnedNetwork; earlier: OwnedNetwork }[] = [];
  for (const inner of networks) {
    while (around.length > 0 && !holds(around.at(-1), inner)) {
      around.pop();
    }
    const outer = around.findLast(({ owner }) => owner !== inner.owner);
    if (outer) {
      const inOrder = outer.position < inner.position;
      clashes.push({ later: inOrder ? inner : outer, earlier: inOrder ? outer : inner });
    }
    around.push(inner);
  }
  return clashes
    .sort((a, b) => a.later.position - b.later.position)
    .map(({ later, earlier }) => ({
      path: later.path,
      message: `${show(later.path, later.value)} overlaps ${earlier.path} (${show(earlier.path, earlier.value)}); each address can belong to only one of them, so take it out of one`,
    }));
}

interface Socket extends HostPort {
  path: string;
}

/** Sockets for TCP that cannot all be opened on one machine. */
function portClashes(find: Find, show: Show): ConfigProblem[] {
  const sockets = (pattern: string, parse: (text: string) => HostPort): Socket[] =>
    find(pattern).flatMap(({ path, value }) => {
      const socket = readable(parse, value);
      return socket ? [{ path, ...socket }] : [];
    });
  const sip = find('sip.listen[]').flatMap(({ path, value }) => {
    const socket = readable(parseSipListen, value);
    return socket?.transport === 'tcp' ? [{ path, ...socket }] : [];
  });
  const api = sockets('api.listen', parseHostPort);
  const rpc = sockets('kamailio.nodes[].rpc_url', parseRpcUrl);
  const against = (mine: Socket[], others: Socket[]) =>
    mine.flatMap((socket) =>
      others
        .filter((other) => sameSocket(socket, other))
        .map((other) => ({
          path: socket.path,
          message: `port ${socket.port} is also that of ${other.path} (${show(other.path, `${other.host}:${other.port}`)}); give one of them another port`,
        })),
    );
  return [...against(api, sip), ...against(rpc, sip), ...against(rpc, api)];
}

/** Kamailio sends over a transport only from a socket of that transport. */
function gatewaysWithoutSocket(find: Find, show: Show): ConfigProblem[] {
  const listen = find('sip.listen[]').map(({ value }) => readable(parseSipListen, value)?.transport);
  if (listen.length === 0 || listen.includes(undefined)) {
    return [];
  }
  return find('retell.gateways[].uri').flatMap(({ path, value }) => {
    const uri = readable(parseSipUri, value);
    const transport = uri?.transport ?? 'udp';
    return uri === undefined || listen.includes(transport)
      ? []
      : [
          {
            path,
            message: `${show(path, value)} is reached over ${transport}, and sip.listen has no ${transport} socket; add one, like ${transport}:0.0.0.0:5060`,
          },
        ];
  });
}

function sameSocket(a: HostPort, b: HostPort): boolean {
  return (
    a.port === b.port && (isWildcard(a.host) || isWildcard(b.host) || hostKey(a.host) === hostKey(b.host))
  );
}

function listenKey(text: string): string {
  const { transport, host, port } = parseSipListen(text);
  return `${transport} ${hostKey(host)} ${port}`;
}

function gatewayKey(text: string): string {
  const { host, port, transport = 'udp' } = parseSipUri(text);
  return `${transport} ${hostKey(host)} ${port ?? ''}`;
}

function rpcKey(text: string): string {
  const { host, port } = parseRpcUrl(text);
  return `${hostKey(host)} ${port}`;
}

/** What `parse` makes of the text; nothing where it refuses it. */
function readable<T>(parse: (text: string) => T, text: string): T | undefined {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof Refusal) {
      return undefined;
    }
    throw error;
  }
}

function holds(outer: OwnedNetwork | undefined, inner: OwnedNetwork): boolean {
  return outer?.network.family === inner.network.family && inner.network.last <= outer.network.last;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
