import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { TestLike } from '../test/harness/stack.js';
import type { WebhookCall } from './webhook-requests.js';

export interface SendCommand {
  host: string;
  port: number;
  key: string;
  calls: readonly WebhookCall[];
  webhooks: number;
  /** Webhooks a second; left out, each connection sends its next as soon as it has an answer. */
  rate?: number;
  connections: number;
}

/** What became of each webhook, in the order of planOf. */
export interface SendResult {
  /** HTTP status of the answer, 0 for none. */
  statuses: Uint16Array;
  /** From the moment that it was due, or without a rate was sent, to its answer, in ms. */
  latencies: Float64Array;
  /** From the first that was due to the last answer, in ms. */
  elapsedMs: number;
}

/** Sends webhooks from a thread of its own: what else the bench does delays none of them. */
export class WebhookSender {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static start(t: TestLike): WebhookSender {
    const worker = new Worker(new URL('./webhook-sender-worker.js', import.meta.url));
    t.teardown(() => worker.terminate());
    return new WebhookSender(worker);
  }

  /** Signs the webhooks and opens the connections: what comes next is only sending. @throws Error where nobody listens */
  async prepare(command: SendCommand): Promise<void> {
    await this.#ask(command);
  }

  /** Sends what is prepared. */
  send(): Promise<SendResult> {
    return this.#ask('send') as Promise<SendResult>;
  }

  async #ask(command: SendCommand | 'send'): Promise<unknown> {
    this.#worker.postMessage(command);
    const [reply] = await once(this.#worker, 'message');
    return reply;
  }
}
