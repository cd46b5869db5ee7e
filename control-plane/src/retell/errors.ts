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

/** Why a call did not come to be at Retell, in the words of its record. */
export function reasonOf({ code, status }: RetellError): string {
  switch (code) {
    case 'refused':
      return `retell refused: ${status}`;
    case 'timeout':
      return 'retell did not answer in time';
    case 'unreachable':
      return 'retell not reachable';
    case 'protocol':
      return 'retell answered without a call id';
    case 'not_configured':
      return 'there is no key for retell';
    case 'aborted':
      return 'the control plane stops';
  }
}
