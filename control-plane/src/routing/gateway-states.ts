import type { Config } from '../config/schema.js';
import type { NodeGateway, RoutingTables } from '../kamailio/routing-tables.js';

/** A configured gateway as one node has it. */
export interface GatewayOnNode {
  node: string;
  /** The carrier's name, or `retell`. */
  owner: string;
  uri: string;
  /** Whether calls are sent there, in every set that it is in. */
  up: boolean;
  /** Smoothed time of its answers to OPTIONS, in ms; undefined where it has answered none. */
  latencyMs: number | undefined;
}

/** The configured gateways that calls are sent to, at each node; those of a node that does not answer are left out. */
export async function gatewayStates(
  { retell, carriers }: Config,
  nodes: ReadonlyMap<string, RoutingTables>,
): Promise<GatewayOnNode[]> {
  const configured = [{ name: 'retell', gateways: retell.gateways }, ...carriers].flatMap(
    ({ name, gateways }) => gateways.map(({ uri }) => ({ owner: name, uri })),
  );
  const ofNodes = [...nodes].map(async ([node, tables]) => {
    // That it does not answer is in its metrics.
    const held = byOwnerAndUri(await tables.gateways().catch(() => []));
    return configured.flatMap(({ owner, uri }) => {
      const entries = held.get(keyOf(owner, uri)) ?? [];
      return entries.length === 0 ? [] : [{ node, owner, uri, ...summary(entries) }];
    });
  });
  return (await Promise.all(ofNodes)).flat();
}

/** One that missed a reply is tried on, so calls are sent there. */
function summary(entries: readonly NodeGateway[]): Pick<GatewayOnNode, 'up' | 'latencyMs'> {
  const latencies = entries.map(({ latencyMs }) => latencyMs).filter((latency) => latency !== undefined);
  return {
    up: entries.every(({ state }) => state === 'active' || state === 'trying'),
    latencyMs: latencies.length === 0 ? undefined : Math.max(...latencies),
  };
}

function byOwnerAndUri(gateways: readonly NodeGateway[]): Map<string, NodeGateway[]> {
  const held = new Map<string, NodeGateway[]>();
  for (const gateway of gateways) {
    const owner = /(?:^|;)carrier=([^;]*)/.exec(gateway.attributes)?.[1] ?? '';
    const key = keyOf(owner, gateway.uri);
    held.set(key, [...(held.get(key) ?? []), gateway]);
  }
  return held;
}

function keyOf(owner: string, uri: string): string {
  return `${owner} ${uri}`;
}
