import { codecOf } from './codec.js';
import type { AnsweredEvent, LimitedEvent, SipEvent, TransferEvent } from './events.js';
import { microsOf } from './micros.js';

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
        transferred_from: f.base64('transferred_from') || undefined,
        caller_call: f.optional('caller_call'),
      };
    case 'attempt_failed':
      return {
        type,
        at,
        id: f.text('id'),
        owner: f.text('callee') === 'retell' ? 'retell' : f.text('carrier'),
        gateway: f.base64('gateway'),
        code: f.integer('code'),
        cause: f.base64('cause') || undefined,
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
    case 'refer_sent':
    case 'refer_answered':
    case 'refer_notified':
    case 'refer_received':
    case 'refer_refused':
      return parseTransfer(type, f, at);
    case 'ended':
      return {
        type,
        at,
        id: f.text('id'),
        by: f.text('by'),
        reason: f.base64('reason') || undefined,
        cause: f.base64('cause') || undefined,
        transfer: f.optional('transfer'),
      };
    case 'bye_confirmed':
      return { type, at, id: f.text('id'), code: f.integer('code') };
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
        cause: f.base64('cause') || undefined,
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
        cause: f.base64('cause') || undefined,
        transfer: f.optional('transfer'),
      };
    default:
      throw new EventFormatError(`an event of unknown type ${JSON.stringify(type)}`);
  }
}

function parseTransfer(type: TransferEvent['type'], f: Fields, at: number): TransferEvent {
  const base = { at, id: f.text('id'), transfer: f.text('transfer') };
  switch (type) {
    case 'refer_sent':
      return { type, ...base, cseq: f.integer('cseq') };
    case 'refer_answered':
      return {
        type,
        ...base,
        cseq: f.integer('cseq'),
        code: f.integer('code'),
        challenge: f.base64('challenge') || undefined,
      };
    case 'refer_notified':
      return { type, ...base, code: f.optionalInteger('code'), subscription: f.base64('subscription') };
    case 'refer_received':
      return {
        type,
        ...base,
        refer_to: f.base64('refer_to'),
        destination: f.base64('destination'),
        timeout_s: f.integer('timeout_s'),
      };
    case 'refer_refused':
      return {
        type,
        ...base,
        refer_to: f.base64('refer_to'),
        code: f.integer('code'),
        reason: f.base64('reason'),
      };
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
    codec: codecOf(f.base64('audio'), f.base64('rtpmap')),
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

  micros(name: string): number {
    const micros = microsOf(this.text(name));
    if (micros === undefined) throw new EventFormatError(`an event whose ${name} is no time`);
    return micros;
  }
}
