import { attemptsOf } from './attempts.js';
import type { Call, EndedBy, Leg, MatchedBy, Tie, TimelineEntry } from './call.js';
import { delaysOf } from './delays.js';
import { given, ONCE_PREFIX, type RecordFields, TIMELINE_PREFIX, TRANSFERRED_TO_PREFIX } from './record.js';
import { retellDetailsOf } from './retell-details.js';
import { type Transfer, transfersOf } from './transfer/transfer.js';

/**
 * Reads a record. Fields of events that have not come yet are undefined; `created_at` falls back to the
 * earliest time known.
 */
export function callOfRecord(id: string, record: RecordFields): Call {
  const direction = record.direction === 'outbound' ? 'outbound' : 'inbound';
  const retell = once(() => retellDetailsOf(record));
  const transfers = once(() => transfersOf(record));
  const timeline = once(() => timelineOf(record, transfers()));
  const { carrier, gateway } = record;
  const attempts = once(() => attemptsOf({ direction, carrier, gateway, timeline: timeline() }));
  const transferredTo = once(() => transferredToOf(record));
  const dialog = once(() => (record.dialog === undefined ? undefined : JSON.parse(record.dialog)));
  const createdAt = number(record.created_at) ?? timeline()[0]?.at ?? 0;
  const invitedAt =
    number(record.invited_at) ?? (record.sip_call_id === undefined ? undefined : number(record.created_at));
  const times = {
    ringing_at: number(record.ringing_at),
    answered_at: number(record.answered_at),
    ended_at: number(record.ended_at),
    ended_by: record.ended_by as EndedBy | undefined,
    sip_status: number(record.sip_status),
    bye: { carrier: bye(record, 'carrier'), retell: bye(record, 'retell') },
  };
  return {
    id,
    direction,
    source: record.source,
    carrier,
    gateway,
    node: record.node ?? '',
    number: record.number,
    from: record.from,
    to: record.to,
    sip_call_id: record.sip_call_id,
    retell_call_id: record.retell_call_id,
    retell_matched_by: record.retell_matched_by as MatchedBy | undefined,
    get agent_id() {
      return record.agent_id ?? retell().agent_id;
    },
    from_tag: record.from_tag,
    created_at: createdAt,
    requested_by: record.requested_by,
    invited_at: invitedAt,
    ...times,
    ...delaysOf({ ...times, invited_at: invitedAt, bye_confirmed_at: number(record.bye_confirmed_at) }),
    max_duration_s: number(record.max_duration_s),
    reason: record.reason,
    q850_cause: number(record.q850_cause),
    reason_text: record.reason_text,
    codec: record.codec,
    retell_ended_at: number(record.retell_ended_at),
    retell_disconnection_reason: record.retell_disconnection_reason,
    get retell() {
      return retell();
    },
    retell_stopped_at: number(record.retell_stopped_at),
    erased_at: number(record.erased_at),
    get dialog() {
      return dialog();
    },
    refusal: given({
      cancel_sent_at: number(record.cancel_sent_at),
      cancel_status: number(record.cancel_status),
      unanswered: record.cancel_unanswered === undefined ? undefined : true,
      acked_at: number(record.refusal_acked_at),
    }),
    hangup_ended_by: record.hangup_ended_by as EndedBy | undefined,
    get transfers() {
      return transfers();
    },
    transferred_from: record.transferred_from === undefined ? undefined : JSON.parse(record.transferred_from),
    get transferred_to() {
      return transferredTo();
    },
    get attempts() {
      return attempts();
    },
    get timeline() {
      return timeline();
    },
  };
}

/** Most readers of a call do without what is much of its record: it is read when it is asked for, and then kept. */
function once<T>(read: () => T): () => T {
  let value: T | undefined;
  return () => {
    value ??= read();
    return value;
  };
}

function timelineOf(record: RecordFields, transfers: readonly Transfer[]): TimelineEntry[] {
  const entries = Object.entries(record).flatMap(([field, detail]): TimelineEntry[] => {
    if (field.startsWith(ONCE_PREFIX))
      return [{ type: field.slice(ONCE_PREFIX.length).replace(/#.*/, ''), ...JSON.parse(detail) }];
    if (!field.startsWith(TIMELINE_PREFIX)) return [];
    const [at = '', type = ''] = field.slice(TIMELINE_PREFIX.length).split(':');
    return [{ at: Number(at) / 1000, type, ...JSON.parse(detail) }];
  });
  return [...entries, ...transfers.flatMap(transferEntries)].sort((a, b) => a.at - b.at);
}

/** What of a transfer only the control plane knows: the rest comes as events. */
function transferEntries(transfer: Transfer): TimelineEntry[] {
  const { id, source, by, to, requested_at: at, end, told } = transfer;
  return [
    ...(source === 'retell' ? [] : [{ at, type: 'transfer_requested', transfer: id, source, by, to }]),
    ...(end === undefined ? [] : [{ type: 'transfer_ended', transfer: id, ...end }]),
    ...(told === undefined ? [] : [{ type: 'transfer_notice', transfer: id, ...told }]),
  ];
}

function transferredToOf(record: RecordFields): Tie[] {
  return Object.entries(record)
    .filter(([field]) => field.startsWith(TRANSFERRED_TO_PREFIX))
    .map(([field, value]) => ({ call_id: field.slice(TRANSFERRED_TO_PREFIX.length), ...JSON.parse(value) }))
    .sort((a, b) => a.at - b.at)
    .map(({ call_id, by }) => ({ call_id, by }));
}

function bye(record: RecordFields, leg: Leg): Call['bye'][Leg] {
  return given({
    sent_at: number(record[`bye_${leg}_sent_at`]),
    answered_at: number(record[`bye_${leg}_answered_at`]),
    status: number(record[`bye_${leg}_status`]),
  });
}

function number(value: string | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
