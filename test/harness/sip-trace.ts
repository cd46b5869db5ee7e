import { performance } from 'node:perf_hooks';
import type { SipMessage } from './sip-message.js';
import type { Remote } from './sip-transport.js';

/** One message on the wire, as this peer saw it. */
export interface TraceEntry {
  readonly direction: 'in' | 'out';
  /** Milliseconds since the epoch, with fractions, monotonic within the process. */
  readonly at: number;
  readonly message: SipMessage;
  readonly retransmission: boolean;
  readonly remote: Remote;
}

export type Direction = TraceEntry['direction'];

/** What went over the wire: the latest messages, as many as asked for, and counts of all. */
export class SipTrace {
  readonly entries: TraceEntry[] = [];
  readonly #keep: number;
  readonly #counts = new Map<string, { first: number; repeated: number }>();

  /** @param keep how many messages are kept at the most; 0 for none */
  constructor(keep: number) {
    this.#keep = keep;
  }

  record(direction: Direction, message: SipMessage, retransmission: boolean, remote: Remote): void {
    const what = message.kind === 'response' ? message.status : message.method;
    const key = `${direction} ${what}`;
    const count = this.#counts.get(key) ?? { first: 0, repeated: 0 };
    count[retransmission ? 'repeated' : 'first'] += 1;
    this.#counts.set(key, count);
    if (this.#keep === 0) return;
    const at = performance.timeOrigin + performance.now();
    this.entries.push({ direction, at, message, retransmission, remote });
    if (this.entries.length > this.#keep) this.entries.shift();
  }

  count(direction: Direction, what: string | number, withRetransmissions: boolean): number {
    const count = this.#counts.get(`${direction} ${what}`);
    return (count?.first ?? 0) + (withRetransmissions ? (count?.repeated ?? 0) : 0);
  }
}
