import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ActiveCount } from '../calls/active-calls.js';
import type { Direction } from '../calls/call.js';
import type { DetailRecord } from '../calls/detail-record.js';
import { type CarrierLabels, classLabel, codeLabel } from './labels.js';

type Subject = 'direction' | 'carrier';

/** Upper bounds in s. */
const REQUEST_DELAYS = [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30];
const DURATIONS = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200];
const DISCONNECT_DELAYS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 32];

/** What calls came to. Each ended call counts once over all replicas, when its detail record is written for the first time. */
export class CallMetrics {
  readonly #labels: CarrierLabels;
  readonly #started: Counter<Subject>;
  readonly #ended: Counter<Subject | 'ended_by'>;
  readonly #results: Counter<Subject | 'code'>;
  readonly #requestDelay: Histogram<Subject | 'outcome'>;
  readonly #duration: Histogram<Subject>;
  readonly #disconnectDelay: Histogram<Subject>;
  readonly #responses: Counter<'carrier' | 'code'>;
  readonly #attemptsFailed: Counter<'carrier' | 'code_class'>;
  readonly #active: Gauge<Subject | 'state'>;

  constructor(registry: Registry, labels: CarrierLabels) {
    this.#labels = labels;
    const registers = [registry];
    const subject = ['direction', 'carrier'] as const;
    this.#started = new Counter({
      name: 'retell_proxy_calls_total',
      help: 'Calls that came in',
      labelNames: subject,
      registers,
    });
    this.#ended = new Counter({
      name: 'retell_proxy_calls_ended_total',
      help: 'Calls that ended, by who ended them',
      labelNames: [...subject, 'ended_by'],
      registers,
    });
    this.#results = new Counter({
      name: 'retell_proxy_call_results_total',
      help: 'Calls that ended, by the final status of their INVITE',
      labelNames: [...subject, 'code'],
      registers,
    });
    this.#requestDelay = new Histogram({
      name: 'retell_proxy_session_request_delay_seconds',
      help: 'Session request delay (RFC 6076 section 4.3)',
      labelNames: [...subject, 'outcome'],
      buckets: REQUEST_DELAYS,
      registers,
    });
    this.#duration = new Histogram({
      name: 'retell_proxy_session_duration_seconds',
      help: 'Session duration time (RFC 6076 section 4.5)',
      labelNames: subject,
      buckets: DURATIONS,
      registers,
    });
    this.#disconnectDelay = new Histogram({
      name: 'retell_proxy_session_disconnect_delay_seconds',
      help: 'Session disconnect delay (RFC 6076 section 4.4)',
      labelNames: subject,
      buckets: DISCONNECT_DELAYS,
      registers,
    });
    this.#responses = new Counter({
      name: 'retell_proxy_gateway_responses_total',
      help: 'Final responses of the gateways that were tried, of calls that ended',
      labelNames: ['carrier', 'code'],
      registers,
    });
    this.#attemptsFailed = new Counter({
      name: 'retell_proxy_attempts_failed_total',
      help: 'Gateways that did not take a call',
      labelNames: ['carrier', 'code_class'],
      registers,
    });
    this.#active = new Gauge({
      name: 'retell_proxy_calls_active',
      help: 'Calls that are up by their records, the same at every replica',
      labelNames: [...subject, 'state'],
      registers,
    });
  }

  started(direction: Direction, carrier: string | undefined): void {
    this.#started.inc({ direction, carrier: this.#labels.of(carrier) });
  }

  attemptFailed(owner: string, status: number): void {
    this.#attemptsFailed.inc({ carrier: this.#labels.of(owner), code_class: classLabel(status) });
  }

  /** A call's detail record was written for the first time. */
  ended(record: DetailRecord): void {
    // Retell was asked for it and no node ever had it: it is no attempt.
    if (record.sip_call_id === null) return;
    const subject = { direction: record.direction, carrier: this.#labels.of(record.carrier) };
    const isAnswered = record.answered_at !== null;
    this.#ended.inc({ ...subject, ended_by: record.ended_by ?? 'failure' });
    this.#results.inc({ ...subject, code: isAnswered ? '200' : codeLabel(record.sip_status) });
    if (record.srd_ms !== null) {
      this.#requestDelay.observe(
        { ...subject, outcome: isAnswered ? 'answered' : 'refused' },
        record.srd_ms / 1000,
      );
    }
    if (record.duration_ms !== null) this.#duration.observe(subject, record.duration_ms / 1000);
    if (record.sdd_ms !== null) this.#disconnectDelay.observe(subject, record.sdd_ms / 1000);
    for (const { carrier, status } of record.attempts) {
      this.#responses.inc({ carrier: this.#labels.of(carrier ?? 'retell'), code: codeLabel(status) });
    }
  }

  /** @param counts undefined where Redis did not answer */
  active(counts: readonly ActiveCount[] | undefined): void {
    this.#active.reset();
    if (counts === undefined) return;
    for (const direction of ['inbound', 'outbound'] as const) {
      for (const state of ['routing', 'ringing', 'answered'] as const) {
        // One of each is always there, so that a sum over them is 0 and not nothing.
        this.#active.set({ direction, carrier: '', state }, 0);
      }
    }
    for (const { direction, carrier, state, calls } of counts) {
      this.#active.inc({ direction, carrier: this.#labels.of(carrier), state }, calls);
    }
  }
}
