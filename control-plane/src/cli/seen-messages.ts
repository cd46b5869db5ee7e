import type { LadderMessage } from '../calls/ladder/draw.js';

/** One message between the proxy and a side, as the side saw it. */
export interface SeenMessage extends Pick<LadderMessage, 'at' | 'side' | 'direction'> {
  /** First line of the message. */
  firstLine: string;
  /** Number and method, e.g. `1 INVITE`. */
  cseq: string;
  /** Of a NOTIFY: what it says of the transfer, e.g. `180 Ringing` (RFC 3515, 2.4.5). */
  sipfrag?: string;
}

/** The message as a ladder shows it: `INVITE`, `200 OK (INVITE)`, `NOTIFY 180 Ringing`. */
export function ladderMessage({ at, side, direction, firstLine, cseq, sipfrag }: SeenMessage): LadderMessage {
  const response = /^SIP\/2\.0 (.*)$/.exec(firstLine.trim());
  const text = response
    ? `${response[1]} (${cseq.split(' ')[1] ?? ''})`
    : [firstLine.split(' ')[0], sipfrag].filter(Boolean).join(' ');
  return { at, side, direction, text, isResponse: response !== null };
}
