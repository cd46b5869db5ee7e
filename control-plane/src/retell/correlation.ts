import { setTimeout as delay } from 'node:timers/promises';
import { stateOf } from '../calls/call.js';
import { matchFields, timeline } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import type { InboundOutcome, InboundQuestion } from './inbound-webhook.js';

export interface CorrelationOptions {
  store: CallStore;
  /** Told how each webhook's call was found: by our header, by Retell's id, by the numbers, or not at all. */
  correlated: (how: 'header' | 'retell_call_id' | 'numbers' | 'none') => void;
  /** Told of trouble with Redis. */
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** What goes into the call's record besides Retell's id. */
export interface InboundResult {
  outcome: InboundOutcome;
  /** The agent that is going to take the call, where it is known. */
  agentId: string | undefined;
}

/**
 * Pauses before each look for the call, in ms. The webhook may come before the event of its INVITE is
 * written, and Redis may be away for a moment.
 */
const PAUSES_MS = [0, 20, 100, 500, 2000];
/** A webhook without our header belongs to a call that came in this time before it, in ms. */
const WINDOW_MS = 60_000;
/** Searches at once; a webhook beyond is answered without one. */
const MAX_SEARCHES = 1000;
/** How long a repeated webhook is known for one, in ms: Retell gives up within a minute. */
const REPEAT_MS = 600_000;

type Found = { id: string; how: 'header' | 'retell_call_id' | 'numbers' };

/** Finds the call that an inbound webhook is about, and writes into its record what the webhook told. */
export class InboundCorrelation {
  readonly #o: CorrelationOptions;
  readonly #stopping = new AbortController();
  readonly #searches = new Set<Promise<void>>();

  constructor(options: CorrelationOptions) {
    this.#o = options;
  }

  /**
   * Our id of the webhook's call, where it is found in time. The search goes on after that for some seconds,
   * so that the record gets Retell's id whenever it is there.
   *
   * @param waitMs longest wait, in ms
   */
  async find(question: InboundQuestion, result: InboundResult, waitMs: number): Promise<string | undefined> {
    if (this.#searches.size >= MAX_SEARCHES || this.#stopping.signal.aborted) {
      this.#o.correlated('none');
      return undefined;
    }
    const searched = this.#search(question);
    const running = searched
      .then((found) => this.#finish(found, question, result))
      .finally(() => this.#searches.delete(running));
    this.#searches.add(running);
    return (await Promise.race([searched, delay(waitMs)]))?.id;
  }

  /** Ends the searches under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#searches);
  }

  async #search(question: InboundQuestion): Promise<Found | undefined> {
    let trouble: unknown;
    for (const pauseMs of PAUSES_MS) {
      try {
        await delay(pauseMs, undefined, { signal: this.#stopping.signal });
      } catch {
        return undefined;
      }
      try {
        trouble = undefined;
        const found = await this.#look(question);
        if (found !== undefined) return found;
      } catch (error) {
        trouble = error;
      }
    }
    if (trouble !== undefined) this.#warn(trouble, 'an inbound webhook was not matched to its call');
    return undefined;
  }

  async #look({ callRef, retellCallId, from, to, atMs }: InboundQuestion): Promise<Found | undefined> {
    const { store } = this.#o;
    if (callRef !== undefined) {
      const call = await store.get(callRef);
      // Anybody can dial Retell with a header like ours: it has to fit a call of this number.
      const fits = call !== undefined && call.direction === 'inbound' && call.number === to;
      return fits ? { id: callRef, how: 'header' } : undefined;
    }
    if (retellCallId !== undefined) {
      const id = await store.idOfRetellCallId(retellCallId);
      if (id !== undefined) return { id, how: 'retell_call_id' };
    }
    const calls = await store.between(to, from, atMs - WINDOW_MS, Number.POSITIVE_INFINITY);
    const [call, ...others] = calls.filter(
      (open) =>
        open.direction === 'inbound' &&
        stateOf(open) !== 'ended' &&
        (open.retell_call_id === undefined || retellCallId === undefined),
    );
    return call === undefined || others.length > 0 ? undefined : { id: call.id, how: 'numbers' };
  }

  async #finish(found: Found | undefined, question: InboundQuestion, result: InboundResult): Promise<void> {
    this.#o.correlated(found?.how ?? 'none');
    if (found === undefined) return;
    try {
      await this.#write(found.id, question, result);
    } catch (error) {
      this.#warn(error, 'what an inbound webhook told was not written', found.id);
    }
  }

  /** Once, however often Retell repeats the webhook. */
  async #write(id: string, { retellCallId }: InboundQuestion, result: InboundResult): Promise<void> {
    const { store } = this.#o;
    const lock = `inbound-webhook:${id}:${retellCallId ?? ''}`;
    if (!(await store.lock(lock, REPEAT_MS))) return;
    const atMs = Date.now();
    const entry = timeline({ at: atMs * 1000, type: 'inbound_webhook' }, { answer: result.outcome });
    const fields = {
      ...(retellCallId === undefined ? {} : matchFields(retellCallId, 'call_inbound')),
      ...(result.agentId === undefined ? {} : { agent_id: result.agentId }),
      ...entry,
    };
    try {
      await store.merge([{ id, atMs, fields }]);
    } catch (error) {
      await store.unlock(lock).catch(() => {});
      throw error;
    }
  }

  /** Errors of Redis carry the command, and with it Retell's id: only their message is passed on. */
  #warn(error: unknown, message: string, id?: string): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.#o.warn({ ...(id === undefined ? {} : { call_id: id }), detail }, message);
  }
}
