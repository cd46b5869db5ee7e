import type { Credentials, Header, TlsOptions } from '../harness/sip-peer.js';

/** What the SIP side does with calls of one number. Times in milliseconds; `null` means never. */
export interface NumberBehaviour {
  /** 180 this long after the INVITE; `null` for no 180 at all. */
  ring_after_ms: number | null;
  /** 200 this long after the INVITE. */
  answer_after_ms: number | null;
  /** A final status of 300 or more instead of an answer, sent after `refuse_after_ms`. */
  refuse: number | null;
  refuse_after_ms: number;
  /** Say nothing to the INVITE, not even 100. */
  silent: boolean;
  /** Send BYE this long after the ACK (sent or received). */
  bye_after_ms: number | null;
  /** How a BYE is answered; anything but a 2xx leaves the call up. */
  bye_answer: number | 'ignore';
  /** Answer a BYE and go on as if it had not come. */
  forgets_bye: boolean;
  /** End a call without sending a BYE. */
  omits_bye: boolean;
}

/** Rings at once and answers after 50 ms. */
export const DEFAULT_NUMBER: NumberBehaviour = {
  ring_after_ms: 0,
  answer_after_ms: 50,
  refuse: null,
  refuse_after_ms: 0,
  silent: false,
  bye_after_ms: null,
  bye_answer: 200,
  forgets_bye: false,
  omits_bye: false,
};

/** How webhooks are delivered (retell.md 5.1). Times in milliseconds. */
export interface WebhookBehaviour {
  /** Where call events go; none if empty. A call's own `webhook_url` override comes first. */
  url: string;
  /** Where the inbound-call webhook goes; none if empty. */
  inbound_url: string;
  events: string[];
  delay_ms: number;
  /** How many extra copies of each webhook are sent. */
  duplicates: number;
  /** Webhooks that arise within this time are sent in reverse order; 0 keeps the order. */
  shuffle_within_ms: number;
  /** Events that are never sent; `*` for all. */
  drop: string[];
  timeout_ms: number;
  retries: number;
  retry_delay_ms: number;
}

export const DEFAULT_WEBHOOKS: WebhookBehaviour = {
  url: '',
  inbound_url: '',
  events: ['call_started', 'call_ended', 'call_analyzed'],
  delay_ms: 0,
  duplicates: 0,
  shuffle_within_ms: 0,
  drop: [],
  timeout_ms: 10_000,
  retries: 3,
  retry_delay_ms: 1000,
};

/** Endpoint names that a fault can be set for; `*` stands for all of them. */
export const ENDPOINTS = [
  'register-phone-call',
  'create-phone-call',
  'stop-call',
  'get-call',
  'list-calls',
  'get-concurrency',
  'update-live-call',
] as const;

/** What goes wrong on the HTTP side. */
export interface Fault {
  /** One of {@link ENDPOINTS} or `*`. */
  endpoint: string;
  /** The answer is held back this long; what the request asked for has happened by then. */
  delay_ms?: number;
  /** The request is answered with this status and does nothing. */
  status?: number;
  message?: string;
  /** For the next so many requests; for all if left out. */
  times?: number;
}

export type NumberBehaviours = Record<string, Partial<NumberBehaviour>>;

export interface SimulatorOptions {
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** UDP and TCP. Default: 0, any port that is free for both. */
  readonly sipPort?: number;
  /** SIP over TLS too, on a port of its own (0 or left out: any free one). */
  readonly tls?: TlsOptions & { readonly port?: number };
  readonly httpPort?: number;
  /** Default: `key_simulator`. */
  readonly apiKey?: string;
  /** The key that webhooks are signed with. Default: the API key. */
  readonly webhookKey?: string;
  /** Where create-phone-call sends its INVITE: `host`, `host:port` or a SIP URI; TCP unless it says otherwise. */
  readonly terminationUri?: string;
  /** Answers a 401 or 407 to that INVITE (RFC 2617, MD5). */
  readonly digest?: Credentials;
  /** Agents that exist; any agent does if left out. */
  readonly agents?: readonly string[];
  /** The agent of calls to an imported number; empty for none. Default: `agent_simulated`. */
  readonly inboundAgent?: string;
  /** By dialled number or call id; `*` changes the default. */
  readonly numbers?: NumberBehaviours;
  readonly webhooks?: Partial<WebhookBehaviour>;
  readonly faults?: readonly Fault[];
  /** Default: 20. */
  readonly concurrencyLimit?: number;
  /** Calls of the workspace that do not come through this simulator, but hold places. Default: 0. */
  readonly otherCalls?: number;
  /**
   * What stop-call does with a call that is registered or rings, which Retell's documents leave open: `refuse`
   * answers 422 and changes nothing, `end` answers 204 and ends it. Default: `refuse`.
   */
  readonly stopUnanswered?: 'refuse' | 'end';
  /** User part of the Contact in answers to an INVITE: that of its Request-URI, the call's id, or none. Default: `dialled`. */
  readonly contactUser?: 'dialled' | 'call_id' | 'none';
  /** A registered call must be dialled within this time. Default: 300000 ms. */
  readonly registrationTtlMs?: number;
  /** An outbound call rings at most this long. Default: 30000 ms. */
  readonly ringDurationMs?: number;
  /** Ended calls, requests and webhook deliveries that are remembered, each. Default: 20000. */
  readonly maxRemembered?: number;
  /** Names in `custom_sip_headers`: `x-foo`, or `foo` (Retell's documents disagree). Default: `prefixed`. */
  readonly headerNames?: 'prefixed' | 'stripped';
  /** Keep every SIP message for tests, or so many of the latest. Default: false. */
  readonly trace?: boolean | number;
}

/** The per-number settings, looked up by any of the names that a call goes by. */
export class Numbers {
  readonly #settings = new Map<string, Partial<NumberBehaviour>>();

  constructor(initial: NumberBehaviours = {}) {
    for (const [number, behaviour] of Object.entries(initial)) this.set(number, behaviour);
  }

  set(number: string, behaviour: Partial<NumberBehaviour>): void {
    this.#settings.set(number, behaviour);
  }

  clear(): void {
    this.#settings.clear();
  }

  find(...names: readonly string[]): NumberBehaviour {
    const known = names.find((name) => this.#settings.has(name));
    return {
      ...DEFAULT_NUMBER,
      ...this.#settings.get('*'),
      ...(known === undefined ? {} : this.#settings.get(known)),
    };
  }
}

/** The faults that are set, in order; one with `times` is used up. */
export class Faults {
  #faults: Fault[] = [];

  add(fault: Fault): void {
    this.#faults.push({ ...fault });
  }

  clear(): void {
    this.#faults = [];
  }

  take(endpoint: string): Fault | undefined {
    const fault = this.#faults.find((known) => known.endpoint === endpoint || known.endpoint === '*');
    if (fault?.times !== undefined) {
      fault.times -= 1;
      if (fault.times <= 0) this.#faults = this.#faults.filter((known) => known !== fault);
    }
    return fault;
  }
}

/** The last `limit` items. */
export class Recent<T> {
  #items: T[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get items(): readonly T[] {
    return this.#items.slice(-this.#limit);
  }

  push(item: T): void {
    this.#items.push(item);
    // Cut in large pieces, so that each push costs little.
    if (this.#items.length > 2 * this.#limit) this.#items = this.#items.slice(-this.#limit);
  }

  clear(): void {
    this.#items = [];
  }
}

/** Waits without keeping the process alive. */
export async function pause(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms).unref());
}

/** Headers that Retell hands to the agent (retell.md 1.7), named as it names them. */
export function customSipHeaders(
  headers: readonly Header[],
  names: 'prefixed' | 'stripped',
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [written, value] of headers) {
    const name = written.toLowerCase();
    if (name.startsWith('x-')) passed[names === 'stripped' ? name.slice(2) : name] = value;
    else if (PASSED_HEADERS.has(name)) passed[name] = value;
  }
  return passed;
}

const PASSED_HEADERS = new Set(['user-to-user', 'diversion', 'history-info', 'p-asserted-identity']);
