import type { CallErrorCode } from '../errors.js';
import type { HangupOutcome, LegOutcome } from '../hangup/outcome.js';
import type { HangupFilter } from './filter.js';

export const HANGUP_OUTCOMES = [
  'ended',
  'already_ended',
  'partial',
  'failed',
] as const satisfies HangupOutcome[];

/** `cancelled`: no further call is started; those that were in hand get their outcome all the same. */
export type HangupJobState = 'running' | 'done' | 'cancelled';

/** Ends many calls, at a bounded rate. Times are ms since 1970. */
export interface NewHangupJob {
  id: string;
  /** who asked: the name of the API token */
  by: string;
  /** free text for the Reason header and the records */
  reason: string | undefined;
  filter: HangupFilter;
  /** hangups started per second */
  rate: number;
  created_at: number;
}

export interface HangupJob extends Omit<NewHangupJob, 'filter'> {
  state: HangupJobState;
  filter: Omit<HangupFilter, 'call_ids'>;
  /** how many ids the filter named */
  call_ids: number | undefined;
  finished_at: number | undefined;
  /** calls that it was to end */
  total: number;
  /** calls without an outcome yet; of a cancelled job those that were never started */
  pending: number;
  outcomes: Record<HangupOutcome, number>;
}

/** What became of one call of a job. */
export interface JobCallResult {
  call_id: string;
  outcome: HangupOutcome;
  legs: LegOutcome[];
  /** why it failed, where no hangup could be tried */
  code?: CallErrorCode | 'internal_error';
}
