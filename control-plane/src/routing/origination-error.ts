/** Why a call was not placed, or is not known to be. Match on `code`. */
export type OriginationErrorCode =
  | 'invalid_from' // it is none of our numbers
  | 'destination_not_allowed' // no carrier's prefixes take it
  | 'key_reused' // the idempotency key stands for another request
  | 'not_configured' // there is no retell.api_key
  | 'node_unavailable' // no node could be told to expect the call
  | 'refused' // Retell refused it; `retellStatus` says how
  | 'limited' // Retell takes no more calls or requests for now
  | 'unknown_outcome'; // Retell did not say: the call may come

export class OriginationError extends Error {
  override readonly name = 'OriginationError';

  constructor(
    readonly code: OriginationErrorCode,
    detail: string,
    /** Our id of the call, where there is a record of it. */
    readonly callId?: string,
    /** Retell's HTTP status, where it answered. */
    readonly retellStatus?: number,
  ) {
    super(detail);
  }
}
