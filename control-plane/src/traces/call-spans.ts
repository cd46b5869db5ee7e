import { createHash } from 'node:crypto';
import { type Call, callerLeg, type Leg, otherLeg } from '../calls/call.js';
import { explain } from '../calls/explanation.js';
import { transferStateOf } from '../calls/transfer/transfer.js';

/** A part of a call with a begin and an end, in ms since 1970. */
export interface CallSpan {
  name: string;
  /** 16 hexadecimal digits, the same however often they are asked for. */
  id: string;
  startMs: number;
  endMs: number;
  attributes: Record<string, string | number>;
  failed: boolean;
}

/** The spans of an ended call: the whole of it, and its parts. */
export interface CallTrace {
  /** 32 hexadecimal digits: our id of the call without its dashes. */
  id: string;
  root: CallSpan;
  parts: CallSpan[];
}

/** Attempts, transfers and hangups of one call that have a span each. */
const MOST_OF_A_KIND = 20;
/** Longest text of an attribute. */
const LONGEST_TEXT = 512;

/** What an ended call was, as a trace. No attribute holds a telephone number. */
export function traceOf(call: Call): CallTrace {
  const start = call.invited_at ?? call.created_at;
  const end = call.ended_at ?? start;
  const span = (
    key: string,
    [startMs, endMs]: [number, number],
    attributes: Record<string, unknown> = {},
    failed = false,
  ): CallSpan => ({
    name: key.split('/')[0] as string,
    id: digest(`${call.id}/${key}`).slice(0, 16),
    startMs,
    endMs: Math.max(startMs, endMs),
    attributes: given(attributes),
    failed,
  });
  const setUp = call.answered_at ?? end;
  return {
    id: traceIdOf(call.id),
    root: span('call', [start, end], attributesOf(call), call.ended_by === 'failure'),
    parts: [
      span('setup', [start, setUp]),
      ...(call.ringing_at === undefined ? [] : [span('ringing', [call.ringing_at, setUp])]),
      ...call.attempts.slice(0, MOST_OF_A_KIND).map((attempt, index) => {
        const { carrier, gateway, status, q850_cause } = attempt;
        const began = index === 0 ? start : (call.attempts[index - 1]?.at ?? start);
        return span(
          `attempt/${index}`,
          [began, attempt.at],
          { carrier, gateway: hostOf(gateway), 'sip.status': status, q850_cause },
          status === undefined || status >= 300,
        );
      }),
      ...(call.answered_at === undefined ? [] : [span('talk', [call.answered_at, end])]),
      ...call.transfers.slice(0, MOST_OF_A_KIND).map((transfer) => {
        const state = transferStateOf(transfer);
        return span(
          `transfer/${transfer.id}`,
          [transfer.requested_at, transfer.end?.at ?? end],
          { source: transfer.source, state, 'sip.status': transfer.end?.status },
          ['rejected', 'failed', 'timed_out'].includes(state),
        );
      }),
      ...call.timeline
        .filter(({ type }) => type === 'hangup_requested')
        .slice(0, MOST_OF_A_KIND)
        .map((entry, index) => span(`hangup/${index}`, [entry.at, end], { ended_by: call.ended_by })),
      ...legsOf(call).flatMap((leg) => {
        const { sent_at, answered_at, status } = call.bye[leg];
        if (sent_at === undefined) return [];
        return [span(`bye/${leg}`, [sent_at, answered_at ?? sent_at], { leg, 'sip.status': status })];
      }),
    ],
  };
}

/** A number from 0 to 1, the same for a call at every replica. */
export function shareOf(callId: string): number {
  return Number.parseInt(digest(callId).slice(0, 8), 16) / 2 ** 32;
}

function attributesOf(call: Call): Record<string, unknown> {
  return {
    'call.id': call.id,
    direction: call.direction,
    carrier: call.carrier,
    gateway: call.gateway && hostOf(call.gateway),
    node: call.node || undefined,
    'sip.status': call.sip_status,
    ended_by: call.ended_by,
    reason: call.reason,
    q850_cause: call.q850_cause,
    'retell.agent_id': call.agent_id,
    'retell.disconnection_reason': call.retell_disconnection_reason,
    explanation: explain(call),
  };
}

/** The ids of Kamailio and of the API are UUIDs, which are as long as a trace's. */
function traceIdOf(callId: string): string {
  const digits = callId.replaceAll('-', '').toLowerCase();
  return /^(?!0*$)[0-9a-f]{32}$/.test(digits) ? digits : digest(callId).slice(0, 32);
}

function legsOf(call: Call): Leg[] {
  const caller = callerLeg(call.direction);
  return [caller, otherLeg(caller)];
}

/** A fallback's address has a number before its host. */
function hostOf(uri: string): string {
  return uri.replace(/^(sips?:)[^@]*@/, '$1');
}

function given(attributes: Record<string, unknown>): Record<string, string | number> {
  const known: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'number') known[name] = value;
    // Peers write what they like into their reasons.
    if (typeof value === 'string') known[name] = withoutNumbers(value, name).slice(0, LONGEST_TEXT);
  }
  return known;
}

function withoutNumbers(text: string, name: string): string {
  return ['reason', 'explanation'].includes(name) ? text.replace(/\+?\d{7,}/g, '***') : text;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
