import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Direction } from '../calls/call.js';
import type { DueKind } from '../calls/due/kinds.js';
import type { DueOutcome } from '../calls/due/work.js';
import type { CallObserver } from '../calls/event-handler.js';
import type { HangupOutcome } from '../calls/hangup/outcome.js';
import type { TransferStage } from '../calls/transfer/transfer.js';
import type { ZombieObserver, ZombieOutcome, ZombieSide, ZombieSource } from '../calls/zombies.js';
import { KNOWN_EVENTS } from '../retell/stored-webhook.js';
import type { Drift, DriftObserver } from '../routing/drift.js';
import type { DecisionObserver, DecisionOutcome } from '../routing/register.js';
import type { SlotsReading } from '../routing/slots.js';
import { DeliveryMetrics } from './delivery-metrics.js';
import { OriginationMetrics } from './origination-metrics.js';
import { ReconciliationMetrics } from './reconciliation-metrics.js';
import { RecordMetrics } from './record-metrics.js';
import { TraceMetrics } from './trace-metrics.js';
import { TransferMetrics } from './transfer-metrics.js';

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

/** Every metric of the control plane, in one registry of its own. */
export class Metrics implements CallObserver, DecisionObserver, DriftObserver, ZombieObserver {
  readonly registry = new Registry();
  readonly reconciliation = new ReconciliationMetrics(this.registry);
  readonly transfers = new TransferMetrics(this.registry);
  readonly records = new RecordMetrics(this.registry);
  readonly origination = new OriginationMetrics(this.registry);
  readonly traces = new TraceMetrics(this.registry);
  readonly deliveries = new DeliveryMetrics(this.registry);

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
  readonly #dueWork = this.#counter('due_work_total', 'Tries of work that was due, by their outcome', [
    'kind',
    'outcome',
  ]);
  readonly #dueOverdue = this.#gauge('due_work_overdue', 'Pieces of work that are due and wait', []);
  readonly #zombiesFound = this.#counter(
    'zombies_found_total',
    'Calls that were over on one side only, each once, by the side where they went on',
    ['side', 'by'],
  );
  readonly #zombiesEnded = this.#counter(
    'zombies_ended_total',
    'What was done with calls that were over on one side only',
    ['side', 'outcome'],
  );
  readonly #hangupJobs = this.#counter('hangup_jobs_total', 'Hangup jobs that are over, by how', ['outcome']);
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
  readonly #nodeRefusals = this.#gauge('kamailio_refused', 'Calls refused since the node started', [
    'node',
    'reason',
  ]);
  readonly #limited = this.#counter('limits_reached_total', 'Limits that kept a call from somewhere', [
    'limit',
    'carrier',
  ]);
  readonly #fallbacks = this.#counter(
    'fallbacks_total',
    'Calls that went to the fallback of their number',
    [],
  );
  readonly #attemptsFailed = this.#counter('attempts_failed_total', 'Gateways that did not take a call', [
    'carrier',
    'code_class',
  ]);
  readonly #retellTime = this.#histogram('retell_api_seconds', "Time of requests to Retell's API", [
    'endpoint',
    'outcome',
  ]);
  readonly #decisionTime = this.#histogram('decision_seconds', 'Time from an INVITE to the decision on it', [
    'outcome',
  ]);
  readonly #orphans = this.#counter(
    'orphaned_registrations_total',
    'Calls registered at Retell that nobody dials, by whether Retell could be told',
    ['outcome'],
  );
  readonly #webhookTime = this.#histogram('webhook_seconds', "Time of Retell's webhooks", ['outcome']);
  readonly #callWebhooks = this.#counter(
    'call_webhooks_total',
    "Retell's webhooks about calls, by what became of them",
    ['event', 'outcome'],
  );
  readonly #callWebhookLag = this.#histogram(
    'call_webhook_lag_seconds',
    "Time from a webhook's arrival to its record",
    [],
  );
  readonly #correlations = this.#counter(
    'webhook_correlations_total',
    "Retell's webhooks, by how their call was found",
    ['by'],
  );
  readonly #limitDrift = this.#gauge(
    'limit_drift',
    'Calls that count for a limit less the calls that are up by their records',
    ['limit', 'carrier'],
  );
  readonly #concurrencyUsed = this.#gauge(
    'retell_concurrency_used',
    'Calls at once, as Retell counts them',
    [],
  );
  readonly #concurrencyLimit = this.#gauge('retell_concurrency_limit', 'Calls at once that Retell takes', []);
  readonly #concurrencyFailed = this.#counter(
    'retell_concurrency_failures_total',
    "Times that Retell's concurrency could not be read",
    [],
  );
  readonly #reloads = this.#counter('config_reloads_total', 'Reloads of the configuration', ['outcome']);
  readonly #nodeApplied = this.#gauge(
    'kamailio_config_applied',
    'Whether the node holds the configuration in force',
    ['node'],
  );
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

  callLimited(limit: string, carrier = ''): void {
    this.#limited.inc({ limit, carrier });
  }

  callFellBack(): void {
    this.#fallbacks.inc();
  }

  attemptFailed(carrier: string, code: number): void {
    this.#attemptsFailed.inc({ carrier, code_class: `${Math.floor(code / 100)}xx` });
  }

  retellRequestDone(endpoint: string, outcome: string, seconds: number): void {
    this.#retellTime.observe({ endpoint, outcome }, seconds);
  }

  decided(outcome: DecisionOutcome, seconds: number): void {
    this.#decisionTime.observe({ outcome }, seconds);
  }

  orphaned(outcome: 'stopped' | 'failed'): void {
    this.#orphans.inc({ outcome });
  }

  webhookDone(outcome: string, seconds: number): void {
    this.#webhookTime.observe({ outcome }, seconds);
  }

  callWebhookHandled(event: string, outcome: string, lagS: number): void {
    const known = (KNOWN_EVENTS as readonly string[]).includes(event);
    this.#callWebhooks.inc({ event: known ? event : 'other', outcome });
    if (outcome === 'written') this.#callWebhookLag.observe(lagS);
  }

  webhookCorrelated(by: string): void {
    this.#correlations.inc({ by });
  }

  limitDrift(drifts: readonly Drift[] | undefined): void {
    this.#limitDrift.reset();
    for (const { limit, carrier = '', drift } of drifts ?? [])
      this.#limitDrift.set({ limit, carrier }, drift);
  }

  concurrencyRead({ current, limit }: SlotsReading): void {
    this.#concurrencyUsed.set(current);
    if (limit === null) this.#concurrencyLimit.reset();
    else this.#concurrencyLimit.set(limit);
  }

  concurrencyFailed(): void {
    this.#concurrencyFailed.inc();
  }

  reloadDone(outcome: string): void {
    this.#reloads.inc({ outcome });
  }

  nodeApplied(node: string, applied: boolean): void {
    this.#nodeApplied.set({ node }, applied ? 1 : 0);
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

  transferReached(stage: TransferStage): void {
    this.transfers.reached(stage);
  }

  dueWorkTried(kind: DueKind, outcome: DueOutcome): void {
    this.#dueWork.inc({ kind, outcome });
  }

  dueWorkOverdue(pieces: number): void {
    this.#dueOverdue.set(pieces);
  }

  zombieFound(side: ZombieSide, by: ZombieSource): void {
    this.#zombiesFound.inc({ side, by });
  }

  zombieEnded(side: ZombieSide, outcome: ZombieOutcome): void {
    this.#zombiesEnded.inc({ side, outcome });
  }

  hangupJobDone(outcome: 'done' | 'cancelled'): void {
    this.#hangupJobs.inc({ outcome });
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
    for (const reason of REFUSAL_REASONS) {
      if (statistics === undefined) this.#nodeRefusals.remove({ node, reason });
      else this.#nodeRefusals.set({ node, reason }, statistics.get(`script.refused_${reason}`) ?? 0);
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
