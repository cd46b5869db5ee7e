/** What a command on a call, or on many, can be refused for. Match on `code`. */
export type CallErrorCode =
  | 'call_not_found' // no record with this id
  | 'call_not_answered' // it is not up yet
  | 'call_ended' // it is over
  | 'transfer_not_found' // the call has no transfer with this id
  | 'transfer_in_progress' // another transfer of the call is under way
  | 'transfers_limited' // as many transfers have begun in this minute as may
  | 'node_unavailable' // the Kamailio node that carries the call does not answer
  | 'node_unknown' // the call is on a node that the configuration does not have
  | 'hangup_job_not_found' // no hangup job with this id
  | 'hangup_job_finished' // the hangup job is done or cancelled already
  | 'hangup_jobs_full'; // as many hangup jobs run as may

export class CallError extends Error {
  override readonly name = 'CallError';

  constructor(
    readonly code: CallErrorCode,
    detail: string,
  ) {
    super(detail);
  }
}
