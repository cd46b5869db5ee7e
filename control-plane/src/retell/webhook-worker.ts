import type { Redis } from 'ioredis';
import type { DueWork } from '../calls/due/work.js';
import { StreamConsumer, type StreamEntry } from '../stream-consumer.js';
import type { CallWebhook, CallWebhookOutcome } from './call-webhook.js';
import { parseStored, type StoredWebhook } from './stored-webhook.js';
import { WEBHOOKS, type WebhookStore } from './webhook-store.js';

export interface WebhookWorkerOptions {
  /** A connection of the worker's own: blocking reads hold it. */
  redis: Redis;
  /** This replica's name in the consumer group. */
  consumer: string;
  store: WebhookStore;
  callWebhook: CallWebhook;
  due: Pick<DueWork, 'apply'>;
  /** Told of every webhook that is done with, or waits for its call. */
  handled: (event: string, outcome: CallWebhookOutcome | 'dead', lagS: number) => void;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** A webhook whose call is not known yet is looked at again after this, in ms, then ever more slowly. */
const FIRST_RETRY_MS = 1000;

/**
 * Where more than this part of the event loop's time is taken, writing rests for so many ms after each batch: answers go
 * first, as Retell sends again what is not answered in time, and what is written later is not lost.
 */
const BUSY = 0.9;
const REST_MS = 30;

const FOREIGN = 'it is about no call that passed here';

/** Writes Retell's webhooks into the records, whichever replica has taken them. */
export class WebhookWorker {
  readonly #o: WebhookWorkerOptions;
  readonly #consumer: StreamConsumer;
  #utilization = performance.eventLoopUtilization();

  constructor(options: WebhookWorkerOptions) {
    const { redis, consumer, warn } = options;
    this.#o = options;
    this.#consumer = new StreamConsumer({
      redis,
      streams: [WEBHOOKS],
      consumer,
      what: 'webhooks',
      // Few at once: those that come meanwhile are answered between two batches.
      count: 25,
      restMs: () => this.#restMs(),
      handle: (_stream, entries) => this.#handle(entries),
      warn,
      deleteHandled: true,
    });
  }

  start(): void {
    this.#consumer.start();
  }

  stop(): Promise<void> {
    return this.#consumer.stop();
  }

  /**
   * Handles one that was put off.
   *
   * @param last whether nobody tries again after this
   * @throws where it has to be tried again
   */
  async again(id: string, last: boolean): Promise<void> {
    const { store, callWebhook } = this.#o;
    const webhook = await store.kept(id);
    if (webhook === undefined) return;
    let failure: Error | undefined;
    try {
      const [outcome = 'unmatched'] = await callWebhook.handle([webhook]);
      if (outcome === 'unmatched') await store.bury([webhook], 'foreign', FOREIGN);
      if (outcome !== 'early') {
        this.#done(webhook, outcome);
        return await store.forget(id);
      }
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
    }
    if (!last) throw failure ?? new Error('the call of a webhook is not known yet');
    await store.bury(
      [webhook],
      failure === undefined ? 'unmatched' : 'failed',
      failure?.message ?? 'no call of ours came',
    );
    this.#done(webhook, 'dead');
    await store.forget(id);
  }

  /** All at once: they are about different calls, or can be written in any order. @throws where Redis is away */
  async #handle(entries: readonly StreamEntry[]): Promise<void> {
    const { store, callWebhook, due } = this.#o;
    const read = entries.flatMap(([id, fields]) =>
      fields?.[1] === undefined ? [] : { id, webhook: parseStored(fields[1]) },
    );
    const outcomes = await callWebhook.handle(read.map(({ webhook }) => webhook));
    const foreign = read.filter((_, i) => outcomes[i] === 'unmatched').map(({ webhook }) => webhook);
    await store.bury(foreign, 'foreign', FOREIGN);
    const early = read.filter((_, i) => outcomes[i] === 'early');
    await Promise.all(early.map(({ id, webhook }) => store.keep(id, webhook)));
    const atMs = Date.now() + FIRST_RETRY_MS;
    await due.apply(early.map(({ id }) => ({ kind: 'retell_webhook', id, atMs })));
    for (const [i, { webhook }] of read.entries()) this.#done(webhook, outcomes[i] ?? 'unmatched');
  }

  #restMs(): number {
    const { utilization } = performance.eventLoopUtilization(this.#utilization);
    this.#utilization = performance.eventLoopUtilization();
    return utilization > BUSY ? REST_MS : 0;
  }

  #done({ event, receivedAt }: StoredWebhook, outcome: CallWebhookOutcome | 'dead'): void {
    this.#o.handled(event, outcome, Math.max(0, Date.now() - receivedAt) / 1000);
  }
}
