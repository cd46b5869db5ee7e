import { randomUUID } from 'node:crypto';
import { CallError } from '../errors.js';
import type { HangupOutcome } from '../hangup/outcome.js';
import type { HangupFilter } from './filter.js';
import type { HangupJob, JobCallResult, NewHangupJob } from './job.js';
import type { HangupSelection } from './selection.js';
import type { HangupJobStore } from './store.js';

/** Calls that one job ends at most. */
export const JOB_CALLS_LIMIT = 50_000;
/** Results that one page looks at before it hands out a cursor, whatever it has found, and in one step. */
const SCAN_LIMIT = 10_000;
const SCAN_STEP = 1000;

export interface HangupJobsOptions {
  store: HangupJobStore;
  selection: HangupSelection;
  /** Told that there is work. */
  created: () => void;
  /** Told that a job was cancelled. */
  cancelled: () => void;
}

export interface JobCallPage {
  items: JobCallResult[];
  next_cursor: string | null;
}

/** Hangups of many calls: what they are to end, how far they are, and their end before the last call. */
export class HangupJobs {
  readonly #o: HangupJobsOptions;

  constructor(options: HangupJobsOptions) {
    this.#o = options;
  }

  /** Ids of the open calls that fit, oldest first. */
  select(filter: HangupFilter): Promise<string[]> {
    return this.#o.selection.select(filter, Date.now());
  }

  /**
   * Has these calls ended, by whichever replica gets at it first.
   *
   * @throws CallError hangup_jobs_full
   */
  async create(
    request: Omit<NewHangupJob, 'id' | 'created_at'>,
    callIds: readonly string[],
  ): Promise<HangupJob> {
    const job = { ...request, id: randomUUID(), created_at: Date.now() };
    if (!(await this.#o.store.create(job, callIds)))
      throw new CallError('hangup_jobs_full', 'too many hangup jobs run: cancel one, or wait for its end');
    this.#o.created();
    return this.get(job.id);
  }

  /** @throws CallError hangup_job_not_found */
  async get(id: string): Promise<HangupJob> {
    const job = await this.#o.store.get(id);
    if (job === undefined) throw notFound(id);
    return job;
  }

  /** The jobs that run and those that have ended lately, newest first. */
  list(): Promise<HangupJob[]> {
    return this.#o.store.list();
  }

  /**
   * A page of what became of the job's calls, in the order in which they were done with.
   *
   * @param outcome only calls with this one
   * @param cursor the `next_cursor` of the page before
   * @throws CallError hangup_job_not_found, RangeError where the cursor is none of ours
   */
  async results(
    id: string,
    outcome: HangupOutcome | undefined,
    limit: number,
    cursor?: string,
  ): Promise<JobCallPage> {
    await this.get(id);
    const start = cursor === undefined ? 0 : parseCursor(cursor);
    const items: JobCallResult[] = [];
    let place = start;
    while (place < start + SCAN_LIMIT) {
      const step = await this.#o.store.results(id, place, SCAN_STEP);
      for (const result of step) {
        place += 1;
        if (outcome === undefined || result.outcome === outcome) items.push(result);
        if (items.length === limit) return { items, next_cursor: formatCursor(place) };
      }
      if (step.length < SCAN_STEP) return { items, next_cursor: null };
    }
    return { items, next_cursor: formatCursor(place) };
  }

  /**
   * Has no further call started. Those in hand get their outcome.
   *
   * @throws CallError hangup_job_not_found, hangup_job_finished
   */
  async cancel(id: string): Promise<HangupJob> {
    const result = await this.#o.store.finish(id, 'cancelled', Date.now());
    if (result === undefined) throw notFound(id);
    if (result === 'over')
      throw new CallError('hangup_job_finished', `hangup job ${id} is done or cancelled already`);
    this.#o.cancelled();
    return this.get(id);
  }
}

function notFound(id: string): CallError {
  return new CallError('hangup_job_not_found', `there is no hangup job ${id}`);
}

function formatCursor(place: number): string {
  return Buffer.from(`after ${place}`).toString('base64url');
}

function parseCursor(cursor: string): number {
  const match = /^after (\d{1,9})$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (match === null) throw new RangeError('not a cursor of this list');
  return Number(match[1]);
}
