import { randomBytes } from 'node:crypto';
import type { IncomingCall, OutgoingCall } from '../harness/sip-peer.js';

export type CallStatus = 'registered' | 'ongoing' | 'ended' | 'error' | 'not_connected';
export type Direction = 'inbound' | 'outbound';

/** Retell's call object (retell.md 3), as far as it is simulated. Times in epoch milliseconds. */
export interface CallObject {
  call_type: 'phone_call';
  call_id: string;
  agent_id: string;
  agent_version: number;
  call_status: CallStatus;
  direction: Direction;
  from_number: string;
  to_number: string;
  metadata?: Record<string, unknown>;
  retell_llm_dynamic_variables?: Record<string, string>;
  custom_sip_headers?: Record<string, string>;
  telephony_identifier?: Record<string, string>;
  start_timestamp?: number;
  end_timestamp?: number;
  duration_ms?: number;
  disconnection_reason?: string;
  transfer_destination?: string;
  transcript?: string;
  transcript_object?: unknown[];
  latency?: Record<string, unknown>;
  call_cost?: Record<string, unknown>;
  call_analysis?: Record<string, unknown>;
}

export type NewCall = Pick<CallObject, 'agent_id' | 'direction' | 'from_number' | 'to_number'> &
  Partial<
    Pick<CallObject, 'agent_version' | 'metadata' | 'retell_llm_dynamic_variables' | 'custom_sip_headers'>
  >;

/** `agent_override.agent` of the request that made the call. */
export interface WebhookOverride {
  readonly webhook_url?: string;
  readonly webhook_events?: string[];
  readonly webhook_timeout_ms?: number;
}

/** A call with what the simulator needs to run it. */
export interface CallEntry {
  readonly call: CallObject;
  readonly createdAt: number;
  readonly webhook: WebhookOverride;
  /** Made by register-phone-call, and so on record even if it never connects. */
  readonly registered: boolean;
  /** The leg, once there is one, until the call is over. */
  sip: IncomingCall | OutgoingCall | undefined;
  /** Transferred by a second call, which is up as long as this one. */
  bridged: boolean;
}

export type Notify = (entry: CallEntry, event: string, more?: Record<string, unknown>) => void;

/** Reasons of calls that never connected, and of calls that broke (retell.md 3.1); the others end normally. */
const NOT_CONNECTED = new Set([
  'dial_busy',
  'dial_failed',
  'dial_no_answer',
  'invalid_destination',
  'telephony_provider_permission_denied',
  'telephony_provider_unavailable',
  'sip_routing_error',
  'marked_as_spam',
  'user_declined',
]);
const BROKEN = /^(error_.*|registered_call_timeout|concurrency_limit_reached)$/;
const OVER: ReadonlySet<CallStatus> = new Set(['ended', 'error', 'not_connected']);
const SWEEP_MS = 1000;

export interface CallsOptions {
  readonly maxRemembered: number;
  readonly registrationTtlMs: number;
  readonly notify: Notify;
}

/** The calls that Retell knows, and the steps of their life. Ended ones are forgotten past a bound. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #calls = new Map<string, CallEntry>();
  /** Registered calls that were not dialled yet, oldest first. */
  readonly #waiting = new Map<string, CallEntry>();
  readonly #over = new Set<string>();
  readonly #sweep: NodeJS.Timeout;

  constructor(options: CallsOptions) {
    this.#options = options;
    const everyMs = Math.min(SWEEP_MS, options.registrationTtlMs);
    this.#sweep = setInterval(() => this.#expire(), everyMs).unref();
  }

  /** Calls that hold a place: connected ones and those being set up. */
  get concurrency(): number {
    return this.#calls.size - this.#over.size - this.#waiting.size;
  }

  get(callId: string): CallEntry | undefined {
    return this.#calls.get(callId);
  }

  all(): CallEntry[] {
    return [...this.#calls.values()];
  }

  /** A call that waits to be dialled (register-phone-call). */
  register(call: NewCall, webhook: WebhookOverride = {}): CallEntry {
    const entry = this.#add(call, webhook, true);
    this.#waiting.set(entry.call.call_id, entry);
    return entry;
  }

  /** A call that is being set up now. */
  create(call: NewCall, webhook: WebhookOverride = {}): CallEntry {
    return this.#add(call, webhook, false);
  }

  #add(call: NewCall, webhook: WebhookOverride, registered: boolean): CallEntry {
    const entry: CallEntry = {
      call: {
        call_type: 'phone_call',
        call_id: `call_${randomBytes(14).toString('hex').slice(0, 27)}`,
        call_status: 'registered',
        agent_version: 0,
        ...call,
      },
      createdAt: Date.now(),
      webhook,
      registered,
      sip: undefined,
      bridged: false,
    };
    this.#calls.set(entry.call.call_id, entry);
    return entry;
  }

  /** Takes a registered call for the INVITE that dials it; undefined if it is unknown, used or expired. */
  claim(callId: string): CallEntry | undefined {
    this.#expire();
    const entry = this.#waiting.get(callId);
    this.#waiting.delete(callId);
    return entry;
  }

  connected(entry: CallEntry): void {
    if (entry.call.call_status !== 'registered' || !this.#knows(entry)) return;
    entry.call.call_status = 'ongoing';
    entry.call.start_timestamp = Date.now();
    entry.call.telephony_identifier = {};
    this.#options.notify(entry, 'call_started');
  }

  /** Ends a call once; call_ended goes out, and call_analyzed after it. */
  ended(entry: CallEntry, reason: string): void {
    const { call } = entry;
    if (OVER.has(call.call_status) || !this.#knows(entry)) return;
    call.call_status = NOT_CONNECTED.has(reason) ? 'not_connected' : BROKEN.test(reason) ? 'error' : 'ended';
    call.disconnection_reason = entry.bridged ? 'call_transfer' : reason;
    if (call.start_timestamp !== undefined) describeConversation(call, call.start_timestamp);
    entry.sip = undefined;
    this.#waiting.delete(call.call_id);
    this.#remember(call.call_id);
    if (entry.bridged) this.#options.notify(entry, 'transfer_ended');
    this.#options.notify(entry, 'call_ended');
    call.call_analysis = {
      call_summary: 'A simulated call.',
      in_voicemail: false,
      user_sentiment: 'Neutral',
      call_successful: call.start_timestamp !== undefined,
      custom_analysis_data: {},
    };
    this.#options.notify(entry, 'call_analyzed');
  }

  /** A call that was given up before it connected leaves no record (retell.md 6); one that stop-call ended does. */
  forget(entry: CallEntry): void {
    if (!this.#over.has(entry.call.call_id)) this.#calls.delete(entry.call.call_id);
  }

  clear(): void {
    this.#calls.clear();
    this.#waiting.clear();
    this.#over.clear();
  }

  stop(): void {
    clearInterval(this.#sweep);
  }

  /** False for a call that a reset made unknown. */
  #knows(entry: CallEntry): boolean {
    return this.#calls.get(entry.call.call_id) === entry;
  }

  #remember(callId: string): void {
    this.#over.add(callId);
    if (this.#over.size <= this.#options.maxRemembered) return;
    const [oldest] = this.#over;
    if (oldest === undefined) return;
    this.#over.delete(oldest);
    this.#calls.delete(oldest);
  }

  #expire(): void {
    const limit = Date.now() - this.#options.registrationTtlMs;
    for (const entry of this.#waiting.values()) {
      if (entry.createdAt > limit) return;
      this.ended(entry, 'registered_call_timeout');
    }
  }
}

function describeConversation(call: CallObject, startedAt: number): void {
  const endedAt = Date.now();
  const seconds = Math.ceil((endedAt - startedAt) / 1000);
  call.end_timestamp = endedAt;
  call.duration_ms = endedAt - startedAt;
  call.transcript = 'Agent: Hello.\nUser: Goodbye.\n';
  call.transcript_object = [
    { role: 'agent', content: 'Hello.', words: [] },
    { role: 'user', content: 'Goodbye.', words: [] },
  ];
  call.latency = { e2e: { p50: 800, p90: 1200, p95: 1500, p99: 2500, min: 500, max: 2700, num: 1 } };
  call.call_cost = {
    combined_cost: seconds * 0.2,
    product_costs: [],
    total_duration_seconds: seconds,
    total_duration_unit_price: 0.2,
  };
}
