import { isIP } from 'node:net';
import {
  DEFAULT_PORTS,
  type HostPort,
  hostKey,
  isWildcard,
  parseHostPort,
  parseRpcUrl,
  parseSipListen,
  parseSipUri,
  parseSipUserUri,
  type SipUri,
} from './addresses.js';
import type { Show } from './describe.js';
import type { ConfigProblem } from './errors.js';
import { type Network, parseNetwork } from './networks.js';
import { type Located, listOf } from './path.js';
import { parseHepAddress } from './receivers.js';
import { readable } from './refusal.js';

/** Checks of addresses against each other: networks, ports, and the sockets that reach them. */

/** Finds the texts at the places that a pattern leads to. */
export type Find = (pattern: string) => Located[];

interface OwnedNetwork extends Located {
  network: Network;
  /** `retell.networks` or `carriers[n].networks`. */
  owner: string;
  position: number;
}

/** A network tells who sends: two carriers, or a carrier and Retell, that share addresses cannot be told apart. */
export function networkOverlaps(find: Find, show: Show): ConfigProblem[] {
  const networks: OwnedNetwork[] = [...find('retell.networks[]'), ...find('carriers[].networks[]')].flatMap(
    ({ path, value }, position) => {
      const network = readable(parseNetwork, value);
      return network ? [{ path, value, network, owner: listOf(path), position }] : [];
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
export function portClashes(find: Find, show: Show): ConfigProblem[] {
  const sockets = (pattern: string, parse: (text: string) => HostPort): Socket[] =>
    find(pattern).flatMap(({ path, value }) => {
      const socket = readable(parse, value);
      return socket ? [{ path, ...socket }] : [];
    });
  const sip = find('sip.listen[]').flatMap(({ path, value }) => {
    const socket = readable(parseSipListen, value);
    return socket === undefined || socket.transport === 'udp' ? [] : [{ path, ...socket }];
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
  // IPv4 and IPv6 have ports of their own in Kamailio.
  const tcpAndTls = sip.flatMap((socket, index) =>
    against(
      [socket],
      sip
        .slice(0, index)
        .filter(({ transport, host }) => transport !== socket.transport && isIP(host) === isIP(socket.host)),
    ),
  );
  return [...tcpAndTls, ...against(api, sip), ...against(rpc, sip), ...against(rpc, api)];
}

/** The sockets for TLS, which need a certificate. */
export function tlsSockets(find: Find, show: Show): ConfigProblem[] {
  return find('sip.listen[]')
    .filter(({ value }) => readable(parseSipListen, value)?.transport === 'tls')
    .map(({ path, value }) => ({
      path,
      message: `${show(path, value)} needs a certificate; add sip.tls, like tls: {certificate: /etc/retell-proxy/fullchain.pem, private_key: /etc/retell-proxy/privkey.pem}`,
    }));
}

/** Keys that hold an address to which Kamailio sends, with their parser. */
const targets: [pattern: string, parse: (text: string) => SipUri][] = [
  ['retell.gateways[].uri', parseSipUri],
  ['numbers[].fallback', parseSipUserUri],
  ['carriers[].gateways[].uri', parseSipUri],
  ['carriers[].register.registrar', parseSipUri],
  ['capture.hep', parseHepAddress],
];

/** Kamailio sends over a transport, and over IPv4 or IPv6, only from a socket of that kind. */
export function addressesWithoutSocket(find: Find, show: Show): ConfigProblem[] {
  const sockets = find('sip.listen[]').map(({ value }) => readable(parseSipListen, value));
  if (sockets.length === 0 || sockets.includes(undefined)) {
    return [];
  }
  const kinds = new Set(
    sockets.flatMap((socket) =>
      socket ? [socket.transport, `${socket.transport} ${isIP(socket.host)}`] : [],
    ),
  );
  return targets.flatMap(([pattern, parse]) =>
    find(pattern).flatMap(({ path, value }) => {
      const uri = readable(parse, value);
      if (uri === undefined) {
        return [];
      }
      const { host, transport = 'udp' } = uri;
      const port = DEFAULT_PORTS[transport];
      if (!kinds.has(transport)) {
        const address = isIP(host) === 6 ? '[::]' : '0.0.0.0';
        return [
          {
            path,
            message: `${show(path, value)} is reached over ${transport}, and sip.listen has no ${transport} socket; add one, like ${transport}:${address}:${port}`,
          },
        ];
      }
      // Of a name, only DNS knows the family.
      if (isIP(host) === 0 || kinds.has(`${transport} ${isIP(host)}`)) {
        return [];
      }
      const [family, address] = isIP(host) === 6 ? ['IPv6', '[::]'] : ['IPv4', '0.0.0.0'];
      return [
        {
          path,
          message: `${show(path, value)} is reached over ${family}, and sip.listen has no ${transport} socket with an ${family} address; add one, like ${transport}:${address}:${port}`,
        },
      ];
    }),
  );
}

function sameSocket(a: HostPort, b: HostPort): boolean {
  return (
    a.port === b.port && (isWildcard(a.host) || isWildcard(b.host) || hostKey(a.host) === hostKey(b.host))
  );
}

function holds(outer: OwnedNetwork | undefined, inner: OwnedNetwork): boolean {
  return outer?.network.family === inner.network.family && inner.network.last <= outer.network.last;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
