import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Direction } from '../calls/call.js';
import { DUE_KINDS, type DueKind } from '../calls/due/kinds.js';
import type { DueOutcome } from '../calls/due/work.js';
import type { CallObserver } from '../calls/event-handler.js';
import type { HangupOutcome } from '../calls/hangup/outcome.js';
import type { TransferStage } from '../calls/transfer/transfer.js';
import type { ZombieObserver, ZombieOutcome, ZombieSide, ZombieSource } from '../calls/zombies.js';
import { KNOWN_EVENTS } from '../retell/stored-webhook.js';
import type { Drift, DriftObserver } from '../routing/drift.js';
import type { DecisionObserver, DecisionOutcome } from '../routing/register.js';
import type { SlotsReading } from '../routing/slots.js';
import { DEFAULT_BUCKETS } from './buckets.js';
import { CallMetrics } from './call-metrics.js';
import { CertificateMetrics } from './certificate-metrics.js';
import { DeliveryMetrics } from './delivery-metrics.js';
import { GatewayMetrics } from './gateway-metrics.js';
import { KamailioMetrics } from './kamailio-metrics.js';
import { CarrierLabels } from './labels.js';
import { LimitMetrics } from './limit-metrics.js';
import { OriginationMetrics } from './origination-metrics.js';
import { ReconciliationMetrics } from './reconciliation-metrics.js';
import { RecordMetrics } from './record-metrics.js';
import { RedisMetrics } from './redis-metrics.js';
import { TraceMetrics } from './trace-metrics.js';
import { TransferMetrics } from './transfer-metrics.js';
import { startAtZero } from './zeros.js';

export interface MetricsSources {
  version: string;
  /** The carriers in force: no other name becomes a label. */
  carriers: () => readonly { name: string }[];
}

/** Every metric of the control plane, in one registry of its own. */
export class Metrics implements CallObserver, DecisionObserver, DriftObserver, ZombieObserver {
  readonly registry = new Registry();
  readonly reconciliation = new ReconciliationMetrics(this.registry);
  readonly transfers = new TransferMetrics(this.registry);
  readonly records = new RecordMetrics(this.registry);
  readonly origination = new OriginationMetrics(this.registry);
  readonly traces = new TraceMetrics(this.registry);
  readonly deliveries = new DeliveryMetrics(this.registry);
  readonly calls: CallMetrics;
  readonly limits: LimitMetrics;
  readonly kamailio = new KamailioMetrics(this.registry);
  readonly gateways = new GatewayMetrics(this.registry);
  readonly redis = new RedisMetrics(this.registry);
  readonly certificates = new CertificateMetrics(this.registry);

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
  readonly #fallbacks = this.#counter(
    'fallbacks_total',
    'Calls that went to the fallback of their number',
    [],
  );
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
  /** What reads anew the figures that a scrape shows as they are at that moment. */
  #beforeScrape: () => Promise<void> = async () => {};

  constructor({ version, carriers }: MetricsSources) {
    collectDefaultMetrics({ register: this.registry });
    // Sums of their neighbours that Prometheus would take for counters, by their names.
    for (const name of ['handles', 'requests', 'resources'])
      this.registry.removeSingleMetric(`nodejs_active_${name}_total`);
    this.#gauge('build_info', 'The version that runs', ['version']).set({ version }, 1);
    startAtZero(this.#hangups, { outcome: ['ended', 'already_ended', 'partial', 'failed', 'refused'] });
    startAtZero(this.#hangupJobs, { outcome: ['done', 'cancelled'] });
    startAtZero(this.#zombiesFound, {
      side: ['retell', 'here'],
      by: ['call_end', 'webhook', 'reconciler'],
    });
    startAtZero(this.#zombiesEnded, { side: ['retell', 'here'], outcome: ['ended', 'observed', 'failed'] });
    startAtZero(this.#dueWork, { kind: DUE_KINDS, outcome: ['done', 'failed', 'dropped'] });
    startAtZero(this.#orphans, { outcome: ['stopped', 'failed'] });
    startAtZero(this.#reloads, { outcome: ['applied', 'incomplete', 'invalid'] });
    const labels = new CarrierLabels(carriers);
    this.calls = new CallMetrics(this.registry, labels);
    this.limits = new LimitMetrics(this.registry, labels);
  }

  eventHandled(type: string, lagS: number): void {
    this.#events.inc({ type });
    this.#eventLag.observe(Math.max(lagS, 0));
  }

  callStarted(direction: Direction, carrier: string | undefined): void {
    this.calls.started(direction, carrier);
  }

  callLimited(limit: string, carrier: string | undefined): void {
    this.limits.reached(limit, carrier);
  }

  callFellBack(): void {
    this.#fallbacks.inc();
  }

  attemptFailed(owner: string, code: number): void {
    this.calls.attemptFailed(owner, code);
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
    this.limits.drift(drifts);
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

  /** @param read never rejects */
  beforeScrape(read: () => Promise<void>): void {
    this.#beforeScrape = read;
  }

  /** Everything in Prometheus' text format. */
  async text(): Promise<string> {
    await this.#beforeScrape();
    return this.registry.metrics();
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
      buckets: DEFAULT_BUCKETS,
      registers: [this.registry],
    });
  }
}
