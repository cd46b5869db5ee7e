import { Pool } from 'undici';
import { Breaker, type BreakerOptions } from './breaker.js';
import { KamailioError, type KamailioErrorCode } from './errors.js';

export interface RpcClientOptions {
  /** The node's name, for errors and metrics. */
  node: string;
  /** Where the node takes JSON-RPC, e.g. http://127.0.0.1:8088/RPC. */
  url: string;
  /** The bearer token that the node expects. */
  token: string;
  /** Longest wait for one answer, in ms. Default 1,500. */
  deadlineMs?: number;
  /** Connections kept open; each occupies at most one of the node's RPC workers. Default 3. */
  connections?: number;
  breaker?: BreakerOptions;
  /** Told of every call: method, outcome (`ok` or an error's code) and how long it took in seconds. */
  observe?: (method: string, outcome: 'ok' | KamailioErrorCode, seconds: number) => void;
}

/** Longest wait for an answer of a node that has just let a deadline pass, in ms: one that lives needs a few. */
const DOUBT_MS = 300;

/** One value of an RPC's positional parameters. Numbers must be numbers, strings strings (facts: Kamailio does not convert). */
export type RpcParam = string | number;

/** Headers of SIP, which the route for hangups looks a transaction up by, to find none (kamailio/hangups.cfg). */
const LIKE_SIP = {
  from: '<sip:control-plane@invalid>;tag=0',
  to: '<sip:node@invalid>',
  'call-id': 'hangup@control-plane.invalid',
  cseq: '1 POST',
};

/**
 * JSON-RPC 2.0 over HTTP to one Kamailio node, with a deadline for every call, typed errors, kept-alive
 * connections and a circuit breaker.
 *
 * Kamailio answers 200 and an empty result to requests whose envelope it does not like, so the envelope
 * is always exact, and an answer counts only when it carries the id of its request.
 */
export class RpcClient {
  readonly node: string;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #token: string;
  readonly #deadlineMs: number;
  readonly #breaker: Breaker;
  readonly #observe: NonNullable<RpcClientOptions['observe']>;
  #lastId = 0;
  /** The last deadline passed without an answer, and none has come since. */
  #inDoubt = false;
  #lastFailure: KamailioErrorCode | undefined;

  constructor(options: RpcClientOptions) {
    const url = new URL(options.url);
    this.node = options.node;
    this.#path = url.pathname;
    this.#token = options.token;
    this.#deadlineMs = options.deadlineMs ?? 1500;
    this.#breaker = new Breaker(options.breaker);
    this.#observe = options.observe ?? (() => {});
    this.#pool = new Pool(url.origin, {
      connections: options.connections ?? 3,
      pipelining: 1,
      keepAliveTimeout: 60_000,
      connect: { timeout: this.#deadlineMs },
    });
  }

  get breakerState(): 'closed' | 'open' {
    return this.#breaker.state;
  }

  /**
   * Calls `method` and returns its result.
   *
   * @param deadlineMs longest wait for this call, in ms; default that of the client
   * @throws KamailioError
   */
  async call(
    method: string,
    params: readonly RpcParam[] = [],
    deadlineMs = this.#deadlineMs,
  ): Promise<unknown> {
    return this.#watched(method, () => this.#exchange(method, params, deadlineMs));
  }

  /**
   * `call` for what may safely be asked again. Of a node that has just let a deadline pass, the answer is not waited
   * for as long as that: so a request of the API that asks several things of a node that hangs waits once.
   *
   * @throws KamailioError
   */
  ask(method: string, params: readonly RpcParam[] = []): Promise<unknown> {
    return this.call(method, params, this.#inDoubt ? Math.min(DOUBT_MS, this.#deadlineMs) : this.#deadlineMs);
  }

  /**
   * Posts a JSON object to a route of our own on the RPC socket (kamailio/rpc.cfg).
   *
   * @param refusals the statuses, besides 200, that are answers too
   * @returns the object of a 200, or the status of a refusal
   * @throws KamailioError
   */
  async post<Refusal extends 404 | 409 | 429>(
    path: '/decisions' | '/hangups' | '/transfers',
    body: Record<string, RpcParam>,
    refusals: readonly Refusal[],
  ): Promise<Record<string, unknown> | Refusal> {
    const name = path.slice(1);
    return this.#watched(name, async () => {
      const { status, text } = await this.#post(name, path, body, this.#deadlineMs);
      const refusal = refusals.find((known) => known === status);
      if (refusal !== undefined) return refusal;
      if (status === 200) return JSON.parse(text) as Record<string, unknown>;
      throw new KamailioError('KAMAILIO_PROTOCOL', this.node, name, `HTTP ${status} ${text.trim()}`);
    });
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  /** Runs an exchange with the node, where the breaker admits it, and tells breaker and observer of its outcome. */
  async #watched<T>(method: string, exchange: () => Promise<T>): Promise<T> {
    if (!this.#breaker.admits()) {
      this.#observe(method, 'KAMAILIO_BREAKER_OPEN', 0);
      const detail = 'not asked, it failed repeatedly';
      throw new KamailioError(
        'KAMAILIO_BREAKER_OPEN',
        this.node,
        method,
        detail,
        undefined,
        this.#lastFailure,
      );
    }
    const started = performance.now();
    try {
      const result = await exchange();
      this.#breaker.succeeded();
      this.#inDoubt = false;
      this.#observe(method, 'ok', (performance.now() - started) / 1000);
      return result;
    } catch (error) {
      if (error instanceof KamailioError) {
        this.#inDoubt = error.code === 'KAMAILIO_TIMEOUT';
        if (error.nodeIsDown) {
          this.#breaker.failed();
          this.#lastFailure = error.code;
        } else this.#breaker.succeeded();
        this.#observe(method, error.code, (performance.now() - started) / 1000);
      }
      throw error;
    }
  }

  async #exchange(method: string, params: readonly RpcParam[], deadlineMs: number): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    const envelope = { jsonrpc: '2.0', id, method, params };
    const { status, text } = await this.#post(method, this.#path, envelope, deadlineMs);
    return this.#result(method, id, status, text);
  }

  async #post(
    method: string,
    path: string,
    body: unknown,
    deadlineMs: number,
  ): Promise<{ status: number; text: string }> {
    const signal = AbortSignal.timeout(deadlineMs);
    try {
      const response = await this.#pool.request({
        method: 'POST',
        path,
        headers: {
          authorization: `Bearer ${this.#token}`,
          'content-type': 'application/json',
          ...(path === '/hangups' ? LIKE_SIP : {}),
        },
        body: JSON.stringify(body),
        signal,
      });
      return { status: response.statusCode, text: await response.body.text() };
    } catch (error) {
      if (signal.aborted) {
        throw new KamailioError('KAMAILIO_TIMEOUT', this.node, method, `no answer in ${deadlineMs} ms`);
      }
      const detail = error instanceof Error ? error.message : String(error);
      throw new KamailioError('KAMAILIO_UNREACHABLE', this.node, method, detail);
    }
  }

  #result(method: string, id: number, status: number, text: string): unknown {
    const reply = parseReply(text);
    if (reply === undefined) {
      throw new KamailioError(
        'KAMAILIO_PROTOCOL',
        this.node,
        method,
        `HTTP ${status} without a JSON-RPC reply`,
      );
    }
    if (reply.error !== undefined) {
      const { code, message } = reply.error;
      throw new KamailioError('KAMAILIO_FAULT', this.node, method, `${code} ${message}`, code);
    }
    if (status !== 200 || reply.id !== id || !('result' in reply)) {
      throw new KamailioError(
        'KAMAILIO_PROTOCOL',
        this.node,
        method,
        `HTTP ${status} with a reply that is not one to this request`,
      );
    }
    return reply.result;
  }
}

interface Reply {
  id?: unknown;
  result?: unknown;
  error?: { code: number; message: string };
}

function parseReply(text: string): Reply | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('jsonrpc' in value)) return undefined;
  const { error } = value as { error?: unknown };
  if (error === undefined) return value as Reply;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return { error: { code: Number(code), message: String(message) } };
}
