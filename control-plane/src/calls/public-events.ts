import type { Redis } from 'ioredis';
import { fieldsOf, writtenAt } from '../stream-entries.js';
import type { Direction } from './call.js';

/** Redis' stream of what happened to calls, for whoever follows them: written with the record, in one step. */
export const PUBLIC_EVENTS = 'calls:events';
/** About as many are kept: who was away for longer has missed some. */
export const PUBLIC_EVENTS_KEPT = 100_000;

/** The field of a record that is new with each event of a call. */
export const CALL_EVENT_FIELDS = {
  created_at: 'call.created',
  ringing_at: 'call.ringing',
  answered_at: 'call.answered',
  ended_at: 'call.ended',
  'once:retell_call_started': 'retell.call_started',
  'once:retell_call_ended': 'retell.call_ended',
  'once:retell_call_analyzed': 'retell.call_analyzed',
} as const;

/** The last part of the field of a record that is new with each event of a transfer. */
export const TRANSFER_EVENT_FIELDS = {
  request: 'transfer.requested',
  accepted: 'transfer.accepted',
  trying: 'transfer.trying',
  ringing: 'transfer.ringing',
  end: 'transfer.ended',
} as const;

export const PUBLIC_EVENT_TYPES = [
  ...Object.values(CALL_EVENT_FIELDS),
  ...Object.values(TRANSFER_EVENT_FIELDS),
  'record.created',
  'record.amended',
  'record.erased',
] as const;
export type PublicEventType = (typeof PUBLIC_EVENT_TYPES)[number];

/** Something that happened to a call, once. How the call is now is in its record. */
export interface PublicEvent {
  /** Its place in the stream, which only grows. */
  id: string;
  type: PublicEventType;
  /** When it was written, in ms since 1970. */
  at: number;
  call_id: string;
  direction: Direction | undefined;
  carrier: string | undefined;
  /** Of events of a transfer: its id. */
  transfer_id: string | undefined;
}

/**
 * The events after a place in the stream, in order.
 *
 * @param after id of the last one that is known
 */
export async function eventsAfter(redis: Redis, after: string, count: number): Promise<PublicEvent[]> {
  const entries = await redis.xrange(PUBLIC_EVENTS, `(${after}`, '+', 'COUNT', count);
  return entries.map(([id, fields]) => publicEventOf(id, fields));
}

/** The place of the newest event, and of the oldest that is kept; undefined where there has been none. */
export async function eventBounds(
  redis: Redis,
): Promise<{ oldest: string | undefined; newest: string | undefined }> {
  const [[oldest], [newest]] = await Promise.all([
    redis.xrange(PUBLIC_EVENTS, '-', '+', 'COUNT', 1),
    redis.xrevrange(PUBLIC_EVENTS, '+', '-', 'COUNT', 1),
  ]);
  return { oldest: oldest?.[0], newest: newest?.[0] };
}

/** Reads one entry of the stream. */
export function publicEventOf(id: string, list: readonly string[]): PublicEvent {
  const fields = fieldsOf(list);
  return {
    id,
    type: fields.get('type') as PublicEventType,
    at: writtenAt(id),
    call_id: fields.get('call') ?? '',
    direction: fields.get('direction') as Direction | undefined,
    carrier: fields.get('carrier'),
    transfer_id: fields.get('transfer'),
  };
}
