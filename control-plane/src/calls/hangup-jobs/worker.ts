import { randomUUID } from 'node:crypto';
import { HangupJobRun, type HangupJobRunOptions } from './run.js';

/** How often a replica looks for jobs that nobody works on, in ms. */
const POLL_MS = 1000;
/** A job whose worker has said nothing for this long is somebody else's to go on with, in ms. */
const LEASE_MS = 5000;

export type HangupJobWorkerOptions = Omit<HangupJobRunOptions, 'id' | 'worker' | 'leaseMs'>;

/**
 * Works on the hangup jobs that no other replica works on: new ones, and those of a replica that is gone.
 * Redis holds what is to be done, so nothing is lost with this process.
 */
export class HangupJobWorker {
  readonly #o: HangupJobWorkerOptions;
  readonly #name = randomUUID();
  readonly #runs = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: HangupJobWorkerOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.wake(), POLL_MS);
  }

  /** Looks for work at once. */
  wake(): void {
    if (this.#stopping.signal.aborted) return;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Starts no further call, waits for those in hand, and leaves the rest to other replicas. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await this.#looking;
    await Promise.all(this.#runs.values());
  }

  async #look(): Promise<void> {
    try {
      for (const id of await this.#o.store.running()) {
        if (this.#runs.has(id) || this.#stopping.signal.aborted) continue;
        if (await this.#o.store.acquire(id, this.#name, LEASE_MS)) this.#runs.set(id, this.#run(id));
      }
    } catch (err) {
      this.#o.warn({ err }, 'hangup jobs could not be read, trying again');
    }
  }

  async #run(id: string): Promise<void> {
    const run = new HangupJobRun({ ...this.#o, id, worker: this.#name, leaseMs: LEASE_MS });
    try {
      await run.work(this.#stopping.signal);
    } catch (err) {
      if (!this.#stopping.signal.aborted) this.#o.warn({ err, hangup_job: id }, 'hangup job interrupted');
    }
    // Where it cannot be given back, it is over by itself soon.
    await this.#o.store.release(id, this.#name).catch(() => {});
    this.#runs.delete(id);
  }
}
