/** What a command on a call can be refused for. Match on `code`. */
export type CallErrorCode =
  | 'call_not_found' // no record with this id
  | 'node_unavailable' // the Kamailio node that carries the call does not answer
  | 'node_unknown'; // the call is on a node that the configuration does not have

export class CallError extends Error {
  override readonly name = 'CallError';

  constructor(
    readonly code: CallErrorCode,
    detail: string,
  ) {
    super(detail);
  }
}
