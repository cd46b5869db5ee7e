import { type Call, callerLeg, type Leg, stateOf } from '../call.js';

/**
 * `ended`: every leg confirmed its end. `partial`: one did. `failed`: none did, or nothing could be sent.
 * `already_ended`: the call had ended, or its own side hung up first.
 */
export type HangupOutcome = 'ended' | 'already_ended' | 'partial' | 'failed';

export interface LegOutcome {
  leg: Leg;
  /**
   * The request whose transaction ended the leg: BYE; CANCEL to a callee that had not answered; INVITE for a caller
   * that got our final response to its own; null where nothing was sent to this leg.
   */
  method: 'BYE' | 'CANCEL' | 'INVITE' | null;
  /**
   * The reply to the BYE, the callee's final response to the canceled INVITE, or the response to its INVITE that the
   * caller acknowledged; `timeout` where that never came, null where nothing was sent.
   */
  status: number | 'timeout' | null;
  /** How often the request, or the caller's response, was sent, without SIP's own retransmissions. */
  sent: number;
}

export interface HangupResult {
  outcome: HangupOutcome;
  legs: LegOutcome[];
}

/** What the wire said about the end of each leg so far. */
export function legsOf(call: Call): LegOutcome[] {
  return [legOf(call, 'carrier'), legOf(call, 'retell')];
}

/** The result of a hangup once nothing more can come, or undefined while it can. */
export function resultOf(call: Call): HangupResult | undefined {
  const legs = legsOf(call);
  const sides = [call.bye.carrier, call.bye.retell];
  if (sides.every(({ status }) => status !== undefined)) return { outcome: 'ended', legs };
  if (stateOf(call) !== 'ended') return undefined;
  if (!isEndedByUs(call)) {
    // What we sent all the same, because it crossed, is still answered.
    const isAwaited = legs.some(({ status }) => status === 'timeout');
    return isAwaited ? undefined : { outcome: 'already_ended', legs };
  }
  if (call.answered_at !== undefined || call.refusal.acked_at === undefined) return undefined;
  const callee = legs.find(({ leg }) => leg !== callerLeg(call.direction));
  if (typeof callee?.status === 'number' || callee?.method === null) return { outcome: 'ended', legs };
  return call.refusal.unanswered ? { outcome: 'partial', legs } : undefined;
}

/** The result of a hangup whose time is over. */
export function lateResultOf(call: Call): HangupResult {
  const legs = legsOf(call);
  if (stateOf(call) === 'ended' && !isEndedByUs(call)) return { outcome: 'already_ended', legs };
  const confirmed = legs.some(({ status }) => typeof status === 'number');
  return { outcome: confirmed ? 'partial' : 'failed', legs };
}

/** The legs of an answered call that no BYE was sent to. */
export function legsWithoutBye(call: Call): Leg[] {
  return legsOf(call)
    .filter(({ method }) => method !== 'BYE')
    .map(({ leg }) => leg);
}

/**
 * Whether the end came from the proxy, so that both sides had to be told. Kamailio's own time limit counts for
 * answered calls; where a call rings too long, its end is none of a hangup's.
 */
export function isEndedByUs(call: Call): boolean {
  const { ended_by: by } = call;
  if (by === undefined || by === 'carrier' || by === 'retell' || by === 'failure') return false;
  return by !== 'timeout' || call.answered_at !== undefined || call.hangup_ended_by !== undefined;
}

function legOf(call: Call, leg: Leg): LegOutcome {
  const { sent_at, status } = call.bye[leg];
  if (sent_at !== undefined || status !== undefined) {
    const sent = call.timeline.filter((entry) => entry.type === 'bye_sent' && entry.leg === leg).length;
    return { leg, method: 'BYE', status: status ?? 'timeout', sent: Math.max(sent, 1) };
  }
  const nothing: LegOutcome = { leg, method: null, status: null, sent: 0 };
  if (call.answered_at !== undefined) return nothing;
  return (
    (leg === callerLeg(call.direction) ? refusedCaller(call, leg) : canceledCallee(call, leg)) ?? nothing
  );
}

function refusedCaller(call: Call, leg: Leg): LegOutcome | undefined {
  const { acked_at } = call.refusal;
  if (!isEndedByUs(call) || call.sip_status === undefined) return undefined;
  return { leg, method: 'INVITE', status: acked_at === undefined ? 'timeout' : call.sip_status, sent: 1 };
}

function canceledCallee(call: Call, leg: Leg): LegOutcome | undefined {
  const { cancel_sent_at, cancel_status, unanswered } = call.refusal;
  if (cancel_status === undefined && cancel_sent_at === undefined && !unanswered) return undefined;
  // A callee that never said anything must not be sent a CANCEL (RFC 3261 section 9.1).
  const sent = cancel_status === undefined && cancel_sent_at === undefined ? 0 : 1;
  return { leg, method: 'CANCEL', status: cancel_status ?? 'timeout', sent };
}
