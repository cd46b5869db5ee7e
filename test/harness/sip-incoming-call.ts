import { type IncomingRequest, SipCall } from './sip-call.js';
import { type ChallengeOptions, challengeHeader } from './sip-digest.js';
import type { Header, SipMessage } from './sip-message.js';
import { makeResponse, merge, type ServerTransaction, type SipCore } from './sip-transaction.js';
import { parseNameAddr } from './sip-values.js';

export interface AnswerOptions {
  readonly headers?: readonly Header[];
  /** An SDP answer of PCMU and telephone events if left out; `''` for none. */
  readonly body?: string;
}

/** A call that this peer receives (RFC 3261 13.3). Nothing is answered until the script says so. */
export class IncomingCall extends SipCall {
  /** The INVITE as received. */
  readonly message: SipMessage;
  /** Resolves with the first ACK, be it of a 2xx or of a refusal. */
  readonly acked: Promise<SipMessage>;
  /** Resolves with the CANCEL, answered already unless {@link autoCancel} is off. */
  readonly canceled: Promise<IncomingRequest>;
  /** Answer a CANCEL with 200 and the INVITE with 487; set to `false` to do both by hand. */
  autoCancel = true;

  protected override local: string;
  protected override remote: string;
  protected override remoteTarget: string;
  readonly #transaction: ServerTransaction;
  readonly #defaultBody: string;
  #onAck: (ack: SipMessage) => void = () => undefined;
  #onCancel: (cancel: IncomingRequest) => void = () => undefined;

  constructor(
    core: SipCore,
    transaction: ServerTransaction,
    user: string,
    defaults: { body: string; autoAnswer: boolean },
  ) {
    const invite = transaction.request;
    super(core, { callId: invite.callId, localTag: core.newId(), user }, defaults.autoAnswer);
    this.message = invite;
    this.local = `${invite.get('to')};tag=${this.localTag}`;
    this.remote = invite.get('from') ?? '';
    this.remoteTarget = parseNameAddr(invite.list('contact')[0] ?? this.remote).uri;
    // RFC 3261 12.1.1: the route set is the Record-Route in its order.
    this.routeSet = invite.list('record-route');
    this.remoteCseq = invite.cseq;
    this.#transaction = transaction;
    this.#defaultBody = defaults.body;
    this.expectAck(transaction);
    this.acked = new Promise((resolve) => {
      this.#onAck = resolve;
    });
    this.canceled = new Promise((resolve) => {
      this.#onCancel = resolve;
    });
  }

  /** The status of the last response to the INVITE; 0 before the first one. */
  get status(): number {
    return this.#transaction.status;
  }

  /** Sets the user part of this side's Contact; it is that of the Request-URI otherwise. */
  set contactUser(user: string) {
    this.contact = this.core.contact(user);
  }

  /** Sends a provisional response: 100, 180, 183 ... */
  ring(status = 180, headers: readonly Header[] = [], body?: string): void {
    this.#respond(status, undefined, status === 100 ? headers : this.#withContact(headers), body);
  }

  /** Sends 183, or another 18x, with SDP: early media. */
  earlyMedia(status = 183, headers: readonly Header[] = []): void {
    this.ring(status, headers, this.#defaultBody);
  }

  /** Sends 200, repeated until the ACK comes (RFC 3261 13.3.1.4). */
  answer({ headers = [], body = this.#defaultBody }: AnswerOptions = {}): void {
    this.#respond(200, undefined, this.#withContact(headers), body);
  }

  /** Sends a final response of 300 or more, over UDP repeated until the ACK comes. */
  refuse(status: number, reason?: string, headers: readonly Header[] = []): void {
    this.#respond(status, reason, headers);
    this.finish('failed');
  }

  /** Refuses with 401 or 407 and asks for credentials; the INVITE that bears them is a new call. */
  challenge(options: ChallengeOptions = {}): void {
    this.refuse(options.status ?? 407, undefined, [challengeHeader(options)]);
  }

  /** @internal */
  override receiveAck(message: SipMessage): void {
    super.receiveAck(message);
    if (message.cseq === this.message.cseq) this.#onAck(message);
  }

  /** @internal */
  receiveCancel(request: IncomingRequest): void {
    if (this.autoCancel) {
      request.reply(200);
      if (this.status < 200) this.refuse(487);
    }
    this.#onCancel(request);
  }

  #withContact(headers: readonly Header[]): readonly Header[] {
    return merge([['Contact', this.contact]], headers, undefined);
  }

  #respond(status: number, reason: string | undefined, headers: readonly Header[], body?: string): void {
    if (this.status >= 200) {
      throw new Error(`cannot send ${status}: call ${this.callId} was already answered ${this.status}`);
    }
    const parts = { toTag: this.localTag, headers, ...(body === undefined ? {} : { body }) };
    this.#transaction.respond(makeResponse(this.message, status, reason, parts));
  }
}
