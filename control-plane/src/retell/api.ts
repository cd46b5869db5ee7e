import Retell from 'retell-sdk';
import { Agent, fetch, type RequestInit } from 'undici';
import type { Config } from '../config/schema.js';
import { callRefOf, isRetellCallId, type RetellCall, readRetellCall } from './call-object.js';
import { RetellError, type RetellErrorCode } from './errors.js';

export { callRefOf, type RetellCall } from './call-object.js';

export type RegisterParams = Retell.CallRegisterPhoneCallParams;
export type CreateParams = Retell.CallCreatePhoneCallParams;
export type Concurrency = Retell.ConcurrencyRetrieveResponse;
export type RetellEndpoint =
  | 'register-phone-call'
  | 'create-phone-call'
  | 'stop-call'
  | 'get-call'
  | 'list-calls'
  | 'update-live-call'
  | 'get-concurrency';

export interface RetellApiOptions {
  /** The configuration in force: its key and address are looked at for each request. */
  config: { readonly current: Config };
  /** Told of every request: its outcome (`ok` or an error's code), its time in seconds, and Retell's status for `refused`. */
  observe?: (
    endpoint: RetellEndpoint,
    outcome: 'ok' | RetellErrorCode,
    seconds: number,
    status?: number,
  ) => void;
}

export interface RequestLimits {
  /** Longest wait for the whole answer, in ms. Default 5,000. */
  timeoutMs?: number;
  /** Gives the request up. Retell may have done all the same what was asked. */
  signal?: AbortSignal;
}

/** A call that waits to be dialled at `sip:{callId}@` one of Retell's gateways. */
export interface RegisteredCall {
  /** Whoever knows it can join the call: never log it. */
  callId: string;
}

const TIMEOUT_MS = 5000;
/** Longest wait for a connection, in ms. */
const CONNECT_TIMEOUT_MS = 3000;
/**
 * How long an idle connection is kept where Retell does not say, in ms: under the 60 s after which common load
 * balancers close theirs, and over the pause between two looks at the concurrency, which so keep one warm.
 */
const KEEP_ALIVE_MS = 30_000;
/** Calls in one page of a list, and how many pages are asked for. */
const PAGE_LENGTH = 1000;
const MAX_PAGES = 10;
/** Whoever gets so many ongoing calls may not have got all of them. */
export const MAX_LISTED_CALLS = PAGE_LENGTH * MAX_PAGES;
/** How much of Retell's own message an error keeps, in characters. */
const MESSAGE_LENGTH = 200;

/**
 * Retell's REST API as far as calls need it (retell.md 2). Nothing is ever repeated: Retell knows no
 * idempotency key, so a repeated request may register twice.
 */
export class RetellApi {
  readonly #config: RetellApiOptions['config'];
  readonly #observe: NonNullable<RetellApiOptions['observe']>;
  /** One connection for each request under way: a slow answer holds up no other. */
  readonly #connections = new Agent({
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });
  /** undici's own: the connections of one version of it are not for the fetch of another, such as Node's. */
  readonly #fetch = ((url: string, init: RequestInit) =>
    fetch(url, { ...init, dispatcher: this.#connections })) as unknown as typeof globalThis.fetch;
  #client: Retell | undefined;

  constructor(options: RetellApiOptions) {
    this.#config = options.config;
    this.#observe = options.observe ?? (() => {});
  }

  /** Registers a call that we are going to dial (Retell's dial to SIP URI). @throws RetellError */
  async registerPhoneCall(params: RegisterParams, limits: RequestLimits = {}): Promise<RegisteredCall> {
    return this.#request('register-phone-call', limits, async (client, options) => {
      const answer: Partial<Retell.PhoneCallResponse> | null = await client.call.registerPhoneCall(
        params,
        options,
      );
      const callId = answer?.call_id;
      if (!isRetellCallId(callId)) {
        throw new RetellError('protocol', 'register-phone-call', 'an answer without a usable call id');
      }
      return { callId };
    });
  }

  /**
   * Has Retell call out. Its INVITE may come before the answer does.
   *
   * @throws RetellError; only `refused` and `not_configured` say that there is no call
   */
  async createPhoneCall(params: CreateParams, limits: RequestLimits = {}): Promise<RetellCall> {
    return this.#request('create-phone-call', limits, async (client, options) => {
      const call = readRetellCall(await client.call.createPhoneCall(params, options));
      if (call === undefined) {
        throw new RetellError('protocol', 'create-phone-call', 'an answer without a usable call id');
      }
      return call;
    });
  }

  /** Stops a call at Retell's side. @throws RetellError; `refused` with 400 or 422 where it is not ongoing */
  async stopCall(callId: string, limits: RequestLimits = {}): Promise<void> {
    await this.#request('stop-call', limits, (client, options) => client.call.stop(callId, options));
  }

  /**
   * Tells the live agent of a call something, and has it speak.
   *
   * @throws RetellError; `refused` with 422 where the call is not ongoing
   */
  async tellAgent(callId: string, text: string, limits: RequestLimits = {}): Promise<void> {
    await this.#request('update-live-call', limits, (client, options) =>
      client.call.updateLive(
        callId,
        { call_control: { additional_context: text, trigger_response: true } },
        options,
      ),
    );
  }

  /** What Retell knows of a call. @throws RetellError; `refused` with 404 or 422 where it knows none */
  async getCall(callId: string, limits: RequestLimits = {}): Promise<RetellCall> {
    return this.#request('get-call', limits, async (client, options) => {
      const call = readRetellCall(await client.call.retrieve(callId, options));
      if (call?.call_id !== callId) {
        throw new RetellError('protocol', 'get-call', 'an answer that is not the call asked for');
      }
      return call;
    });
  }

  /**
   * The phone calls that Retell counts as ongoing, the oldest first, each once; at most
   * {@link MAX_LISTED_CALLS}. Calls that are registered and not connected yet are not among them.
   *
   * @param limits of each of the requests
   * @throws RetellError
   */
  async listOngoingCalls(limits: RequestLimits = {}): Promise<RetellCall[]> {
    const calls = new Map<string, RetellCall>();
    let place: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const { items, next } = await this.#ongoingAfter(place, limits);
      for (const call of items) calls.set(call.call_id, call);
      if (next === undefined || next === place) break;
      place = next;
    }
    return [...calls.values()];
  }

  /** The newest call that bears our id in its metadata; undefined where Retell lists none. @throws RetellError */
  async findByCallRef(callRef: string, limits: RequestLimits = {}): Promise<RetellCall | undefined> {
    return this.#request('list-calls', limits, async (client, options) => {
      const answer: unknown = await client.call.list(
        {
          filter_criteria: {
            metadata: [{ key: 'call_ref', type: 'string', op: 'eq', value: callRef }],
          },
          limit: 1,
        },
        options,
      );
      const call = readRetellCall(itemsOf(answer)[0]);
      return call !== undefined && callRefOf(call)?.id === callRef ? call : undefined;
    });
  }

  /** One page, and where the next one starts. */
  async #ongoingAfter(place: string | undefined, limits: RequestLimits) {
    return this.#request('list-calls', limits, async (client, options) => {
      const answer: unknown = await client.call.list(
        {
          filter_criteria: {
            call_status: { type: 'enum', op: 'in', value: ['ongoing'] },
            call_type: { type: 'enum', op: 'in', value: ['phone_call'] },
          },
          limit: PAGE_LENGTH,
          // New calls come at the end, where they move no page.
          sort_order: 'ascending',
          ...(place === undefined ? {} : { pagination_key: place }),
        },
        options,
      );
      const { has_more, pagination_key } = (answer ?? {}) as Record<string, unknown>;
      return {
        // What has no id can be compared with nothing.
        items: itemsOf(answer).flatMap((item) => readRetellCall(item) ?? []),
        next: has_more === true && typeof pagination_key === 'string' ? pagination_key : undefined,
      };
    });
  }

  /** How many calls Retell has for us and how many it takes. Every field may be missing. @throws RetellError */
  async getConcurrency(limits: RequestLimits = {}): Promise<Concurrency> {
    return this.#request('get-concurrency', limits, async (client, options) => {
      const answer: unknown = await client.concurrency.retrieve(options);
      if (typeof answer !== 'object' || answer === null) {
        throw new RetellError('protocol', 'get-concurrency', 'an answer that is no object');
      }
      return answer;
    });
  }

  /** Closes every connection; requests under way fail. */
  async close(): Promise<void> {
    await this.#connections.destroy();
  }

  async #request<T>(
    endpoint: RetellEndpoint,
    { timeoutMs = TIMEOUT_MS, signal }: RequestLimits,
    send: (client: Retell, options: Retell.RequestOptions) => Promise<T>,
  ): Promise<T> {
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1000;
    // The SDK's own time limit ends with the headers: this one is for the body too.
    const deadline = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
    try {
      const result = await send(this.#clientOf(endpoint), {
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
        timeout: Math.max(1, Math.ceil(timeoutMs)),
      });
      this.#observe(endpoint, 'ok', seconds());
      return result;
    } catch (error) {
      const failure = this.#errorOf(endpoint, error, { deadline, signal, timeoutMs });
      this.#observe(endpoint, failure.code, seconds(), failure.status);
      throw failure;
    }
  }

  /** The client of the key and address in force, made anew when they change. */
  #clientOf(endpoint: RetellEndpoint): Retell {
    const { api_key, base_url } = this.#config.current.retell;
    if (api_key === undefined)
      throw new RetellError('not_configured', endpoint, 'there is no retell.api_key');
    if (this.#client?.apiKey !== api_key || this.#client.baseURL !== base_url) {
      this.#client = new Retell({
        apiKey: api_key,
        baseURL: base_url,
        maxRetries: 0,
        // It would log bodies and addresses, and with them the ids of calls.
        logLevel: 'off',
        fetch: this.#fetch,
      });
    }
    return this.#client;
  }

  #errorOf(
    endpoint: RetellEndpoint,
    error: unknown,
    {
      deadline,
      signal,
      timeoutMs,
    }: { deadline: AbortSignal; signal?: AbortSignal | undefined; timeoutMs: number },
  ): RetellError {
    if (error instanceof RetellError) return error;
    if (error instanceof Retell.APIError && error.status !== undefined) {
      return new RetellError('refused', endpoint, this.#scrubbed(error.message), error.status);
    }
    if (signal?.aborted) return new RetellError('aborted', endpoint, 'given up');
    if (deadline.aborted || error instanceof Retell.APIConnectionTimeoutError) {
      return new RetellError('timeout', endpoint, `no answer in ${Math.round(timeoutMs)} ms`);
    }
    if (error instanceof SyntaxError)
      return new RetellError('protocol', endpoint, 'an answer that is not JSON');
    return new RetellError('unreachable', endpoint, this.#scrubbed(causeOf(error)));
  }

  /** Retell's own words, on one line, without our key and without ids of calls. */
  #scrubbed(message: string): string {
    const key = this.#client?.apiKey;
    return (key ? message.replaceAll(key, '[redacted]') : message)
      .replace(/\bcall_\w+/g, 'call_[redacted]')
      .replace(/\bkey_\w+/g, 'key_[redacted]')
      .replace(/\s+/g, ' ')
      .slice(0, MESSAGE_LENGTH);
  }
}

function itemsOf(list: unknown): unknown[] {
  const { items } = (list ?? {}) as Record<string, unknown>;
  if (!Array.isArray(items)) {
    throw new RetellError('protocol', 'list-calls', 'an answer without a list of calls');
  }
  return items;
}

/** The innermost reason of a failed connection, such as ECONNREFUSED. */
function causeOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  const { code } = inner as { code?: unknown };
  return typeof code === 'string' ? code : inner instanceof Error ? inner.message : String(inner);
}
