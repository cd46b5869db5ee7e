/**
 * What can go wrong between the control plane and a Kamailio node. Match on `code`, never on the message.
 */
export type KamailioErrorCode =
  | 'KAMAILIO_UNREACHABLE' // no connection, or it broke before the answer
  | 'KAMAILIO_TIMEOUT' // no answer within the deadline: the command may have run
  | 'KAMAILIO_BREAKER_OPEN' // not asked: the node failed several times in a row
  | 'KAMAILIO_FAULT' // the node answered with an error; `faultCode` says which
  | 'KAMAILIO_PROTOCOL'; // the answer is not one to our request: never to be taken for success

export class KamailioError extends Error {
  override readonly name = 'KamailioError';

  constructor(
    readonly code: KamailioErrorCode,
    readonly node: string,
    readonly method: string,
    detail: string,
    /** Kamailio's own fault code (400, 404, 500), for KAMAILIO_FAULT only. */
    readonly faultCode?: number,
    /** What went wrong last, for KAMAILIO_BREAKER_OPEN only. */
    readonly lastFailure?: KamailioErrorCode,
  ) {
    super(`${method} on ${node}: ${detail}`);
  }

  /** True where nothing listens at the node's address: it is not there, and with it its dialogs. */
  get nodeIsGone(): boolean {
    return (this.lastFailure ?? this.code) === 'KAMAILIO_UNREACHABLE';
  }

  /** True where the node itself is the trouble, and not what was asked of it. */
  get nodeIsDown(): boolean {
    return this.code !== 'KAMAILIO_FAULT' && this.code !== 'KAMAILIO_PROTOCOL';
  }
}
