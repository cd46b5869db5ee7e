/** Why no REFER is made of a request for a transfer. Match on `code`. */
export type TransferErrorCode =
  | 'invalid' // a field cannot be used; the message begins with its name
  | 'not_allowed' // the lists of the configuration do not let calls go there
  | 'unsupported'; // the carrier takes no REFER

/** A transfer that cannot be. The message is a clause for an operator, and holds nothing of what was refused. */
export class TransferError extends Error {
  override readonly name = 'TransferError';

  constructor(
    readonly code: TransferErrorCode,
    message: string,
  ) {
    super(message);
  }
}
