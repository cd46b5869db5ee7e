import type { TransferEnd } from './transfer.js';

/** What a status of the REFER, or of the call that it led to, means to the caller. */
const REASONS: Readonly<Record<number, string>> = {
  403: 'it is not allowed there',
  404: 'the number does not exist',
  405: 'the line cannot be transferred',
  408: 'nobody answered',
  410: 'the number does not exist',
  480: 'nobody answered',
  484: 'the number is not complete',
  486: 'the line is busy',
  487: 'nobody answered',
  488: 'the line cannot be transferred',
  501: 'the line cannot be transferred',
  600: 'the line is busy',
  603: 'the call was declined',
  604: 'the number does not exist',
};

/** Why a transfer did not work, as a clause that an agent can say. */
export function spokenReason({ outcome, status }: Pick<TransferEnd, 'outcome' | 'status'>): string {
  if (outcome === 'timed_out') return 'it was not answered in time';
  return REASONS[status ?? 0] ?? 'the line could not be reached';
}

/** The sentence that the live agent is told. */
export function failureNotice(
  template: string,
  to: string,
  end: Pick<TransferEnd, 'outcome' | 'status'>,
): string {
  return template.replaceAll('{to}', () => to).replaceAll('{reason}', () => spokenReason(end));
}
