import { Webhook } from 'standardwebhooks';
import { Agent, request } from 'undici';
import { Unfinished } from '../calls/due/work.js';
import type { Endpoint } from './endpoint.js';

/** How an endpoint answered: its status, or why there is none. */
export interface Answer {
  status?: number;
  error?: string;
  ms: number;
}

/** An endpoint has so long to answer one attempt, in ms. */
const TIMEOUT_MS = 10_000;
/** As much of an answer's body is read, to use the connection again; what it says does not matter. */
const BODY_LIMIT = 16 * 1024;

/** Posts webhooks, signed as https://www.standardwebhooks.com has it. */
export class Sender {
  readonly #agent: Agent;
  readonly #userAgent: string;
  readonly #timeoutMs: number;
  #closed = false;

  /** @param connections to one endpoint at once */
  constructor(options: { version: string; connections: number; timeoutMs?: number }) {
    this.#agent = new Agent({ connections: options.connections });
    this.#userAgent = `retell-sip-proxy/${options.version}`;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * Makes one attempt. Redirects are not followed: they would take calls' data where the configuration does not say.
   *
   * @param id what receivers tell repeats by
   * @throws Unfinished where it was closed meanwhile: that says nothing of the endpoint
   */
  async send({ url, secrets }: Endpoint, id: string, body: string): Promise<Answer> {
    const began = performance.now();
    const msSince = () => Math.round(performance.now() - began);
    const now = new Date();
    const signal = AbortSignal.timeout(this.#timeoutMs);
    try {
      const answer = await request(url, {
        dispatcher: this.#agent,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': this.#userAgent,
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, now, body)).join(' '),
        },
        body,
        signal,
      });
      const ms = msSince();
      await answer.body.dump({ limit: BODY_LIMIT, signal }).catch(() => {});
      return { status: answer.statusCode, ms };
    } catch (error) {
      if (this.#closed) throw new Unfinished('stopped', 0);
      return { error: signal.aborted ? 'timeout' : codeOf(error), ms: msSince() };
    }
  }

  /** Ends what is under way: it is sent again. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#agent.destroy();
  }
}

/** A code alone: the message may hold the host. */
function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  const text = typeof code === 'string' ? code : String(name);
  return text === 'UND_ERR_CONNECT_TIMEOUT' ? 'timeout' : text.slice(0, 64);
}
