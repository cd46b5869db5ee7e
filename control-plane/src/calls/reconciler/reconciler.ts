import type { Redis } from 'ioredis';
import { Lease } from '../lease.js';
import { type Finding, type FindingAction, type FindingKind, Findings } from './findings.js';
import type { NodeReport, NodesReconciler } from './nodes.js';

/** Where the last run's result is kept for every replica. */
const KEY = 'calls:reconciliation';
/** How long, in s: whoever asks later than that gets none, rather than one of long ago. */
const KEPT_S = 86_400;
/** How long a replica that dies amid a run keeps the others from the next, in ms. */
const LEASE_MS = 15_000;
const RENEW_MS = 5000;
/** How much longer than until its next run a replica keeps the lease: so it stays with one, in ms. */
const LEASE_SLACK_MS = 5000;

/** What a run says of Retell. */
export interface RetellReport {
  /** Calls that Retell counts as ongoing, in all of the workspace; null where it was not asked, or did not answer. */
  ongoing: number | null;
  /** Those of them that have a record here. */
  ours: number | null;
  /** Why it was not asked. */
  skipped: string | null;
  error: string | null;
}

/** What one run has found and done. */
export interface Reconciliation {
  /** ms since 1970 */
  started_at: number;
  finished_at: number;
  /** The replica that ran. */
  replica: string;
  nodes: NodeReport[];
  retell: RetellReport;
  /** How many findings there are. */
  total: number;
  counts: { kind: FindingKind; action: FindingAction; count: number }[];
  /** The first of them. */
  findings: Finding[];
}

/** `incomplete`: a node or Retell did not answer. `failed`: Redis did not, and nothing is known. */
export type RunOutcome = 'complete' | 'incomplete' | 'failed';

export interface ReconcilerObserver {
  /** A run is over; without a result where it failed. */
  reconciled(outcome: RunOutcome, result: Reconciliation | undefined): void;
  /** Another replica does it. */
  reconciledElsewhere(): void;
}

export interface ReconcilerOptions {
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  nodes: Pick<NodesReconciler, 'run'>;
  /** Compares Retell's ongoing calls with the records. */
  retell: { run(findings: Findings, signal: AbortSignal): Promise<RetellReport> };
  /** This replica's name. */
  replica: string;
  intervalMs: () => number;
  observer: ReconcilerObserver;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/**
 * Compares, from time to time, what has to agree: Kamailio's dialogs and Retell's ongoing calls with the records.
 * One replica does it at a time; where it dies, another goes on.
 */
export class Reconciler {
  readonly #o: ReconcilerOptions;
  readonly #lease: Lease;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: ReconcilerOptions) {
    this.#o = options;
    this.#lease = new Lease(options.redis, 'reconciler');
  }

  start(): void {
    this.#runIn(this.#o.intervalMs());
  }

  /** Gives the run in hand up. Another replica may go on at once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#work;
    // Where Redis is away the lease ends by itself.
    await this.#lease.release().catch(() => {});
  }

  /** The last run's result, whichever replica ran it; undefined before the first. */
  async last(): Promise<Reconciliation | undefined> {
    const text = await this.#o.redis.get(KEY);
    return text === null ? undefined : (JSON.parse(text) as Reconciliation);
  }

  /**
   * Runs once, unless another replica has the lease. Never rejects.
   *
   * @returns undefined where another replica has it, or the run failed
   */
  async run(): Promise<Reconciliation | undefined> {
    try {
      if (!(await this.#lease.hold(LEASE_MS))) {
        this.#o.observer.reconciledElsewhere();
        return undefined;
      }
      const result = await this.#whileHeld((signal) => this.#reconcile(signal));
      await this.#o.redis.set(KEY, JSON.stringify(result), 'EX', KEPT_S);
      await this.#lease.hold(this.#o.intervalMs() + LEASE_SLACK_MS);
      const complete = result.retell.error === null && result.nodes.every(({ error }) => error === null);
      this.#o.observer.reconciled(complete ? 'complete' : 'incomplete', result);
      return result;
    } catch (err) {
      if (this.#stopping.signal.aborted) return undefined;
      // Errors of Redis carry the command, and with it Retell's id of a call: only their message is passed on.
      const detail = err instanceof Error ? err.message : String(err);
      this.#o.warn({ detail }, 'calls not reconciled: trying again');
      this.#o.observer.reconciled('failed', undefined);
      return undefined;
    }
  }

  #runIn(ms: number): void {
    this.#timer = setTimeout(() => {
      const started = performance.now();
      this.#work = this.run().then(() => {
        if (this.#stopping.signal.aborted) return;
        this.#runIn(Math.max(0, this.#o.intervalMs() - (performance.now() - started)));
      });
    }, ms);
  }

  /** Keeps the lease while it works; work that has lost it is told to stop. */
  async #whileHeld<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const lost = new AbortController();
    const renewing = setInterval(() => {
      this.#lease.hold(LEASE_MS).then(
        (held) => {
          if (!held) lost.abort(new Error('another replica has taken over'));
        },
        (error) => lost.abort(error),
      );
    }, RENEW_MS);
    try {
      return await work(AbortSignal.any([this.#stopping.signal, lost.signal]));
    } finally {
      clearInterval(renewing);
    }
  }

  async #reconcile(signal: AbortSignal): Promise<Reconciliation> {
    const started_at = Date.now();
    const findings = new Findings();
    // Kamailio first: a record that it closes needs no question to Retell.
    const nodes = await this.#o.nodes.run(findings, signal);
    signal.throwIfAborted();
    const retell = await this.#o.retell.run(findings, signal);
    signal.throwIfAborted();
    const { total, counts, listed } = findings;
    const finished_at = Date.now();
    return {
      started_at,
      finished_at,
      replica: this.#o.replica,
      nodes,
      retell,
      total,
      counts,
      findings: listed,
    };
  }
}
