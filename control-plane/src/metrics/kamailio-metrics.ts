import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { queuedEventsIn } from '../kamailio/node.js';
import type { NodeFigures } from '../kamailio/node-statistics.js';
import { DEFAULT_BUCKETS } from './buckets.js';

/** Gauges of a node, by name, with what they show. */
const GAUGES: readonly (readonly [name: string, help: string, value: (figures: NodeFigures) => number])[] = [
  ['active_dialogs', 'Dialogs that are confirmed', statistic('dialog.active_dialogs')],
  ['early_dialogs', 'Dialogs that are not answered yet', statistic('dialog.early_dialogs')],
  ['shared_memory_used_bytes', 'Shared memory in use', statistic('shmem.real_used_size')],
  ['shared_memory_size_bytes', 'Shared memory in all', statistic('shmem.total_size')],
  [
    'private_memory_free_min_bytes',
    'Private memory left in the process that has the least',
    ({ leastPrivateMemory }) => leastPrivateMemory,
  ],
  ['queued_events', 'Call events that wait for Redis', ({ statistics }) => queuedEventsIn(statistics)],
  ['transactions', 'SIP transactions that are not over', statistic('tmx.active_transactions')],
  ['tcp_connections', 'TCP connections that are open', ({ tcpConnections }) => tcpConnections],
  ['tls_connections', 'TCP connections with TLS that are open', ({ tlsConnections }) => tlsConnections],
  ['uptime_seconds', 'Time since the node started', ({ uptimeS }) => uptimeS],
];

/** Why a node drops a request without an answer. */
const DROP_REASONS = ['unknown_source', 'malformed'] as const;

/** Why a node refuses a call. */
const REFUSAL_REASONS = [
  'overall_limit',
  'carrier_limit',
  'number_limit',
  'retell_limit',
  'destination',
  'from',
  'auth',
  'certificate',
  'merged',
] as const;

/** What the nodes tell of themselves, and how they answer. */
export class KamailioMetrics {
  readonly #rpcTime: Histogram<'node' | 'method' | 'outcome'>;
  readonly #up: Gauge<'node'>;
  readonly #gauges: (readonly [Gauge<'node'>, (figures: NodeFigures) => number])[];
  readonly #info: Gauge<'node' | 'version'>;
  readonly #drops: Counter<'node' | 'reason'>;
  readonly #refusals: Counter<'node' | 'reason'>;
  readonly #eventsDropped: Counter<'node'>;
  readonly #applied: Gauge<'node'>;

  constructor(registry: Registry) {
    const registers = [registry];
    const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Gauge({ name: `retell_proxy_kamailio_${name}`, help, labelNames, registers });
    const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Counter({ name: `retell_proxy_kamailio_${name}`, help, labelNames, registers });
    this.#rpcTime = new Histogram({
      name: 'retell_proxy_kamailio_rpc_seconds',
      help: 'Time of RPCs to Kamailio',
      labelNames: ['node', 'method', 'outcome'],
      buckets: DEFAULT_BUCKETS,
      registers,
    });
    this.#up = gauge('up', 'Whether the node answers', ['node']);
    this.#info = gauge('info', 'The version of the node', ['node', 'version']);
    this.#gauges = GAUGES.map(([name, help, value]) => [gauge(name, help, ['node']), value] as const);
    this.#drops = counter('dropped_requests_total', 'Requests that the node dropped', ['node', 'reason']);
    this.#refusals = counter('refused_calls_total', 'Calls that the node refused', ['node', 'reason']);
    this.#eventsDropped = counter('events_dropped_total', 'Call events lost to a queue that was full', [
      'node',
    ]);
    this.#applied = gauge('config_applied', 'Whether the node holds the configuration in force', ['node']);
  }

  rpcDone(node: string, method: string, outcome: string, seconds: number): void {
    this.#rpcTime.observe({ node, method, outcome }, seconds);
  }

  applied(node: string, applied: boolean): void {
    this.#applied.set({ node }, applied ? 1 : 0);
  }

  /** A node that does not answer has no figures: the last known ones would look alive. */
  read(nodes: ReadonlyMap<string, NodeFigures | undefined>): void {
    for (const metric of [this.#info, this.#drops, this.#refusals, this.#eventsDropped]) metric.reset();
    for (const [gauge] of this.#gauges) gauge.reset();
    for (const [node, figures] of nodes) {
      this.#up.set({ node }, figures === undefined ? 0 : 1);
      if (figures !== undefined) this.#set(node, figures);
    }
  }

  /** The counters are the node's own: they begin at 0 when it starts. */
  #set(node: string, figures: NodeFigures): void {
    const counted = (name: string) => figures.statistics.get(`script.${name}`) ?? 0;
    for (const [gauge, value] of this.#gauges) gauge.set({ node }, value(figures));
    this.#info.set({ node, version: figures.version }, 1);
    for (const reason of DROP_REASONS) this.#drops.inc({ node, reason }, counted(`drops_${reason}`));
    for (const reason of REFUSAL_REASONS) this.#refusals.inc({ node, reason }, counted(`refused_${reason}`));
    this.#eventsDropped.inc({ node }, counted('events_dropped'));
  }
}

function statistic(name: string): (figures: NodeFigures) => number {
  return ({ statistics }) => statistics.get(name) ?? 0;
}
