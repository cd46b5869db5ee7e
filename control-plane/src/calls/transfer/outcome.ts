import type { TimelineEntry } from '../call.js';
import type { ReferEvent, Transfer, TransferEnd } from './transfer.js';

const EVENTS = ['refer_answered', 'refer_notified', 'refer_refused'] as const;

/**
 * What the wire told of a transfer, in its order.
 *
 * @param timeline that of its call
 */
export function referEventsOf(timeline: readonly TimelineEntry[], transferId: string): ReferEvent[] {
  return timeline.flatMap((entry): ReferEvent[] => {
    const { at, code, reason, subscription, challenge } = entry;
    const type = EVENTS.find((known) => known === entry.type);
    if (entry.transfer !== transferId || type === undefined) return [];
    return [
      {
        at,
        type,
        code: typeof code === 'number' ? code : undefined,
        reason: textOf(reason),
        subscription: textOf(subscription) ?? '',
        challenge: textOf(challenge),
      },
    ];
  });
}

/**
 * The end that the wire tells of, the first where it tells of several: the REFER was refused, or a NOTIFY told the
 * final status of the other call (RFC 3515 section 2.4.4) or closed its subscription without one.
 */
export function endOnWire(
  transfer: Pick<Transfer, 'source'>,
  events: readonly ReferEvent[],
): TransferEnd | undefined {
  let challenges = 0;
  for (const { type, at, code, reason, subscription } of events) {
    if (type === 'refer_refused') {
      return { outcome: 'rejected', ...(code && { status: code }), ...(reason && { reason }), at };
    }
    if (type === 'refer_answered') {
      if (code === undefined || code < 300) continue;
      challenges += isChallenge(code) ? 1 : 0;
      if (transfer.source !== 'retell' && isChallenge(code) && challenges === 1) continue;
      return { outcome: 'rejected', status: code, at };
    }
    if (code !== undefined && code >= 200) {
      return { outcome: code < 300 ? 'succeeded' : 'failed', status: code, at };
    }
    if (/^terminated/i.test(subscription)) {
      return { outcome: 'failed', reason: 'the carrier stopped telling of it without an outcome', at };
    }
  }
  return undefined;
}

/** The challenge to a REFER of ours that waits to be answered. */
export function openChallenge(events: readonly ReferEvent[]): ReferEvent | undefined {
  const answers = events.filter(({ type }) => type === 'refer_answered');
  const [first] = answers;
  return answers.length === 1 && first !== undefined && isChallenge(first.code) ? first : undefined;
}

function isChallenge(code: number | undefined): boolean {
  return code === 401 || code === 407;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
