import type { ByeEvent, CallEvent, ReferReceivedEvent, TransferEvent } from '../kamailio/events.js';
import { readReason } from '../kamailio/reason-header.js';
import { type Call, legOfTag, type MatchedBy, type Tie } from './call.js';
import { transferFields } from './transfer/transfer.js';

/**
 * A call's record in Redis is one flat hash. Every field is written once and never changed, each event
 * writes fields of its own, and timeline entries are fields named by time and type: so events can be
 * applied in any order and any number of times.
 */
export type RecordFields = Record<string, string>;

export const TIMELINE_PREFIX = 't:';
export const ONCE_PREFIX = 'once:';
export const TRANSFERRED_TO_PREFIX = 'transferred_to:';

/** The fields that a call's event adds to its record. */
export function fieldsOfEvent(event: CallEvent, node: string): RecordFields {
  const at = String(event.at / 1000);
  switch (event.type) {
    case 'invite':
      return timeline(
        event,
        { source: event.source },
        {
          direction: event.direction,
          ...given({ carrier: event.carrier }),
          node,
          ...given({ number: event.number }),
          from: event.from,
          to: event.to,
          sip_call_id: event.sip_call_id,
          from_tag: event.from_tag,
          source: event.source,
          created_at: at,
          invited_at: at,
        },
      );
    case 'attempt_failed':
      return timeline(event, {
        ...(event.owner === 'retell' ? {} : { carrier: event.owner }),
        gateway: event.gateway,
        status: event.code,
        ...statedReason(event),
      });
    case 'fallback':
      return timeline(event, { gateway: event.gateway, reason: event.reason }, { fell_back: '1' });
    case 'limited':
      return timeline(event, given({ limit: event.limit, carrier: event.carrier }));
    case 'header_dropped':
      return timeline(event, { header: event.header, length: event.length });
    case 'ringing':
      return timeline(event, { gateway: event.gateway, status: event.code }, { ringing_at: at });
    case 'answered': {
      const { h_entry, h_id, from_uri, to_uri, caller, callee } = event;
      return timeline(
        event,
        { gateway: event.gateway },
        {
          ...given({ carrier: event.carrier }),
          gateway: event.gateway,
          answered_at: at,
          sip_status: '200',
          ...given({ codec: event.codec }),
          ...(event.max_duration_s === undefined ? {} : { max_duration_s: String(event.max_duration_s) }),
          dialog: JSON.stringify({ h_entry, h_id, from_uri, to_uri, caller, callee }),
        },
      );
    }
    case 'cancel_sent':
      return timeline(event, {}, { cancel_sent_at: at });
    case 'cancel_answered':
      return timeline(event, { status: event.code }, { cancel_status: String(event.code) });
    case 'cancel_unanswered':
      return timeline(event, {}, { cancel_unanswered: '1' });
    case 'refusal_acked':
      return timeline(event, {}, { refusal_acked_at: at });
    case 'refer_sent':
    case 'refer_answered':
    case 'refer_notified':
    case 'refer_received':
    case 'refer_refused':
      return fieldsOfTransferEvent(event);
    case 'ended':
      return timeline(event, given({ by: event.by, reason: event.reason, ...statedReason(event) }), {
        ended_at: at,
        ended_by: event.by,
        ...given({ reason: event.reason }),
        ...reasonFields(event),
      });
    case 'bye_confirmed':
      return timeline(event, { status: event.code }, { bye_confirmed_at: at });
    case 'failed':
      return timeline(
        event,
        { status: event.code, reason: event.reason, ...statedReason(event) },
        {
          ended_at: at,
          ended_by: event.by ?? 'failure',
          ...given({ carrier: event.carrier, gateway: event.gateway, reason: event.reason }),
          ...(event.code === undefined ? {} : { sip_status: String(event.code) }),
          ...reasonFields(event),
        },
      );
  }
}

/** What the peer's Reason header says, as in the timeline. */
function statedReason({ cause = '' }: { cause?: string | undefined }) {
  const { q850_cause, text } = readReason(cause);
  return given({ q850_cause, reason_text: text });
}

/** The same as fields of a call that it ended. */
function reasonFields(event: { cause?: string | undefined }): RecordFields {
  return Object.fromEntries(
    Object.entries(statedReason(event)).map(([name, value]) => [name, String(value)]),
  );
}

function fieldsOfTransferEvent(event: TransferEvent): RecordFields {
  const { type, at, id: _, ...detail } = event;
  const told = timeline(event, given(detail));
  const atMs = at / 1000;
  switch (event.type) {
    case 'refer_sent':
      return told;
    case 'refer_answered':
      return { ...told, ...(event.code < 300 ? transferFields.stage(event.transfer, 'accepted', atMs) : {}) };
    case 'refer_notified': {
      const { transfer, code = 0 } = event;
      return {
        ...told,
        // It has been accepted, whether its answer was seen or not.
        ...transferFields.stage(transfer, 'accepted', atMs),
        ...(code === 100 ? transferFields.stage(transfer, 'trying', atMs) : {}),
        ...(code > 100 && code < 200 ? transferFields.stage(transfer, 'ringing', atMs) : {}),
      };
    }
    case 'refer_received': {
      const { transfer, refer_to, destination, timeout_s } = event;
      return { ...told, ...requestOfRetell(transfer, atMs, { refer_to, destination, timeout_s }) };
    }
    case 'refer_refused': {
      const { transfer, refer_to } = event;
      return { ...told, ...requestOfRetell(transfer, atMs, { refer_to, destination: '', timeout_s: 0 }) };
    }
  }
}

/** A transfer by Retell's own REFER. */
function requestOfRetell(
  id: string,
  atMs: number,
  event: Pick<ReferReceivedEvent, 'refer_to' | 'destination' | 'timeout_s'>,
): RecordFields {
  return transferFields.requested(id, {
    source: 'retell',
    by: 'retell',
    to: event.refer_to,
    refer_to: event.destination,
    on_failure: 'resume',
    requested_at: atMs,
    timeout_s: event.timeout_s,
    warnings: [],
  });
}

/**
 * The fields that a BYE which Kamailio sent, its reply, or a BYE without a known dialog adds. The reply also
 * ends the call: Kamailio sometimes tells no end of a dialog that RPC ended (kamailio#190, #246).
 */
export function fieldsOfBye(event: ByeEvent, call: Call): RecordFields {
  const at = String(event.at / 1000);
  if (event.type === 'bye_untracked') {
    const by = legOfTag(call, event.from_tag);
    return timeline(
      { at: event.at, type: 'ended' },
      { by, untracked: true, ...statedReason(event) },
      { ended_at: at, ended_by: by, ...reasonFields(event) },
    );
  }
  const leg = legOfTag(call, event.to_tag);
  const detail = { leg, status: event.code };
  if (event.type === 'bye_sent') return timeline(event, detail, { [`bye_${leg}_sent_at`]: at });
  return timeline(event, detail, {
    [`bye_${leg}_status`]: String(event.code),
    [`bye_${leg}_answered_at`]: at,
    ended_at: at,
    ended_by: call.hangup_ended_by ?? 'timeout',
  });
}

/**
 * The fields that tie Retell's second call of a transfer to its first, in the records of both.
 *
 * @param at time of the second call's INVITE, in microseconds since 1970
 */
export function fieldsOfTie(second: string, { call_id, by }: Tie, at: number) {
  return {
    first: {
      [`${TRANSFERRED_TO_PREFIX}${second}`]: JSON.stringify({ by, at }),
      ...timeline({ at, type: 'transferred_to' }, { call_id: second, by }),
    },
    second: {
      transferred_from: JSON.stringify({ call_id, by }),
      ...timeline({ at, type: 'transferred_from' }, { call_id, by }),
    },
  };
}

/** The fields that tell which of Retell's calls this one is. */
export function matchFields(retellCallId: string, by: MatchedBy): RecordFields {
  return { retell_call_id: retellCallId, retell_matched_by: by };
}

/**
 * One entry of the timeline as a field of the record. `at` is in microseconds since 1970: only both legs can tell the
 * same of one moment.
 *
 * @param fields what else an event adds
 */
export function timeline(
  event: { at: number; type: string },
  detail: Record<string, unknown>,
  fields: RecordFields = {},
): RecordFields {
  const leg = detail.leg === undefined ? '' : `:${detail.leg}`;
  // Without a prototype it is a dictionary to V8: the names of timeline entries are all different, and each would lead to
  // a hidden class of its own.
  const all: RecordFields = Object.assign(Object.create(null), fields);
  all[`${TIMELINE_PREFIX}${event.at}:${event.type}${leg}`] = JSON.stringify(detail);
  return all;
}

/**
 * An entry of the timeline that a call has once, whoever writes it first and however often.
 *
 * @param atMs ms since 1970
 * @param key tells those apart that it may have several of
 */
export function timelineOnce(
  type: string,
  atMs: number,
  detail: Record<string, unknown> = {},
  key?: string,
): RecordFields {
  const field = key === undefined ? type : `${type}#${key}`;
  return { [`${ONCE_PREFIX}${field}`]: JSON.stringify({ at: atMs, ...detail }) };
}

/** The fields that have a value. */
export function given<T extends Record<string, unknown>>(fields: T): { [K in keyof T]: NonNullable<T[K]> } {
  const some: Partial<T> = {};
  for (const name in fields) if (fields[name] !== undefined) some[name] = fields[name];
  return some as { [K in keyof T]: NonNullable<T[K]> };
}
