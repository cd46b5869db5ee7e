import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Hangup } from '../calls/hangup/hangup.js';
import type { HangupOutcome } from '../calls/hangup/outcome.js';
import { HangupJobs } from '../calls/hangup-jobs/jobs.js';
import { HangupSelection } from '../calls/hangup-jobs/selection.js';
import { HangupJobStore } from '../calls/hangup-jobs/store.js';
import { HangupJobWorker } from '../calls/hangup-jobs/worker.js';

export interface HangupJobsParts {
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  hangup: Hangup;
  hangupDone: (outcome: HangupOutcome | 'refused', seconds: number) => void;
  jobEnded: (outcome: 'done' | 'cancelled') => void;
  log: Logger;
}

/** Puts together what takes orders to hang up many calls, and what carries them out. */
export function createHangupJobs({ redis, hangup, hangupDone, jobEnded, log }: HangupJobsParts): {
  jobs: HangupJobs;
  worker: HangupJobWorker;
} {
  const store = new HangupJobStore(redis);
  const worker = new HangupJobWorker({
    store,
    hangup,
    hangupDone,
    jobDone: ({ id, total, outcomes }) => {
      jobEnded('done');
      log.info({ hangup_job: id, total, outcomes }, 'hangup job done');
    },
    warn: (detail, message) => log.warn(detail, message),
  });
  const jobs = new HangupJobs({
    store,
    selection: new HangupSelection(redis),
    created: () => worker.wake(),
    cancelled: () => jobEnded('cancelled'),
  });
  return { jobs, worker };
}
