import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Direction } from '../calls/call.js';
import type { CallObserver } from '../calls/event-handler.js';
import type { HangupOutcome } from '../calls/hangup.js';

/** Longest to wait for a Kamailio node when Prometheus scrapes, and how long its figures are kept, in ms. */
const NODE_CACHE_MS = 2000;

/** What a Kamailio node tells of itself, by the statistics' full names. */
export type NodeStatistics = ReadonlyMap<string, number>;

export interface MetricsSources {
  version: string;
  /** Statistics of every configured node; undefined for one that does not answer. */
  nodeStatistics: () => Promise<ReadonlyMap<string, NodeStatistics | undefined>>;
}

/** The labels of a node's gauges and counters, and where their values come from. */
const NODE_GAUGES = [
  ['active_dialogs', 'Dialogs that are confirmed', 'dialog.active_dialogs'],
  ['early_dialogs', 'Dialogs that are not answered yet', 'dialog.early_dialogs'],
  ['shared_memory_used_bytes', 'Shared memory in use', 'shmem.real_used_size'],
  ['shared_memory_size_bytes', 'Shared memory in all', 'shmem.total_size'],
  ['queued_events', 'Call events that wait for Redis', 'queue.events'],
] as const;

/** Why a node drops a request without an answer. */
const DROP_REASONS = ['unknown_source', 'malformed'] as const;

/** Every metric of the control plane, in one registry of its own. */
export class Metrics implements CallObserver {
  readonly registry = new Registry();

  readonly #calls = this.#counter('calls_total', 'Calls that came in', ['direction', 'carrier']);
  readonly #callsEnded = this.#counter('calls_ended_total', 'Calls that ended, by who ended them', [
    'ended_by',
  ]);
  readonly #events = this.#counter('events_total', 'Call events handled', ['type']);
  readonly #eventLag = this.#histogram(
    'event_lag_seconds',
    'Time from an event in Kamailio to its record',
    [],
  );
  readonly #unreadable = this.#counter(
    'events_unreadable_total',
    'Batches of events that could not be read',
    [],
  );
  readonly #byesUnmatched = this.#counter('byes_unmatched_total', 'BYEs whose Call-ID is in no record', []);
  readonly #hangups = this.#counter('hangups_total', 'Hangups by command, by outcome', ['outcome']);
  readonly #hangupTime = this.#histogram('hangup_seconds', 'Time from a hangup to its outcome', ['outcome']);
  readonly #rpcTime = this.#histogram('kamailio_rpc_seconds', 'Time of RPCs to Kamailio', [
    'node',
    'method',
    'outcome',
  ]);
  readonly #nodeUp = this.#gauge('kamailio_up', 'Whether the node answers', ['node']);
  readonly #nodeGauges = NODE_GAUGES.map(
    ([name, help, source]) => [this.#gauge(`kamailio_${name}`, help, ['node']), source] as const,
  );
  readonly #nodeDrops = this.#gauge('kamailio_drops', 'Requests dropped since the node started', [
    'node',
    'reason',
  ]);
  readonly #nodeStatistics: MetricsSources['nodeStatistics'];
  #nodesReadAt = Number.NEGATIVE_INFINITY;

  constructor(sources: MetricsSources) {
    collectDefaultMetrics({ register: this.registry });
    this.#gauge('build_info', 'The version that runs', ['version']).set({ version: sources.version }, 1);
    this.#nodeStatistics = sources.nodeStatistics;
  }

  eventHandled(type: string, lagS: number): void {
    this.#events.inc({ type });
    this.#eventLag.observe(Math.max(lagS, 0));
  }

  callStarted(direction: Direction, carrier = ''): void {
    this.#calls.inc({ direction, carrier });
  }

  callEnded(by: string): void {
    this.#callsEnded.inc({ ended_by: by });
  }

  byeUnmatched(): void {
    this.#byesUnmatched.inc();
  }

  eventsUnreadable(): void {
    this.#unreadable.inc();
  }

  hangupDone(outcome: HangupOutcome | 'refused', seconds: number): void {
    this.#hangups.inc({ outcome });
    this.#hangupTime.observe({ outcome }, seconds);
  }

  rpcDone(node: string, method: string, outcome: string, seconds: number): void {
    this.#rpcTime.observe({ node, method, outcome }, seconds);
  }

  /** Everything in Prometheus' text format, the nodes' figures read anew, at most once in a while. */
  async text(): Promise<string> {
    if (Date.now() - this.#nodesReadAt >= NODE_CACHE_MS) {
      this.#nodesReadAt = Date.now();
      for (const [node, statistics] of await this.#nodeStatistics()) this.#setNode(node, statistics);
    }
    return this.registry.metrics();
  }

  /** A node that does not answer has no figures: the last known ones would look alive. */
  #setNode(node: string, statistics: NodeStatistics | undefined): void {
    this.#nodeUp.set({ node }, statistics === undefined ? 0 : 1);
    for (const [gauge, source] of this.#nodeGauges) {
      if (statistics === undefined) gauge.remove({ node });
      else gauge.set({ node }, statistics.get(source) ?? 0);
    }
    for (const reason of DROP_REASONS) {
      if (statistics === undefined) this.#nodeDrops.remove({ node, reason });
      else this.#nodeDrops.set({ node, reason }, statistics.get(`script.drops_${reason}`) ?? 0);
    }
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name: `retell_proxy_${name}`, help, labelNames, registers: [this.registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[]): Gauge<L> {
    return new Gauge({ name: `retell_proxy_${name}`, help, labelNames, registers: [this.registry] });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> {
    return new Histogram({
      name: `retell_proxy_${name}`,
      help,
      labelNames,
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers: [this.registry],
    });
  }
}
