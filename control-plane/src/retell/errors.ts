/** What can go wrong between us and Retell's API. Match on `code`, never on the message. */
export type RetellErrorCode =
  | 'timeout' // no whole answer in time: Retell may have done what was asked
  | 'unreachable' // no connection, or it broke before the whole answer
  | 'refused' // Retell answered with an error; `status` says which
  | 'aborted' // the caller gave up
  | 'protocol' // an answer that cannot be used: never to be taken for success
  | 'not_configured'; // there is no retell.api_key

/** A call of Retell's API that failed. The message holds neither the key nor the id of a call. */
export class RetellError extends Error {
  override readonly name = 'RetellError';

  constructor(
    readonly code: RetellErrorCode,
    readonly endpoint: string,
    detail: string,
    /** Retell's HTTP status, for `refused` only. */
    readonly status?: number,
  ) {
    super(`${endpoint}: ${detail}`);
  }
}
