import { type Call, callerLeg, type Leg, otherLeg, type TimelineEntry } from '../call.js';
import type { LadderStep } from './draw.js';

/** The part of a call that its ladder is made of. */
export type LadderCall = Pick<
  Call,
  'direction' | 'gateway' | 'ended_by' | 'attempts' | 'transfers' | 'timeline'
>;

/** Made up by a node for a side that did not answer, as the timeline tells it. */
const MAYBE_SILENT = 408;
const NOT_SENT = 477;

/**
 * The SIP messages of a call that its timeline tells of, and what follows from them: a response that the proxy passes
 * on, and the INVITE to a gateway that answered it. ACKs, 100s and the responses to CANCEL and NOTIFY are not known.
 */
export function ladderOf(call: LadderCall): LadderStep[] {
  const ladder = new CallLadder(call);
  for (const entry of call.timeline) ladder.add(entry);
  return ladder.steps;
}

class CallLadder {
  readonly steps: LadderStep[] = [];
  readonly #call: LadderCall;
  readonly #caller: Leg;
  readonly #callee: Leg;
  readonly #byRetell: ReadonlySet<string>;
  /** Whether the caller's INVITE has been seen. */
  #invited = false;
  /** Whoever has an INVITE and has not refused it. */
  #tried: string | undefined;
  /** Since when the next one may have been tried. */
  #freeSince: number | undefined;

  constructor(call: LadderCall) {
    this.#call = call;
    this.#caller = callerLeg(call.direction);
    this.#callee = otherLeg(this.#caller);
    this.#byRetell = new Set(call.transfers.filter(({ source }) => source === 'retell').map(({ id }) => id));
  }

  add(entry: TimelineEntry): void {
    const { at, status, leg, reason } = entry;
    const gateway = String(entry.gateway ?? '');
    switch (entry.type) {
      case 'invite':
        this.#invited = true;
        this.#from(this.#caller, at, 'INVITE');
        break;
      case 'limited':
        this.#note(at, `limit reached: ${[entry.limit, entry.carrier].filter(Boolean).join(' ')}`);
        break;
      case 'fallback':
        this.#note(at, `to the fallback: ${reason}`);
        this.#tried = undefined;
        break;
      case 'ringing':
        this.#tryGateway(gateway, at);
        this.#pass(this.#callee, at, response(status, 'INVITE'));
        break;
      case 'attempt_failed':
        this.#refused(gateway, entry);
        break;
      case 'answered':
        this.#tryGateway(gateway, at);
        this.#pass(this.#callee, at, response(200, 'INVITE'));
        break;
      case 'failed':
        this.#failed(entry);
        break;
      case 'cancel_sent':
        this.#tryGateway(this.#tried ?? this.#call.gateway ?? '', at);
        this.#to(this.#callee, at, 'CANCEL');
        break;
      case 'cancel_answered':
        this.#from(this.#callee, at, response(status, 'INVITE'));
        break;
      case 'cancel_unanswered':
        this.#note(at, 'no final response to the INVITE after its CANCEL');
        break;
      case 'registered':
        break;
      case 'refusal_acked':
        this.#from(this.#caller, at, 'ACK');
        break;
      case 'hangup_requested':
        this.#note(at, `hangup by command of ${entry.by}`);
        break;
      case 'ended':
        this.#ended(entry);
        break;
      case 'bye_sent':
        this.#to(leg as Leg, at, 'BYE');
        break;
      case 'bye_answered':
        this.#from(leg as Leg, at, response(status, 'BYE'));
        break;
      case 'bye_confirmed':
        if (isSide(this.#call.ended_by))
          this.#pass(otherLeg(this.#call.ended_by), at, response(status, 'BYE'));
        break;
      default:
        this.#transfer(entry);
        return;
    }
    this.#freeSince = at;
  }

  #transfer(entry: TimelineEntry): void {
    const { at, code, transfer } = entry;
    const ofRetell = this.#byRetell.has(String(transfer));
    const told = (text: string) => {
      if (ofRetell) this.#pass('carrier', at, text);
      else this.#from('carrier', at, text);
    };
    switch (entry.type) {
      case 'transfer_requested':
        this.#note(at, `transfer to ${entry.to} by command of ${entry.by}`);
        break;
      case 'refer_sent':
        this.#to('carrier', at, 'REFER');
        break;
      case 'refer_received':
        this.#pass('retell', at, 'REFER');
        break;
      case 'refer_refused':
        this.#from('retell', at, 'REFER');
        this.#to('retell', at, response(code, 'REFER'));
        break;
      case 'refer_answered':
        told(response(code, 'REFER'));
        break;
      case 'refer_notified':
        told(['NOTIFY', code].filter((part) => part !== undefined).join(' '));
        break;
      case 'transfer_ended':
        this.#note(at, `transfer ${entry.outcome}`);
        break;
    }
  }

  #refused(gateway: string, { at, status, q850_cause }: TimelineEntry): void {
    if (status === NOT_SENT) {
      this.#note(at, `nothing could be sent to ${place(gateway)}`);
    } else {
      this.#tryGateway(gateway, at);
      this.#from(this.#callee, at, response(status, 'INVITE', q850_cause));
    }
    this.#tried = undefined;
  }

  /** It ended unanswered: what the last gateway said, where that was not told before, and what the caller got. */
  #failed({ at, status, reason }: TimelineEntry): void {
    const { attempts, ended_by, timeline } = this.#call;
    const last = attempts.find((attempt) => attempt.at === at);
    const gaveUp = ended_by === this.#caller;
    if (gaveUp) this.#from(this.#caller, at, 'CANCEL');
    const isHungUp = timeline.some(({ type }) => type.startsWith('cancel_'));
    if (last !== undefined && !isHungUp) {
      if (last.status !== NOT_SENT) this.#tryGateway(last.gateway, at);
      if (gaveUp || (ended_by === 'timeout' && last.ringing_at !== undefined))
        this.#to(this.#callee, at, 'CANCEL');
      if (ended_by !== 'timeout') this.#refused(last.gateway, { ...last, type: 'failed' });
    }
    if (reason !== undefined) this.#note(at, String(reason));
    else if (ended_by === 'timeout') this.#note(at, 'not answered in time');
    if (this.#invited && status !== undefined) this.#to(this.#caller, at, response(status, 'INVITE'));
  }

  #ended({ at, by, reason }: TimelineEntry): void {
    if (isSide(by)) this.#pass(by, at, 'BYE');
    else if (reason !== undefined) this.#note(at, String(reason));
  }

  #tryGateway(gateway: string, at: number): void {
    if (this.#tried === gateway) return;
    this.#tried = gateway;
    const text = ['INVITE', place(gateway)].join(' ').trim();
    const since = Math.min(this.#freeSince ?? at, at);
    this.steps.push({
      at: since,
      about: true,
      side: this.#callee,
      direction: 'in',
      text,
      isResponse: false,
    });
  }

  /** A side's message, which the proxy passes on to the other. */
  #pass(from: Leg, at: number, text: string): void {
    this.#from(from, at, text);
    this.#to(otherLeg(from), at, text);
  }

  #from(side: Leg, at: number, text: string): void {
    this.steps.push({ at, side, direction: 'out', text, isResponse: isResponse(text) });
  }

  #to(side: Leg, at: number, text: string): void {
    this.steps.push({ at, side, direction: 'in', text, isResponse: isResponse(text) });
  }

  #note(at: number, note: string): void {
    this.steps.push({ at, note });
  }
}

/** `486 (INVITE) Q.850 17`; a 408 may also be the proxy's word for silence. */
function response(status: unknown, method: string, q850Cause?: unknown): string {
  const what = `${status === MAYBE_SILENT ? '408 or silence' : status} (${method})`;
  return q850Cause === undefined ? what : `${what} Q.850 ${q850Cause}`;
}

function isResponse(text: string): boolean {
  return /^\d/.test(text);
}

function isSide(by: unknown): by is Leg {
  return by === 'carrier' || by === 'retell';
}

/** A gateway's URI, short: without its scheme and parameters. */
function place(uri: string): string {
  return uri.replace(/^sips?:/, '').replace(/;.*$/s, '');
}
