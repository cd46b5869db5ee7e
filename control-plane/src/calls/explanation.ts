import { type Call, callerLeg, type Leg, otherLeg, stateOf } from './call.js';
import { durationText } from './duration-text.js';
import { transferStateOf } from './transfer/transfer.js';

/** What a refusal of an INVITE means, by its status (RFC 3261 section 21). */
const REFUSALS: Readonly<Record<number, string>> = {
  403: 'forbidden',
  404: 'number unknown',
  408: 'no response in time',
  410: 'number gone',
  480: 'not available',
  484: 'number not complete',
  486: 'busy',
  487: 'cancelled',
  488: 'no common codec or transport of media',
  500: 'error there',
  502: 'error behind it',
  503: 'not in service',
  600: 'busy everywhere',
  603: 'declined',
  604: 'number does not exist anywhere',
  607: 'unwanted',
  608: 'rejected as unwanted',
};

/** What Retell's reason adds to a BYE or a refusal of Retell's (retell.md 3.1). */
const RETELLS_REASONS: Readonly<Record<string, string>> = {
  agent_hangup: 'the agent hung up',
  call_transfer: 'the agent had transferred the call',
  concurrency_limit_reached: 'as many calls as may were up at Retell',
  error_no_audio_received: 'it received no audio from the carrier',
  inactivity: 'nobody had said anything for too long',
  ivr_reached: 'an automatic voice answered',
  manual_stopped: 'somebody stopped it there',
  max_duration_reached: 'it had lasted as long as the agent lets it',
  no_valid_payment: 'the account has no valid payment',
  registered_call_timeout: 'nobody had dialled the registered call in time',
  scam_detected: 'it was taken for a scam',
  user_hangup: 'the user had hung up by its word',
  voicemail_reached: 'a voicemail answered',
};

/** Reasons of Retell's that say no more than that the carrier's side hung up. */
const USER_HUNG_UP: ReadonlySet<string> = new Set(['user_hangup', 'user_declined']);

/**
 * Who ended the call and why, in one sentence that joins what SIP and what Retell tell.
 *
 * @returns undefined while the call is up
 */
export function explain(call: Call): string | undefined {
  if (stateOf(call) !== 'ended') return undefined;
  const main = call.answered_at === undefined ? endOfAttempt(call) : endOfCall(call);
  return `${capital([main, ...additions(call)].join('; '))}.`;
}

/** The end of a call that was answered. */
function endOfCall(call: Call): string {
  const after = `after ${durationText((call.ended_at ?? 0) - (call.answered_at ?? 0))}`;
  switch (call.ended_by) {
    case 'carrier':
      return `${party('carrier', call)} hung up ${after}${retellDiffers(call)}`;
    case 'retell':
      return `Retell ended the call ${after}${becauseRetell(call)}`;
    case 'api':
      return `${transferred(call) ?? `it was hung up by command${byWhom(call)}`} ${after}`;
    case 'function':
      return `${transferred(call) ?? 'the agent ended the call by its function'} ${after}`;
    case 'timeout':
      return timedOut(call, after);
    case 'reaper':
      return call.reason === undefined
        ? `it was hung up ${after}, as it had ended at Retell${reasonOfRetell(call)}`
        : `its record was closed ${after}: ${call.reason}`;
    default:
      return `it was lost ${after}${call.reason === undefined ? '' : `: ${call.reason}`}`;
  }
}

function timedOut(call: Call, after: string): string {
  if (call.reason === 'peer gone') return `it was hung up ${after}, as one side did not answer any more`;
  if (call.reason === undefined) return `it was hung up ${after} by a time limit`;
  return `it was hung up ${after}: ${call.reason}`;
}

/** The end of a call that was not answered. */
function endOfAttempt(call: Call): string {
  const caller = callerLeg(call.direction);
  const after = durationText((call.ended_at ?? 0) - (call.ringing_at ?? call.created_at));
  const waited =
    call.ringing_at === undefined ? `after ${after}, before it rang` : `after ${after} of ringing`;
  switch (call.ended_by) {
    case 'carrier':
    case 'retell':
      if (call.ended_by === caller) return `${party(caller, call)} gave up ${waited}`;
      return refused(call, caller);
    case 'api':
    case 'function':
    case 'reaper':
      return `it was hung up by command${byWhom(call)} ${waited}`;
    case 'timeout':
      return `nobody answered: it was given up ${waited}`;
    default:
      if (call.reason !== undefined) return refusedHere(call, call.reason);
      return refused(call, caller);
  }
}

/** The proxy itself refused it, or what it has asked has. */
function refusedHere(call: Call, reason: string): string {
  const status = call.sip_status === undefined ? '' : ` with ${call.sip_status}`;
  const what =
    call.sip_call_id === undefined ? 'the call was not placed' : `the proxy refused the call${status}`;
  return `${what}: ${reason}`;
}

function refused(call: Call, caller: Leg): string {
  const callee = party(otherLeg(caller), call);
  if (call.sip_status === undefined) return 'it ended without an answer, and nobody told why';
  const meaning = REFUSALS[call.sip_status] ?? call.reason_text;
  return `${callee} refused the call with ${call.sip_status}${meaning === undefined ? '' : ` (${meaning})`}`;
}

/** What else there is to say, each as a clause. */
function* additions(call: Call): Generator<string> {
  const fallback = call.timeline.find(({ type }) => type === 'fallback');
  if (fallback !== undefined)
    yield `Retell had not taken it (${fallback.reason}), and it went to the fallback`;
  if (call.answered_at === undefined) yield* earlierAttempts(call);
  if (call.answered_at === undefined && call.retell_disconnection_reason !== undefined)
    yield `Retell says ${call.retell_disconnection_reason}`;
  for (const leg of ['carrier', 'retell'] as const) {
    const { sent_at, status } = call.bye[leg];
    if (sent_at !== undefined && status === undefined) yield `${side(leg, call)} has not answered the BYE`;
  }
  if (call.retell_stopped_at !== undefined) {
    const late = durationText(call.retell_stopped_at - (call.ended_at ?? 0));
    yield `at Retell it went on and was stopped ${late} later`;
  }
}

/** Who had refused the call before, or where the proxy gave up itself, who had at all. */
function* earlierAttempts(call: Call): Generator<string> {
  const before = call.reason === undefined ? call.attempts.slice(0, -1) : call.attempts;
  if (before.length === 0) return;
  const refusals = before.map(
    ({ carrier, gateway, status }) => `${carrier ?? gateway} with ${status ?? 'nothing'}`,
  );
  yield `it had been refused by ${refusals.join(', ')}`;
}

/** Where the carrier's side hung up and Retell gives another reason. */
function retellDiffers({ retell_disconnection_reason: reason }: Call): string {
  if (reason === undefined || USER_HUNG_UP.has(reason)) return '';
  return `, while Retell says ${reason}`;
}

function becauseRetell(call: Call): string {
  const { retell_disconnection_reason: reason } = call;
  if (reason === undefined) return ' and has not told why';
  const why = RETELLS_REASONS[reason];
  if (why !== undefined) return `, as ${why} (${reason})`;
  return reason.startsWith('error_') ? `, for an error of its own (${reason})` : ` (${reason})`;
}

function reasonOfRetell({ retell_disconnection_reason: reason }: Call): string {
  return reason === undefined ? '' : ` (${reason})`;
}

/** The call ended because its caller was sent on. */
function transferred(call: Call): string | undefined {
  const transfer = call.transfers.findLast((one) => transferStateOf(one) === 'succeeded');
  if (transfer === undefined) return undefined;
  return `the caller was transferred to ${transfer.to}${transfer.source === 'api' ? ' by command' : ' by the agent'}`;
}

function byWhom(call: Call): string {
  const command = call.timeline.find(({ type }) => type === 'hangup_requested');
  if (command === undefined) return '';
  return ` of ${command.by}${command.reason === undefined ? '' : ` (${command.reason})`}`;
}

/** Whom the leg reaches: the carrier's caller or callee, or Retell. */
function party(leg: Leg, { direction, carrier }: Call): string {
  if (leg === 'retell') return 'Retell';
  if (direction === 'inbound') return 'the caller';
  return carrier === undefined ? 'the called side' : `the called side at ${carrier}`;
}

function side(leg: Leg, call: Call): string {
  return leg === 'retell' ? 'Retell' : (call.carrier ?? 'the carrier');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
