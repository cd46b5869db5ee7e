/** One message between the proxy and a side. */
export interface LadderMessage {
  /** ms since 1970 */
  at: number;
  side: 'carrier' | 'retell';
  /** Seen from the side: `out` is towards the proxy. */
  direction: 'in' | 'out';
  /** First line of the message. */
  firstLine: string;
  /** Number and method, e.g. `1 INVITE`. */
  cseq: string;
  /** Of a NOTIFY: what it says of the transfer, e.g. `180 Ringing` (RFC 3515, 2.4.5). */
  sipfrag?: string;
}

const GAP = 30;

/** Draws what each side saw as a ladder of text, the carrier left, the proxy in the middle, Retell right. */
export function drawLadder(messages: readonly LadderMessage[]): string[] {
  const sorted = [...messages].sort((a, b) => a.at - b.at);
  const start = sorted[0]?.at ?? 0;
  return [
    `${' '.repeat(10)}carrier${' '.repeat(GAP - 5)}proxy${' '.repeat(GAP - 4)}Retell`,
    ...sorted.map((message) => {
      const toRight = (message.direction === 'out') === (message.side === 'carrier');
      const line = arrow(label(message), toRight);
      const blank = ' '.repeat(GAP);
      const [left, right] = message.side === 'carrier' ? [line, blank] : [blank, line];
      return `${((message.at - start) / 1000).toFixed(3).padStart(9)} s  |${left}|${right}|`;
    }),
  ];
}

/** `INVITE`, `200 OK (INVITE)`, `NOTIFY 180 Ringing`. */
function label({ firstLine, cseq, sipfrag }: LadderMessage): string {
  const response = /^SIP\/2\.0 (.*)$/.exec(firstLine.trim());
  const method = cseq.split(' ')[1] ?? '';
  if (response) return `${response[1]} (${method})`;
  return [firstLine.split(' ')[0], sipfrag].filter(Boolean).join(' ');
}

function arrow(text: string, toRight: boolean): string {
  const name = text.slice(0, GAP - 5);
  const dashes = '-'.repeat(GAP - 3 - name.length);
  return toRight ? `-${name} ${dashes}>` : `<${dashes} ${name}-`;
}
