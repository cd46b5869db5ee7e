import { PATIENCE_MS } from './await.js';
import { Mailbox } from './mailbox.js';
import { type Header, SipMessage } from './sip-message.js';
import {
  ClientTransaction,
  later,
  makeResponse,
  merge,
  type ServerTransaction,
  type SipCore,
} from './sip-transaction.js';
import type { Remote } from './sip-transport.js';
import { parseNameAddr, parseUri, tagOf } from './sip-values.js';

/** Who ended a call: this peer's BYE, the far end's, or nobody because it was never set up. */
export type EndedBy = 'local' | 'remote' | 'failed';

export type RequestHandler = (request: IncomingRequest) => void;

export interface RequestOptions {
  readonly headers?: readonly Header[];
  readonly body?: string;
}

/** Methods answered 200 in a dialog when nothing else was asked for. */
const ANSWERED_BY_DEFAULT = new Set(['BYE', 'OPTIONS', 'INFO', 'UPDATE', 'NOTIFY']);
/** Requests that carry a Contact (RFC 3261 table 2, RFC 3311, RFC 3515, RFC 6665). */
const WITH_CONTACT = new Set(['INVITE', 'UPDATE', 'REFER', 'NOTIFY', 'SUBSCRIBE', 'OPTIONS']);
const TARGET_REFRESH = new Set(['INVITE', 'UPDATE']);
/** Answers to a BYE after which the dialog is over all the same (RFC 3261 15.1.1). */
const GONE = new Set([408, 481]);

/** A request that waits for its answer, in or out of a dialog. */
export class IncomingRequest {
  readonly message: SipMessage;
  readonly #transaction: ServerTransaction;
  readonly #toTag: string;
  readonly #contact: string;
  readonly #onFinal: ((status: number) => void) | undefined;

  constructor(
    transaction: ServerTransaction,
    local: { toTag: string; contact: string },
    onFinal?: (status: number) => void,
  ) {
    this.message = transaction.request;
    this.#transaction = transaction;
    this.#toTag = local.toTag;
    this.#contact = local.contact;
    this.#onFinal = onFinal;
  }

  get method(): string {
    return this.message.method;
  }

  /** The status of the last answer given; 0 while there is none. */
  get status(): number {
    return this.#transaction.status;
  }

  /**
   * Answers; several provisional answers may come before the final one.
   * @throws Error if a final answer was given before, also by default.
   */
  reply(status: number, reason?: string, headers: readonly Header[] = [], body?: string): void {
    if (this.status >= 200) throw new Error(`${this.message.summary} was already answered ${this.status}`);
    const contact: Header[] =
      WITH_CONTACT.has(this.method) && status < 300 ? [['Contact', this.#contact]] : [];
    this.#transaction.respond(
      makeResponse(this.message, status, reason, {
        toTag: this.#toTag,
        headers: merge(contact, headers, undefined),
        ...(body === undefined ? {} : { body }),
      }),
    );
    if (status >= 200) this.#onFinal?.(status);
  }
}

/** The side of the dialog that calls of both directions share (RFC 3261 12). */
export abstract class SipCall {
  readonly callId: string;
  readonly localTag: string;
  /** Resolves when the dialog is over or was never set up. */
  readonly ended: Promise<EndedBy>;
  /** Answer BYE, OPTIONS, INFO, UPDATE and NOTIFY with 200 unless a handler is set. */
  autoAnswer: boolean;

  protected readonly core: SipCore;
  protected contact: string;
  /** From and To as this side writes them. */
  protected abstract local: string;
  protected abstract remote: string;
  protected abstract remoteTarget: string;
  protected routeSet: readonly string[] = [];
  protected localCseq = 0;
  protected remoteCseq = 0;

  readonly #handlers = new Map<string, RequestHandler>();
  readonly #requests: Mailbox<IncomingRequest>;
  readonly #unacknowledged = new Map<number, ServerTransaction>();
  readonly #acksSent = new Map<number, { message: SipMessage; remote: Remote }>();
  readonly #acksSeen = new Set<string>();
  #over = false;
  #end: (by: EndedBy) => void = () => undefined;

  constructor(core: SipCore, ids: { callId: string; localTag: string; user: string }, autoAnswer: boolean) {
    this.core = core;
    this.callId = ids.callId;
    this.localTag = ids.localTag;
    this.contact = core.contact(ids.user);
    this.autoAnswer = autoAnswer;
    this.#requests = new Mailbox({
      summarise: (request) => request.message.summary,
      keep: core.keepHistory,
      consume: true,
    });
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** The far end's tag; empty before it is known. */
  get remoteTag(): string {
    return tagOf(this.remote);
  }

  /** Answers requests of this method by hand: at once, later, with any status, or never. */
  on(method: string, handler: RequestHandler): this {
    this.#handlers.set(method, handler);
    return this;
  }

  /**
   * The next in-dialog request of this method that was not taken yet. It may be answered already: see
   * {@link autoAnswer}, {@link on} and `request.status`.
   * @throws Error after `timeoutMs`, listing the requests that did come.
   */
  next(method: string, timeoutMs = PATIENCE_MS): Promise<IncomingRequest> {
    return this.#requests.take(
      (request) => request.method === method,
      `${method} in call ${this.callId}`,
      timeoutMs,
    );
  }

  /**
   * Sends any request in the dialog and resolves with its final response, made up (408, 503) if none comes.
   * The 2xx of a re-INVITE is acknowledged.
   */
  request(method: string, options: RequestOptions = {}): Promise<SipMessage> {
    this.localCseq += 1;
    const cseq = this.localCseq;
    const message = this.#build(method, cseq, options);
    return new Promise((resolve) => {
      const transaction = new ClientTransaction(this.core, message, this.#nextHop(), (response, repeated) => {
        if (response.status < 200) return;
        if (repeated) return this.repeatAck(response);
        if (response.status < 300 && TARGET_REFRESH.has(method)) this.#refreshTarget(response);
        if (response.status < 300 && method === 'INVITE') this.acknowledge(response);
        resolve(response);
      });
      transaction.start();
    });
  }

  /** Sends BYE; resolves with the answer. */
  async bye(headers: readonly Header[] = []): Promise<SipMessage> {
    const response = await this.request('BYE', { headers });
    if (response.status < 300 || GONE.has(response.status)) this.finish('local');
    return response;
  }

  /** @internal A request in this dialog, not seen before; ACK and CANCEL excepted. */
  receive(transaction: ServerTransaction): void {
    const message = transaction.request;
    const request = new IncomingRequest(
      transaction,
      { toTag: this.localTag, contact: this.contact },
      (status) => {
        if (message.method === 'BYE' && status < 300) this.finish('remote');
      },
    );
    // RFC 3261 12.2.2: a lower number than the last one is out of order.
    if (message.cseq < this.remoteCseq) {
      request.reply(500, 'CSeq Out Of Order');
      return;
    }
    this.remoteCseq = message.cseq;
    if (TARGET_REFRESH.has(message.method)) this.#refreshTarget(message);
    if (message.method === 'INVITE') this.#unacknowledged.set(message.cseq, transaction);
    const handler = this.#handlers.get(message.method);
    if (handler) handler(request);
    else if (this.#over) request.reply(481);
    else if (this.autoAnswer && ANSWERED_BY_DEFAULT.has(message.method)) request.reply(200);
    this.#requests.push(request);
  }

  /** @internal */
  receiveAck(message: SipMessage): void {
    this.#acksSeen.add(message.raw);
    this.#unacknowledged.get(message.cseq)?.acknowledge();
    this.#unacknowledged.delete(message.cseq);
  }

  /** @internal Whether this very ACK came before. */
  isRepeatedAck(message: SipMessage): boolean {
    return this.#acksSeen.has(message.raw);
  }

  /** @internal Ends every open wait. */
  close(why: string): void {
    this.#requests.close(why);
  }

  protected expectAck(transaction: ServerTransaction): void {
    this.#unacknowledged.set(transaction.request.cseq, transaction);
  }

  /** Sends the ACK of a 2xx (RFC 3261 13.2.2.4). */
  protected acknowledge(response: SipMessage): void {
    const ack = { message: this.#build('ACK', response.cseq, {}), remote: this.#nextHop() };
    this.#acksSent.set(response.cseq, ack);
    this.core.transmit(ack.message, ack.remote, false);
  }

  /** A repeated 2xx means that the ACK was lost; one that was left out on purpose stays left out. */
  protected repeatAck(response: SipMessage): void {
    const ack = this.#acksSent.get(response.cseq);
    if (ack) this.core.transmit(ack.message, ack.remote, true);
  }

  protected finish(by: EndedBy): void {
    if (this.#over) return;
    this.#over = true;
    this.#end(by);
    later(this.core.lingerMs, () => this.core.removeCall(this));
  }

  #refreshTarget(message: SipMessage): void {
    const contact = message.list('contact')[0];
    if (contact) this.remoteTarget = parseNameAddr(contact).uri;
  }

  #nextHop(): Remote {
    const { host, port } = parseUri(parseNameAddr(this.routeSet[0] ?? this.remoteTarget).uri);
    return this.core.resolve(host, port);
  }

  #build(method: string, cseq: number, { headers = [], body }: RequestOptions): SipMessage {
    const defaults: Header[] = [
      ['Via', this.core.via()],
      ['Max-Forwards', '70'],
      ...this.routeSet.map((route): Header => ['Route', route]),
      ['From', this.local],
      ['To', this.remote],
      ['Call-ID', this.callId],
      ['CSeq', `${cseq} ${method}`],
    ];
    if (WITH_CONTACT.has(method)) defaults.push(['Contact', this.contact]);
    return SipMessage.request(method, this.remoteTarget, merge(defaults, headers, body), body);
  }
}
