import { sign } from 'retell-sdk';
import { Agent, request } from 'undici';
import { DEFAULT_WEBHOOKS, pause, Recent, type WebhookBehaviour } from './behaviour.js';

/** One attempt to deliver a webhook; `status` is 0 if no answer came. */
export interface Delivery {
  readonly event: string;
  readonly call_id: string;
  readonly url: string;
  readonly attempt: number;
  readonly status: number;
  readonly at: number;
}

export interface Target {
  readonly url: string;
  readonly timeoutMs: number;
}

interface Outgoing {
  readonly event: string;
  readonly callId: string;
  readonly target: Target;
  readonly body: string;
}

/** Webhooks that wait or are under way; past this they are dropped and counted. */
const MAX_PENDING = 50_000;

/**
 * Delivers signed webhooks (retell.md 5): each on its own, none waits for another, repeated up to `retries`
 * times after a timeout or an answer other than 2xx.
 */
export class WebhookSender {
  behaviour: WebhookBehaviour;
  /** Webhooks that the bound on pending ones dropped. */
  overflowed = 0;
  readonly deliveries: Recent<Delivery>;
  readonly #key: string;
  readonly #initial: WebhookBehaviour;
  readonly #agent = new Agent({ connections: 64 });
  #stopped = false;
  #pending = 0;
  #held: Outgoing[] = [];

  constructor(key: string, behaviour: Partial<WebhookBehaviour>, maxRemembered: number) {
    this.#key = key;
    this.#initial = { ...DEFAULT_WEBHOOKS, ...behaviour };
    this.behaviour = { ...this.#initial };
    this.deliveries = new Recent(maxRemembered);
  }

  /** Webhooks that are not delivered or given up yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Sends a webhook for an event, if the event is wanted and has somewhere to go. */
  send(event: string, callId: string, payload: object, target: Partial<Target> & { events?: string[] } = {}) {
    const { url, events, drop, duplicates, timeout_ms } = this.behaviour;
    const to: Target = { url: target.url ?? url, timeoutMs: target.timeoutMs ?? timeout_ms };
    if (to.url === '' || !(target.events ?? events).includes(event)) return;
    if (drop.includes(event) || drop.includes('*')) return;
    // The call goes on changing; the webhook tells how it is now.
    const body = JSON.stringify(payload);
    for (let copy = 0; copy <= duplicates; copy += 1) this.#enqueue({ event, callId, target: to, body });
  }

  /**
   * Sends one webhook and hands back its answer's JSON; undefined if no attempt was answered 2xx.
   * The answer is undefined too if it is not JSON.
   */
  async ask(event: string, callId: string, url: string, payload: object): Promise<unknown> {
    const target = { url, timeoutMs: this.behaviour.timeout_ms };
    const text = await this.#deliver({ event, callId, target, body: JSON.stringify(payload) });
    try {
      return text === undefined ? undefined : JSON.parse(text);
    } catch {
      return undefined;
    }
  }

  reset(): void {
    this.behaviour = { ...this.#initial };
    this.deliveries.clear();
    this.overflowed = 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#agent.destroy();
  }

  #enqueue(outgoing: Outgoing): void {
    if (this.#pending >= MAX_PENDING) {
      this.overflowed += 1;
      return;
    }
    this.#pending += 1;
    const window = this.behaviour.shuffle_within_ms;
    if (window === 0) {
      void this.#run(outgoing);
      return;
    }
    this.#held.push(outgoing);
    if (this.#held.length > 1) return;
    setTimeout(() => {
      const held = this.#held.reverse();
      this.#held = [];
      for (const each of held) void this.#run(each);
    }, window).unref();
  }

  async #run(outgoing: Outgoing): Promise<void> {
    await pause(this.behaviour.delay_ms);
    await this.#deliver(outgoing);
    this.#pending -= 1;
  }

  async #deliver(outgoing: Outgoing): Promise<string | undefined> {
    const attempts = 1 + this.behaviour.retries;
    for (let attempt = 1; attempt <= attempts && !this.#stopped; attempt += 1) {
      if (attempt > 1) await pause(this.behaviour.retry_delay_ms);
      const { status, text } = await this.#attempt(outgoing);
      const { event, callId: call_id, target } = outgoing;
      this.deliveries.push({ event, call_id, url: target.url, attempt, status, at: Date.now() });
      if (status >= 200 && status < 300) return text;
    }
    return undefined;
  }

  async #attempt({ target, body }: Outgoing): Promise<{ status: number; text: string }> {
    try {
      const answer = await request(target.url, {
        method: 'POST',
        dispatcher: this.#agent,
        headers: { 'content-type': 'application/json', 'x-retell-signature': await sign(body, this.#key) },
        body,
        signal: AbortSignal.timeout(target.timeoutMs),
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    } catch {
      return { status: 0, text: '' };
    }
  }
}
