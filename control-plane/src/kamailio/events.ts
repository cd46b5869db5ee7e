/**
 * The call events that Kamailio publishes (kamailio/events.cfg; docs/reference/events.md). On the wire
 * every value is a string; what strangers control is base64, and Kamailio writes `<null>` for nothing.
 */

interface EventBase {
  /** Kamailio's time of the event, in microseconds since 1970. */
  at: number;
}

interface CallEventBase extends EventBase {
  /** The call's id. */
  id: string;
}

export interface InviteEvent extends CallEventBase {
  type: 'invite';
  direction: 'inbound' | 'outbound';
  /** who called inbound; outbound it is chosen later */
  carrier: string | undefined;
  /** address:port that sent the INVITE */
  source: string;
  sip_call_id: string;
  from_tag: string;
  from: string;
  /** user part of the Request-URI, as dialled */
  to: string;
  /** our number in the call: dialled inbound, calling outbound; undefined where it is none of ours */
  number: string | undefined;
}

export interface AttemptFailedEvent extends CallEventBase {
  type: 'attempt_failed';
  /** whose gateway: the carrier's name, or `retell` */
  owner: string;
  gateway: string;
  code: number;
}

export interface RingingEvent extends CallEventBase {
  type: 'ringing';
  gateway: string;
  code: number;
}

/** Retell could not have the call: it goes to the number's fallback, a SIP URI. */
export interface FallbackEvent extends CallEventBase {
  type: 'fallback';
  gateway: string;
  reason: string;
}

/** A limit that kept the call from a carrier, from Retell or from passing at all. */
export interface LimitedEvent extends CallEventBase {
  type: 'limited';
  limit: 'overall' | 'carrier' | 'number' | 'retell';
  carrier: string | undefined;
}

/** A header of the INVITE that was too long to hand over. */
export interface HeaderDroppedEvent extends CallEventBase {
  type: 'header_dropped';
  header: string;
  /** of the whole line, in bytes */
  length: number;
}

/** One side of an answered call, as the other needs it to send a request (RFC 3261 12.1). */
export interface LegState {
  tag: string;
  contact: string;
  /** Route header values, in the order in which they are sent; empty for none */
  route_set: string[];
  /** the last CSeq seen from this side; 0 where it sent no request */
  cseq: number;
  /** Kamailio's socket towards this side, e.g. udp:192.0.2.1:5060 */
  socket: string;
}

export interface AnsweredEvent extends CallEventBase {
  type: 'answered';
  carrier: string | undefined;
  gateway: string;
  /** how long it may last, in s */
  max_duration_s: number | undefined;
  h_entry: number;
  h_id: number;
  from_uri: string;
  to_uri: string;
  caller: LegState;
  callee: LegState;
}

/** What a call that is hung up before its answer told: its CANCEL left, was answered, its caller took our refusal. */
export interface CancelEvent extends CallEventBase {
  type: 'cancel_sent' | 'cancel_answered' | 'cancel_unanswered' | 'refusal_acked';
  /** the callee's final response to the INVITE, for `cancel_answered` */
  code: number | undefined;
}

export interface EndedEvent extends CallEventBase {
  type: 'ended';
  by: string;
  /** why it timed out */
  reason: string | undefined;
}

export interface FailedEvent extends CallEventBase {
  type: 'failed';
  /** the last that was tried; undefined where none was */
  carrier: string | undefined;
  gateway: string | undefined;
  code: number | undefined;
  by: string | undefined;
  reason: string | undefined;
}

/** A BYE that Kamailio made and sent, or the reply to one. `to_tag` is the tag of the leg that gets it. */
export interface ByeEvent extends EventBase {
  type: 'bye_sent' | 'bye_answered' | 'bye_untracked';
  sip_call_id: string;
  from_tag: string;
  to_tag: string;
  /** the reply's status, for `bye_answered` */
  code: number | undefined;
}

export type CallEvent =
  | InviteEvent
  | AttemptFailedEvent
  | RingingEvent
  | FallbackEvent
  | LimitedEvent
  | HeaderDroppedEvent
  | AnsweredEvent
  | CancelEvent
  | EndedEvent
  | FailedEvent;
export type SipEvent = CallEvent | ByeEvent;

/** An event that cannot be read: `message` says what is wrong with it. */
export class EventFormatError extends Error {
  override readonly name = 'EventFormatError';
}

/**
 * Reads one batch as it stands in the Redis Stream: a JSON array of event objects.
 *
 * @throws EventFormatError
 */
export function parseEvents(batch: string): SipEvent[] {
  let list: unknown;
  try {
    list = JSON.parse(batch);
  } catch {
    throw new EventFormatError('a batch that is not JSON');
  }
  if (!Array.isArray(list)) throw new EventFormatError('a batch that is not a list');
  return list.map((value) => parseEvent(new Fields(value)));
}

function parseEvent(f: Fields): SipEvent {
  const type = f.text('type');
  const at = f.micros('at');
  switch (type) {
    case 'invite':
      return {
        type,
        at,
        id: f.text('id'),
        direction: f.text('direction') === 'outbound' ? 'outbound' : 'inbound',
        carrier: carrierOf(f),
        source: f.text('source'),
        sip_call_id: f.base64('sip_call_id'),
        from_tag: f.base64('from_tag'),
        from: f.base64('from'),
        to: f.base64('to'),
        number: f.optional('number'),
      };
    case 'attempt_failed':
      return {
        type,
        at,
        id: f.text('id'),
        owner: f.text('callee') === 'retell' ? 'retell' : f.text('carrier'),
        gateway: f.base64('gateway'),
        code: f.integer('code'),
      };
    case 'ringing':
      return { type, at, id: f.text('id'), gateway: f.base64('gateway'), code: f.integer('code') };
    case 'fallback':
      return { type, at, id: f.text('id'), gateway: f.base64('gateway'), reason: f.base64('reason') };
    case 'limited':
      return {
        type,
        at,
        id: f.text('id'),
        limit: f.text('limit') as LimitedEvent['limit'],
        carrier: carrierOf(f),
      };
    case 'header_dropped':
      return { type, at, id: f.text('id'), header: f.base64('header'), length: f.integer('length') };
    case 'answered':
      return parseAnswered(f, at);
    case 'cancel_sent':
    case 'cancel_answered':
    case 'cancel_unanswered':
    case 'refusal_acked':
      return { type, at, id: f.text('id'), code: f.optionalInteger('code') };
    case 'ended':
      return { type, at, id: f.text('id'), by: f.text('by'), reason: f.base64('reason') || undefined };
    case 'failed':
      return {
        type,
        at,
        id: f.text('id'),
        carrier: carrierOf(f),
        gateway: f.base64('gateway') || undefined,
        code: f.optionalInteger('code'),
        by: f.optional('by'),
        reason: f.base64('reason') || undefined,
      };
    case 'bye_sent':
    case 'bye_answered':
    case 'bye_untracked':
      return {
        type,
        at,
        sip_call_id: f.base64('sip_call_id'),
        from_tag: f.base64('from_tag'),
        to_tag: f.base64('to_tag'),
        code: f.optionalInteger('code'),
      };
    default:
      throw new EventFormatError(`an event of unknown type ${JSON.stringify(type)}`);
  }
}

function parseAnswered(f: Fields, at: number): AnsweredEvent {
  const callerRoutes = splitRoutes(f.base64('caller_route_set'));
  return {
    type: 'answered',
    at,
    id: f.text('id'),
    carrier: carrierOf(f),
    gateway: f.base64('gateway'),
    max_duration_s: f.optionalInteger('max_duration_s'),
    h_entry: f.integer('h_entry'),
    h_id: f.integer('h_id'),
    from_uri: f.base64('from_uri'),
    to_uri: f.base64('to_uri'),
    caller: {
      tag: f.base64('caller_tag'),
      contact: f.base64('caller_contact'),
      route_set: callerRoutes,
      cseq: f.integer('caller_cseq'),
      socket: socketText(f.text('caller_socket')),
    },
    callee: {
      tag: f.base64('callee_tag'),
      contact: f.base64('callee_contact'),
      route_set: calleeRouteSet(splitRoutes(f.base64('record_routes')), callerRoutes.length),
      cseq: 0,
      socket: socketText(f.text('callee_socket')),
    },
  };
}

/** The carrier of an event; Retell calls as the peer `retell`, which is none. */
function carrierOf(f: Fields): string | undefined {
  const carrier = f.optional('carrier');
  return carrier === 'retell' ? undefined : carrier;
}

/** Kamailio writes an IPv6 address without brackets here, and takes it only with them. */
export function socketText(text: string): string {
  return text.replace(/^(\w+):([^[\]]*:[^[\]]*):(\d+)$/, '$1:[$2]:$3');
}

/**
 * The callee's route set from the Record-Route headers of its 200 (RFC 3261 12.1.2): what stands above
 * our own entry, in reverse. Below ours stand those of the caller's side. We write two entries (`r2=on`)
 * where the call changes its transport.
 */
function calleeRouteSet(recordRoutes: string[], callerRoutes: number): string[] {
  const ours = recordRoutes.length - callerRoutes - 1;
  const above = recordRoutes[ours]?.includes(';r2=on') ? ours - 1 : ours;
  return recordRoutes.slice(0, Math.max(above, 0)).reverse();
}

/** Splits a list of name-addr values at the commas between them, not at those inside of <>. */
export function splitRoutes(list: string): string[] {
  return list.match(/<[^>]*>[^,]*/g)?.map((route) => route.trim()) ?? [];
}

/** The fields of one raw event, each read as what it has to be. */
class Fields {
  readonly #raw: Record<string, unknown>;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null) throw new EventFormatError('an event that is no object');
    this.#raw = value as Record<string, unknown>;
  }

  optional(name: string): string | undefined {
    const value = this.#raw[name];
    return typeof value === 'string' && value !== '<null>' && value !== '' ? value : undefined;
  }

  text(name: string): string {
    const value = this.optional(name);
    if (value === undefined)
      throw new EventFormatError(`an event without ${name}: ${JSON.stringify(this.#raw.type)}`);
    return value;
  }

  /** Base64 of anything, also of nothing. */
  base64(name: string): string {
    return Buffer.from(this.optional(name) ?? '', 'base64').toString('utf8');
  }

  optionalInteger(name: string): number | undefined {
    const value = this.optional(name);
    if (value === undefined) return undefined;
    const number = Number(value);
    if (!Number.isInteger(number)) throw new EventFormatError(`an event whose ${name} is no whole number`);
    return number;
  }

  integer(name: string): number {
    const value = this.optionalInteger(name);
    if (value === undefined) throw new EventFormatError(`an event without ${name}`);
    return value;
  }

  /** `seconds.microseconds`, where Kamailio pads the microseconds to six digits. */
  micros(name: string): number {
    const match = /^(\d+)\.(\d{1,6})$/.exec(this.text(name));
    if (match === null) throw new EventFormatError(`an event whose ${name} is no time`);
    return Number(match[1]) * 1_000_000 + Number(match[2]?.padStart(6, '0'));
  }
}
