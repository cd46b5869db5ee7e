import { setTimeout as delay } from 'node:timers/promises';
import { CallError } from '../errors.js';
import type { Hangup } from '../hangup/hangup.js';
import type { HangupOutcome } from '../hangup/outcome.js';
import type { HangupJob, JobCallResult } from './job.js';
import { Pace } from './pace.js';
import type { HangupJobStore } from './store.js';

/**
 * Calls of one job that may be young in hand. Where many events come, each waits some 100 ms for its own (Gathering), so
 * fewer would end fewer calls a second; more wait for the node's few RPC connections, up to the deadline of the RPCs
 * where the machine is slow.
 */
const MAX_YOUNG = 128;
/** A call that is in hand for longer waits for a silent peer, and holds up no other, in ms. */
const YOUNG_MS = 1000;
/** Calls of one job that may be in hand at all. */
const MAX_IN_HAND = 2000;
const RETRY_PAUSES_MS = [6000, 10_000, 15_000];
/** Pause before Redis is asked again, in ms. */
const REDIS_PAUSE_MS = 500;

export interface HangupJobRunOptions {
  id: string;
  /** Who holds the job's lease. */
  worker: string;
  leaseMs: number;
  store: HangupJobStore;
  hangup: Pick<Hangup, 'hangup'>;
  /** Told of each hangup, as of one by itself. */
  hangupDone: (outcome: HangupOutcome | 'refused', seconds: number) => void;
  /** Told that all calls of a job have their outcome. */
  jobDone: (job: HangupJob) => void;
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Pauses before the calls that nothing could be sent for are tried again, in ms. Default 6, 10 and 15 s. */
  retryPausesMs?: readonly number[];
}

/** One worker's work on one hangup job, from where the job is to its end, or until the worker may not go on. */
export class HangupJobRun {
  readonly #o: Omit<HangupJobRunOptions, 'retryPausesMs'>;
  readonly #retryPausesMs: readonly number[];
  readonly #inHand = new Set<Promise<void>>();
  readonly #young = new Set<Promise<void>>();
  #roomMade: (() => void) | undefined;
  #stopping: AbortSignal = AbortSignal.abort();

  constructor({ retryPausesMs = RETRY_PAUSES_MS, ...options }: HangupJobRunOptions) {
    this.#o = options;
    this.#retryPausesMs = retryPausesMs;
  }

  /**
   * Ends the job's pending calls. Resolves when the job is over, or another worker's.
   *
   * @throws where it was told to stop, once the calls in hand are done with
   */
  async work(stopping: AbortSignal): Promise<void> {
    this.#stopping = stopping;
    const renewing = setInterval(() => void this.#renew(), this.#o.leaseMs / 3);
    try {
      const job = await this.#patiently(() => this.#o.store.get(this.#o.id));
      if (job !== undefined) await this.#endAll(job);
    } finally {
      await Promise.all(this.#inHand);
      clearInterval(renewing);
    }
  }

  async #endAll(job: HangupJob): Promise<void> {
    const { id, store } = this.#o;
    const pace = new Pace(job.rate);
    // Of a call that was in hand at a crash, too, the events have to come in before it is looked at again.
    for (let tries = 0; await this.#patiently(() => store.hasPending(id)); tries++) {
      const pauseMs = this.#retryPausesMs[Math.min(tries, this.#retryPausesMs.length) - 1];
      if (pauseMs !== undefined) await delay(pauseMs, undefined, { signal: this.#stopping });
      if (!(await this.#endThoseTried(tries, job, pace))) return;
    }
    if ((await this.#patiently(() => store.finish(id, 'done', Date.now()))) !== 'finished') return;
    const done = await this.#patiently(() => store.get(id));
    if (done !== undefined) this.#o.jobDone(done);
  }

  /**
   * Ends the calls that were tried so often, each once more.
   *
   * @returns false where this worker may not go on
   */
  async #endThoseTried(tries: number, job: HangupJob, pace: Pace): Promise<boolean> {
    const { id, store, worker } = this.#o;
    for (;;) {
      this.#stopping.throwIfAborted();
      const most = await pace.next(await this.#room(), this.#stopping);
      const taken = await this.#patiently(() => store.take(id, worker, tries, most));
      for (const callId of taken ?? []) this.#hold(this.#end(callId, tries, job));
      if (taken === undefined || taken.length === 0) {
        await Promise.all(this.#inHand);
        return taken !== undefined;
      }
    }
  }

  async #end(callId: string, tries: number, job: HangupJob): Promise<void> {
    const result = await this.#hangup(callId, job, tries >= this.#retryPausesMs.length);
    if (result !== undefined) await this.#patiently(() => this.#o.store.record(this.#o.id, result));
  }

  /** @returns undefined where it may go better another time */
  async #hangup(
    callId: string,
    { by, reason }: HangupJob,
    lastTry: boolean,
  ): Promise<JobCallResult | undefined> {
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1000;
    try {
      const { outcome, legs } = await this.#o.hangup.hangup(callId, { by, reason });
      this.#o.hangupDone(outcome, seconds());
      // Its dialog is unknown, or the control plane that had it in hand is gone and its lock stands for a while.
      if (!lastTry && outcome === 'failed' && legs.every(({ method }) => method === null)) return undefined;
      return { call_id: callId, outcome, legs };
    } catch (error) {
      this.#o.hangupDone('refused', seconds());
      const code = error instanceof CallError ? error.code : 'internal_error';
      if (!lastTry && (code === 'node_unavailable' || code === 'internal_error')) return undefined;
      if (code === 'internal_error')
        this.#o.warn({ err: error, call_id: callId, hangup_job: this.#o.id }, 'hangup failed');
      return { call_id: callId, outcome: 'failed', legs: [], code };
    }
  }

  /** Waits until there is room for another call. @returns for how many there is */
  async #room(): Promise<number> {
    for (;;) {
      const room = Math.min(MAX_YOUNG - this.#young.size, MAX_IN_HAND - this.#inHand.size);
      if (room > 0) return room;
      await new Promise<void>((resolve) => {
        this.#roomMade = resolve;
      });
    }
  }

  #hold(work: Promise<void>): void {
    // What is not written stays pending, for whoever goes on with the job.
    const held = work
      .catch(() => {})
      .finally(() => {
        clearTimeout(aging);
        this.#inHand.delete(held);
        grown();
      });
    const grown = () => {
      this.#young.delete(held);
      this.#roomMade?.();
    };
    const aging = setTimeout(grown, YOUNG_MS);
    this.#inHand.add(held);
    this.#young.add(held);
  }

  /** Redis may be away for a moment: what is asked of it waits, for nothing of a job may get lost. */
  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (this.#stopping.aborted) throw error;
        await delay(REDIS_PAUSE_MS, undefined, { signal: this.#stopping });
      }
    }
  }

  async #renew(): Promise<void> {
    try {
      await this.#o.store.renew(this.#o.id, this.#o.worker, this.#o.leaseMs);
    } catch (err) {
      this.#o.warn({ err, hangup_job: this.#o.id }, 'hangup job waits for Redis');
    }
  }
}
