import type { ActiveConfig } from '../config/active.js';
import type { Config } from '../config/schema.js';
import type { NodeGateway, NodeRegistration, RoutingTables } from '../kamailio/routing-tables.js';
import type { Drained, Drains } from './drains.js';
import type { RetellSlots, SlotsReading } from './slots.js';

/** Longest time for counting the calls of one node, in ms: with thousands up, each count takes milliseconds. */
const COUNT_DEADLINE_MS = 3000;

/** `unknown`: it is not probed, or no node that answers holds it. */
export type GatewayHealth = 'up' | 'down' | 'drained' | 'unknown';

/** A gateway as one node sees it. */
export interface GatewayOnNode {
  state: GatewayHealth;
  latency_ms: number | null;
  /** Calls up or in setup; null where there was no time to count them. */
  calls: number | null;
}

/** A gateway over all nodes: the worst that one of them says of it, and all calls of those that answer. */
export interface GatewayView extends GatewayOnNode {
  uri: string;
  weight: number;
  priority: number;
  /** By node; null for one that does not answer. */
  nodes: Record<string, GatewayOnNode | null>;
}

export interface CarrierOnNode {
  calls: number | null;
  drained: boolean;
  registered: boolean | null;
}

export interface CarrierView {
  name: string;
  drained: boolean;
  calls: number | null;
  limits: { concurrent_calls: number | null; calls_per_second: number | null };
  prefixes: string[];
  registration: { registrar: string; registered: boolean | null } | null;
  gateways: GatewayView[];
  /** By node; null for one that does not answer. */
  nodes: Record<string, CarrierOnNode | null>;
}

export interface RetellView {
  calls: number | null;
  gateways: GatewayView[];
  /** The last answer of Retell's about its concurrency; null before the first and without retell.api_key. */
  concurrency: SlotsReading | null;
  /** By node; null for one that does not answer. */
  nodes: Record<string, { calls: number } | null>;
}

export interface CarriersOptions {
  config: ActiveConfig;
  nodes: ReadonlyMap<string, RoutingTables>;
  drains: Drains;
  slots: RetellSlots;
}

type Carrier = Config['carriers'][number];
type Gateways = Config['retell']['gateways'];

/** What one node holds, of all that was asked for. */
interface NodeView {
  gateways: Map<string, NodeGateway[]>;
  drained: Set<string>;
  registrations: Map<string, NodeRegistration>;
  carrierCalls: Map<string, number>;
  gatewayCalls: Map<string, number>;
  retellCalls: number;
}

/** The state of carriers, of Retell and of their gateways, as the nodes see them at this moment. */
export class Carriers {
  readonly #config: ActiveConfig;
  readonly #nodes: ReadonlyMap<string, RoutingTables>;
  readonly #drains: Drains;
  readonly #slots: RetellSlots;

  constructor(options: CarriersOptions) {
    this.#config = options.config;
    this.#nodes = options.nodes;
    this.#drains = options.drains;
    this.#slots = options.slots;
  }

  async list(): Promise<CarrierView[]> {
    return this.#view(this.#config.current.carriers);
  }

  async get(name: string): Promise<CarrierView | undefined> {
    return (await this.#view(this.#config.current.carriers.filter((carrier) => carrier.name === name)))[0];
  }

  async retell(): Promise<RetellView> {
    const { gateways } = this.#config.current.retell;
    const [drained, nodes] = await Promise.all([this.#drains.current(), this.#look([], gateways)]);
    const known = [...nodes.values()].filter((node) => node !== undefined);
    return {
      calls: sum(known.map(({ retellCalls }) => retellCalls)),
      gateways: gateways.map((gateway) => gatewayView(gateway, drained, nodes)),
      concurrency: this.#slots.last ?? null,
      nodes: byNode(nodes, ({ retellCalls }) => ({ calls: retellCalls })),
    };
  }

  async #view(carriers: readonly Carrier[]): Promise<CarrierView[]> {
    if (carriers.length === 0) return [];
    const gateways = carriers.flatMap((carrier) => carrier.gateways);
    const [drained, nodes] = await Promise.all([this.#drains.current(), this.#look(carriers, gateways)]);
    return carriers.map((carrier) => carrierView(carrier, drained, nodes));
  }

  /** Asks every node at once; undefined for one that does not answer. */
  async #look(
    carriers: readonly Carrier[],
    gateways: Gateways,
  ): Promise<ReadonlyMap<string, NodeView | undefined>> {
    const entries = [...this.#nodes].map(async ([name, node]) => {
      // What a node did not answer is in its metrics; here it is seen as null.
      const view = await lookAt(node, carriers, gateways).catch(() => undefined);
      return [name, view] as const;
    });
    return new Map(await Promise.all(entries));
  }
}

async function lookAt(
  node: RoutingTables,
  carriers: readonly Carrier[],
  gateways: Gateways,
): Promise<NodeView> {
  // One question first: a node that hangs is known by it, and not asked the many others.
  const held = await node.gateways();
  const byUri = new Map<string, NodeGateway[]>();
  for (const gateway of held) byUri.set(gateway.uri, [...(byUri.get(gateway.uri) ?? []), gateway]);
  const registers = carriers.some(({ register }) => register !== undefined);
  const registrations = registers ? await node.registrations() : [];
  return {
    gateways: byUri,
    drained: await node.drained(),
    registrations: new Map(registrations.map((registration) => [registration.id, registration])),
    retellCalls: carriers.length === 0 ? await node.profileSize('retell') : 0,
    carrierCalls: await node.profileSizes(
      'carrier',
      carriers.map(({ name }) => name),
      COUNT_DEADLINE_MS,
    ),
    gatewayCalls: await node.profileSizes(
      'gateway',
      gateways.map(({ uri }) => uri),
      COUNT_DEADLINE_MS,
    ),
  };
}

function carrierView(
  carrier: Carrier,
  drained: Drained,
  nodes: ReadonlyMap<string, NodeView | undefined>,
): CarrierView {
  const { name, gateways, prefixes, register, limits } = carrier;
  const onNodes = byNode(
    nodes,
    (node): CarrierOnNode => ({
      calls: node.carrierCalls.get(name) ?? null,
      drained: node.drained.has(name),
      registered: register === undefined ? null : (node.registrations.get(name)?.registered ?? false),
    }),
  );
  const known = Object.values(onNodes).filter((node) => node !== null);
  return {
    name,
    drained: drained.carriers.has(name),
    calls: sum(known.map(({ calls }) => calls)),
    limits: {
      concurrent_calls: limits?.concurrent_calls ?? null,
      calls_per_second: limits?.calls_per_second ?? null,
    },
    prefixes,
    registration:
      register === undefined
        ? null
        : {
            registrar: register.registrar,
            registered: known.length === 0 ? null : known.every(({ registered }) => registered),
          },
    gateways: gateways.map((gateway) => gatewayView(gateway, drained, nodes)),
    nodes: onNodes,
  };
}

function gatewayView(
  { uri, weight, priority }: Gateways[number],
  drained: Drained,
  nodes: ReadonlyMap<string, NodeView | undefined>,
): GatewayView {
  const onNodes = byNode(nodes, (node): GatewayOnNode => {
    const held = node.gateways.get(uri) ?? [];
    const latencies = held.map(({ latencyMs }) => latencyMs).filter((latency) => latency !== undefined);
    return {
      state: worst(held.map(healthOf)),
      latency_ms: latencies.length === 0 ? null : Math.max(...latencies),
      calls: node.gatewayCalls.get(uri) ?? null,
    };
  });
  const known = Object.values(onNodes).filter((node) => node !== null);
  const latencies = known.map(({ latency_ms }) => latency_ms).filter((latency) => latency !== null);
  return {
    uri,
    state: drained.gateways.has(uri) ? 'drained' : worst(known.map(({ state }) => state)),
    latency_ms: latencies.length === 0 ? null : Math.max(...latencies),
    calls: sum(known.map(({ calls }) => calls)),
    weight,
    priority,
    nodes: onNodes,
  };
}

/** A gateway that missed one reply is still used, so it is up. */
function healthOf({ state, probed }: NodeGateway): GatewayHealth {
  if (state === 'disabled') return 'drained';
  if (state === 'inactive') return 'down';
  return probed ? 'up' : 'unknown';
}

function worst(states: readonly GatewayHealth[]): GatewayHealth {
  return (['drained', 'down', 'unknown', 'up'] as const).find((state) => states.includes(state)) ?? 'unknown';
}

/** null where one of them is not known, or none is there. */
function sum(counts: readonly (number | null)[]): number | null {
  let total = 0;
  for (const count of counts) {
    if (count === null) return null;
    total += count;
  }
  return counts.length === 0 ? null : total;
}

function byNode<T>(
  nodes: ReadonlyMap<string, NodeView | undefined>,
  view: (node: NodeView) => T,
): Record<string, T | null> {
  return Object.fromEntries([...nodes].map(([name, node]) => [name, node === undefined ? null : view(node)]));
}
