import { type Attempt, attemptsOf } from './attempts.js';
import type {
  Call,
  DialogIdentity,
  Direction,
  EndedBy,
  Leg,
  MatchedBy,
  Refusal,
  Tie,
  TimelineEntry,
} from './call.js';
import { delaysOf } from './delays.js';
import { given, ONCE_PREFIX, type RecordFields, TIMELINE_PREFIX, TRANSFERRED_TO_PREFIX } from './record.js';
import { type RetellDetails, retellDetailsOf } from './retell-details.js';
import { type Transfer, transfersOf } from './transfer/transfer.js';

/**
 * Reads a record. Fields of events that have not come yet are undefined; `created_at` falls back to the
 * earliest time known.
 */
export function callOfRecord(id: string, record: RecordFields): Call {
  return new RecordedCall(id, record);
}

/** Most readers of a call do without what is much of its record: this is read when it is asked for, and then kept. */
class RecordedParts {
  protected readonly record: RecordFields;
  #retell: RetellDetails | undefined;
  #dialog: DialogIdentity | undefined;
  #transfers: Transfer[] | undefined;
  #transferredTo: Tie[] | undefined;
  #attempts: Attempt[] | undefined;
  #timeline: TimelineEntry[] | undefined;

  constructor(record: RecordFields) {
    this.record = record;
  }

  get agent_id(): string | undefined {
    return this.record.agent_id ?? this.retell.agent_id;
  }

  get retell(): RetellDetails {
    this.#retell ??= retellDetailsOf(this.record);
    return this.#retell;
  }

  get dialog(): DialogIdentity | undefined {
    if (this.record.dialog !== undefined) this.#dialog ??= JSON.parse(this.record.dialog);
    return this.#dialog;
  }

  get transfers(): Transfer[] {
    this.#transfers ??= transfersOf(this.record);
    return this.#transfers;
  }

  get transferred_to(): Tie[] {
    this.#transferredTo ??= transferredToOf(this.record);
    return this.#transferredTo;
  }

  get attempts(): Attempt[] {
    const { carrier, gateway } = this.record;
    const direction = directionOf(this.record);
    this.#attempts ??= attemptsOf({ direction, carrier, gateway, timeline: this.timeline });
    return this.#attempts;
  }

  get timeline(): TimelineEntry[] {
    this.#timeline ??= timelineOf(this.record, this.transfers);
    return this.#timeline;
  }
}

class RecordedCall extends RecordedParts implements Call {
  readonly id: string;
  readonly direction = directionOf(this.record);
  readonly source = this.record.source;
  readonly carrier = this.record.carrier;
  readonly gateway = this.record.gateway;
  readonly node = this.record.node ?? '';
  readonly number = this.record.number;
  readonly from = this.record.from;
  readonly to = this.record.to;
  readonly sip_call_id = this.record.sip_call_id;
  readonly from_tag = this.record.from_tag;
  readonly retell_call_id = this.record.retell_call_id;
  readonly retell_matched_by = this.record.retell_matched_by as MatchedBy | undefined;
  readonly created_at = number(this.record.created_at) ?? this.timeline[0]?.at ?? 0;
  readonly requested_by = this.record.requested_by;
  readonly invited_at =
    number(this.record.invited_at) ??
    (this.sip_call_id === undefined ? undefined : number(this.record.created_at));
  readonly ringing_at = number(this.record.ringing_at);
  readonly answered_at = number(this.record.answered_at);
  readonly max_duration_s = number(this.record.max_duration_s);
  readonly ended_at = number(this.record.ended_at);
  readonly ended_by = this.record.ended_by as EndedBy | undefined;
  readonly sip_status = number(this.record.sip_status);
  readonly reason = this.record.reason;
  readonly q850_cause = number(this.record.q850_cause);
  readonly reason_text = this.record.reason_text;
  readonly codec = this.record.codec;
  readonly retell_ended_at = number(this.record.retell_ended_at);
  readonly retell_disconnection_reason = this.record.retell_disconnection_reason;
  readonly retell_stopped_at = number(this.record.retell_stopped_at);
  readonly erased_at = number(this.record.erased_at);
  readonly bye = { carrier: bye(this.record, 'carrier'), retell: bye(this.record, 'retell') };
  readonly refusal: Refusal = given({
    cancel_sent_at: number(this.record.cancel_sent_at),
    cancel_status: number(this.record.cancel_status),
    unanswered: this.record.cancel_unanswered === undefined ? undefined : true,
    acked_at: number(this.record.refusal_acked_at),
  });
  readonly hangup_ended_by = this.record.hangup_ended_by as EndedBy | undefined;
  readonly transferred_from: Tie | undefined =
    this.record.transferred_from === undefined ? undefined : JSON.parse(this.record.transferred_from);
  readonly #delays = delaysOf({
    invited_at: this.invited_at,
    ringing_at: this.ringing_at,
    answered_at: this.answered_at,
    ended_at: this.ended_at,
    ended_by: this.ended_by,
    sip_status: this.sip_status,
    bye: this.bye,
    bye_confirmed_at: number(this.record.bye_confirmed_at),
  });
  readonly srd_ms = this.#delays.srd_ms;
  readonly setup_ms = this.#delays.setup_ms;
  readonly duration_ms = this.#delays.duration_ms;
  readonly sdd_ms = this.#delays.sdd_ms;

  constructor(id: string, record: RecordFields) {
    super(record);
    this.id = id;
  }
}

function directionOf({ direction }: RecordFields): Direction {
  return direction === 'outbound' ? 'outbound' : 'inbound';
}

function timelineOf(record: RecordFields, transfers: readonly Transfer[]): TimelineEntry[] {
  const entries: TimelineEntry[] = [];
  for (const field in record) {
    const detail = record[field] as string;
    if (field.startsWith(TIMELINE_PREFIX)) {
      const [at = '', type = ''] = field.slice(TIMELINE_PREFIX.length).split(':');
      entries.push({ at: Number(at) / 1000, type, ...JSON.parse(detail) });
    } else if (field.startsWith(ONCE_PREFIX)) {
      const type = field.slice(ONCE_PREFIX.length).replace(/#.*/, '');
      entries.push({ type, ...JSON.parse(detail) });
    }
  }
  entries.push(...transfers.flatMap(transferEntries));
  return entries.sort((a, b) => a.at - b.at);
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
  return Object.keys(record)
    .filter((field) => field.startsWith(TRANSFERRED_TO_PREFIX))
    .map((field) => ({
      call_id: field.slice(TRANSFERRED_TO_PREFIX.length),
      ...JSON.parse(record[field] as string),
    }))
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
