import type { Redis, Result } from 'ioredis';
import type { HangupFilter } from './filter.js';
import {
  HANGUP_OUTCOMES,
  type HangupJob,
  type HangupJobState,
  type JobCallResult,
  type NewHangupJob,
} from './job.js';
import * as scripts from './scripts.js';

/** How long a job is kept after its end, in seconds. */
const KEEP_S = 86_400;
/** Jobs that one list shows. */
export const LIST_LIMIT = 100;
/** Jobs that may run at once, over all replicas. */
export const RUNNING_LIMIT = 20;
/**
 * Pending calls are sorted by how often they were tried, then by their place in the job: a score is the
 * number of tries times this, and the place.
 */
const TRY = 1e9;

const RUNNING = 'hangups:running';
const FINISHED = 'hangups:finished';
const jobKey = (id: string) => `hangups:job:${id}`;
const pendingKey = (id: string) => `hangups:pending:${id}`;
const resultsKey = (id: string) => `hangups:results:${id}`;
const leaseKey = (id: string) => `hangups:lease:${id}`;

/** `pending`: not `done`, for calls are pending; `over`: the job had ended; undefined: there is no such job. */
export type FinishResult = 'finished' | 'pending' | 'over';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    createHangupJob(...args: (string | number)[]): Result<number, Context>;
    takeHangupCalls(...args: (string | number)[]): Result<string[] | null, Context>;
    recordHangupCall(...args: (string | number)[]): Result<number, Context>;
    finishHangupJob(...args: (string | number)[]): Result<string | null, Context>;
    renewHangupLease(...args: (string | number)[]): Result<number, Context>;
    releaseHangupLease(...args: (string | number)[]): Result<number, Context>;
  }
}

/** Hangup jobs in Redis, where they survive every control plane. Every method rejects when Redis does not answer. */
export class HangupJobStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.defineCommand('createHangupJob', { numberOfKeys: 3, lua: scripts.CREATE });
    redis.defineCommand('takeHangupCalls', { numberOfKeys: 3, lua: scripts.TAKE });
    redis.defineCommand('recordHangupCall', { numberOfKeys: 3, lua: scripts.RECORD });
    redis.defineCommand('finishHangupJob', { numberOfKeys: 5, lua: scripts.FINISH });
    redis.defineCommand('renewHangupLease', { numberOfKeys: 1, lua: scripts.RENEW });
    redis.defineCommand('releaseHangupLease', { numberOfKeys: 1, lua: scripts.RELEASE });
  }

  /**
   * Writes the job and its calls in one step: there is never half a job.
   *
   * @returns false where too many jobs run
   */
  async create(job: NewHangupJob, callIds: readonly string[]): Promise<boolean> {
    const { call_ids, ...filter } = job.filter;
    const fields = {
      state: 'running',
      by: job.by,
      ...(job.reason === undefined ? {} : { reason: job.reason }),
      filter: JSON.stringify(filter),
      ...(call_ids === undefined ? {} : { call_ids: call_ids.length }),
      rate: job.rate,
      created_at: job.created_at,
      total: callIds.length,
    };
    const flat = Object.entries(fields).flat();
    return (
      (await this.#redis.createHangupJob(
        jobKey(job.id),
        pendingKey(job.id),
        RUNNING,
        job.id,
        job.created_at,
        RUNNING_LIMIT,
        flat.length,
        ...flat,
        ...callIds,
      )) === 1
    );
  }

  async get(id: string): Promise<HangupJob | undefined> {
    return jobOf(id, await this.#redis.hgetall(jobKey(id)));
  }

  /** The jobs that run and those that have ended lately, newest first. */
  async list(): Promise<HangupJob[]> {
    const [running, finished] = await Promise.all([
      this.running(),
      this.#redis.zrevrange(FINISHED, 0, LIST_LIMIT - 1),
    ]);
    const jobs = await Promise.all([...new Set([...running, ...finished])].map((id) => this.get(id)));
    return jobs
      .filter((job) => job !== undefined)
      .sort((a, b) => b.created_at - a.created_at)
      .slice(0, LIST_LIMIT);
  }

  /** Ids of the jobs that run. */
  async running(): Promise<string[]> {
    return this.#redis.zrange(RUNNING, '0', '-1');
  }

  /** What has become of the job's calls, in the order in which they were done with. */
  async results(id: string, from: number, most: number): Promise<JobCallResult[]> {
    const texts = await this.#redis.lrange(resultsKey(id), from, from + most - 1);
    return texts.map((text) => JSON.parse(text) as JobCallResult);
  }

  /**
   * Makes this worker the only one that starts the job's calls.
   *
   * @returns false where another one is
   */
  async acquire(id: string, worker: string, leaseMs: number): Promise<boolean> {
    return (await this.#redis.set(leaseKey(id), worker, 'PX', leaseMs, 'NX')) === 'OK';
  }

  async renew(id: string, worker: string, leaseMs: number): Promise<void> {
    await this.#redis.renewHangupLease(leaseKey(id), worker, leaseMs);
  }

  async release(id: string, worker: string): Promise<void> {
    await this.#redis.releaseHangupLease(leaseKey(id), worker);
  }

  /**
   * The next calls to end, among those that were tried `tries` times; from now on once more. They stay pending
   * until they are recorded, so that a crash forgets none.
   *
   * @returns undefined where the job is not to go on here: it was cancelled, or the lease is lost
   */
  async take(id: string, worker: string, tries: number, most: number): Promise<string[] | undefined> {
    const taken = await this.#redis.takeHangupCalls(
      jobKey(id),
      pendingKey(id),
      leaseKey(id),
      worker,
      tries * TRY,
      (tries + 1) * TRY,
      most,
      TRY,
    );
    return taken ?? undefined;
  }

  async hasPending(id: string): Promise<boolean> {
    return (await this.#redis.zcard(pendingKey(id))) > 0;
  }

  /** Writes what became of a call, once however often it is told. */
  async record(id: string, result: JobCallResult): Promise<void> {
    await this.#redis.recordHangupCall(
      jobKey(id),
      pendingKey(id),
      resultsKey(id),
      result.call_id,
      result.outcome,
      JSON.stringify(result),
      KEEP_S,
    );
  }

  /** Ends the job if it runs; as `done` only when no call is pending. */
  async finish(
    id: string,
    state: Exclude<HangupJobState, 'running'>,
    nowMs: number,
  ): Promise<FinishResult | undefined> {
    const result = await this.#redis.finishHangupJob(
      jobKey(id),
      pendingKey(id),
      resultsKey(id),
      RUNNING,
      FINISHED,
      id,
      state,
      nowMs,
      KEEP_S,
      LIST_LIMIT,
    );
    return (result as FinishResult | null) ?? undefined;
  }
}

function jobOf(id: string, hash: Record<string, string>): HangupJob | undefined {
  if (hash.state === undefined) return undefined;
  const callIds = hash.call_ids === undefined ? undefined : Number(hash.call_ids);
  const outcomes = HANGUP_OUTCOMES.map((outcome) => [outcome, Number(hash[outcome] ?? 0)] as const);
  return {
    id,
    state: hash.state as HangupJobState,
    by: hash.by ?? '',
    reason: hash.reason,
    filter: JSON.parse(hash.filter ?? '{}') as Omit<HangupFilter, 'call_ids'>,
    call_ids: callIds,
    rate: Number(hash.rate),
    created_at: Number(hash.created_at),
    finished_at: hash.finished_at === undefined ? undefined : Number(hash.finished_at),
    total: Number(hash.total),
    pending: Number(hash.total) - outcomes.reduce((sum, [, count]) => sum + count, 0),
    outcomes: Object.fromEntries(outcomes) as HangupJob['outcomes'],
  };
}
