import type { AnsweredEvent } from '../kamailio/events.js';
import type { Attempt } from './attempts.js';
import type { Delays } from './delays.js';
import type { RetellDetails } from './retell-details.js';
import type { Transfer } from './transfer/transfer.js';

export type CallState = 'routing' | 'ringing' | 'answered' | 'ended';
export type Direction = 'inbound' | 'outbound';
export type Leg = 'carrier' | 'retell';
export type EndedBy = 'carrier' | 'retell' | 'api' | 'function' | 'timeout' | 'reaper' | 'failure';

/** What happened in a call, when (ms since 1970, with fractions), and the details of it. */
export interface TimelineEntry {
  at: number;
  type: string;
  [detail: string]: unknown;
}

/** What the wire said about the BYE that we sent to one leg. */
export interface ByeResult {
  /** ms since 1970 */
  sent_at?: number;
  /** ms since 1970 */
  answered_at?: number;
  /** status of the leg's final reply */
  status?: number;
}

/** What the wire said of a call that we ended before its answer. */
export interface Refusal {
  /** when a CANCEL was sent to the callee, in ms since 1970 */
  cancel_sent_at?: number;
  /** the callee's final response to the INVITE */
  cancel_status?: number;
  /** the callee was given up without a final response */
  unanswered?: boolean;
  /** when the caller took our final response, in ms since 1970 */
  acked_at?: number;
}

/** What told that one call continues another: a header, whose number it shows, or that it comes from the same number. */
export type TieEvidence = 'header' | 'caller' | 'numbers';

/** The other call of a transfer by a second call. */
export interface Tie {
  call_id: string;
  by: TieEvidence;
}

/**
 * What told that a call of Retell's is this one: the answer to its registration or creation, the inbound webhook, our id
 * in its metadata, headers or dynamic variables, or its numbers and time, where only one call had them.
 */
export type MatchedBy =
  | 'register'
  | 'create'
  | 'call_inbound'
  | 'metadata'
  | 'header'
  | 'dynamic_variable'
  | 'numbers';

/** How a request within the call's dialog is addressed: both legs, as of the answer. */
export type DialogIdentity = Pick<
  AnsweredEvent,
  'h_entry' | 'h_id' | 'from_uri' | 'to_uri' | 'caller' | 'callee'
>;

/** One call: one record, one dialog. All times are ms since 1970. */
export interface Call extends Delays {
  id: string;
  direction: Direction;
  /** address:port of the INVITE */
  source: string | undefined;
  carrier: string | undefined;
  gateway: string | undefined;
  node: string;
  number: string | undefined;
  from: string | undefined;
  to: string | undefined;
  sip_call_id: string | undefined;
  /** tag of the side that called */
  from_tag: string | undefined;
  /** Retell's id of the call. Whoever knows it before the answer can join the call: never log it. */
  retell_call_id: string | undefined;
  retell_matched_by: MatchedBy | undefined;
  /** Retell's agent: the one that was asked for, or that Retell told */
  agent_id: string | undefined;
  /** When it was asked for, where a command did that, else when its INVITE came. */
  created_at: number;
  /** Name of the token that asked for it, where a command did. */
  requested_by: string | undefined;
  /** When its INVITE came. */
  invited_at: number | undefined;
  ringing_at: number | undefined;
  answered_at: number | undefined;
  /** How long it may last from the answer, in s. */
  max_duration_s: number | undefined;
  ended_at: number | undefined;
  ended_by: EndedBy | undefined;
  sip_status: number | undefined;
  /** why the proxy ended or refused it */
  reason: string | undefined;
  /** Q.850 cause of a side's BYE; unanswered, of the last gateway's final response */
  q850_cause: number | undefined;
  /** what that BYE or response says of itself, in the peer's words */
  reason_text: string | undefined;
  /** of the audio in the 200 */
  codec: string | undefined;
  /** when Retell's call ended, by its own word */
  retell_ended_at: number | undefined;
  retell_disconnection_reason: string | undefined;
  /** what else Retell told of it */
  readonly retell: RetellDetails;
  /** when we stopped it at Retell, where it went on after its end here */
  retell_stopped_at: number | undefined;
  /** when its data was erased: most of it is undefined since then */
  erased_at: number | undefined;
  dialog: DialogIdentity | undefined;
  bye: Record<Leg, ByeResult>;
  refusal: Refusal;
  /** what the first hangup by command, if there is one, wanted `ended_by` to be */
  hangup_ended_by: EndedBy | undefined;
  /** the oldest first */
  readonly transfers: Transfer[];
  /** the call that Retell transferred with this one */
  transferred_from: Tie | undefined;
  /** the calls that Retell placed to transfer this one */
  readonly transferred_to: Tie[];
  /** the gateways that were tried and have had their end, in order */
  readonly attempts: Attempt[];
  readonly timeline: TimelineEntry[];
}

/**
 * A call's state follows from what has happened to it, so that events may come late, twice or in any
 * order: an end is final.
 */
export function stateOf(call: Pick<Call, 'ringing_at' | 'answered_at' | 'ended_at'>): CallState {
  if (call.ended_at !== undefined) return 'ended';
  if (call.answered_at !== undefined) return 'answered';
  if (call.ringing_at !== undefined) return 'ringing';
  return 'routing';
}

/** Whether Retell was asked for the call and its INVITE has never come: no node has it. */
export function isUnplaced(call: Pick<Call, 'requested_by' | 'sip_call_id'>): boolean {
  return call.requested_by !== undefined && call.sip_call_id === undefined;
}

/** The leg of the side that called. */
export function callerLeg(direction: Direction): Leg {
  return direction === 'inbound' ? 'carrier' : 'retell';
}

/** The other one. */
export function otherLeg(leg: Leg): Leg {
  return leg === 'carrier' ? 'retell' : 'carrier';
}

/** The leg that has this tag in the call's dialog. The callee's tag is any that is not the caller's. */
export function legOfTag(call: Pick<Call, 'direction' | 'from_tag'>, tag: string): Leg {
  const caller = callerLeg(call.direction);
  return tag === call.from_tag ? caller : otherLeg(caller);
}
