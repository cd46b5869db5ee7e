import { randomBytes } from 'node:crypto';
import { Mailbox } from './mailbox.js';
import { MEDIA_PORT, sdp } from './sdp.js';
import { IncomingRequest, type RequestHandler, type SipCall } from './sip-call.js';
import { IncomingCall } from './sip-incoming-call.js';
import { parseMessage, SipMessage } from './sip-message.js';
import { firstRequest, type InviteOptions, OutgoingCall } from './sip-outgoing-call.js';
import type { OptionsPolicy, PeerBehaviour, PeerOptions } from './sip-peer-options.js';
import { type Direction, SipTrace, type TraceEntry } from './sip-trace.js';
import {
  ClientTransaction,
  clientKey,
  ServerTransaction,
  type SipCore,
  serverKey,
} from './sip-transaction.js';
import { openTransport, type Remote, type Transport, type TransportKind } from './sip-transport.js';
import { parseNameAddr, parseUri } from './sip-values.js';

export { sdp } from './sdp.js';
export type { IncomingRequest, RequestHandler, RequestOptions, SipCall } from './sip-call.js';
export type { AnswerOptions, IncomingCall } from './sip-incoming-call.js';
export type { Header, SipMessage } from './sip-message.js';
export type { InviteOptions, OutgoingCall } from './sip-outgoing-call.js';
export type { OptionsPolicy, PeerBehaviour, PeerOptions } from './sip-peer-options.js';
export type { TraceEntry } from './sip-trace.js';
export type { Remote, TransportKind } from './sip-transport.js';

/** Which message is meant: a request's method, a response's status, or whatever the function accepts. */
export type MessageFilter = string | number | ((message: SipMessage) => boolean);

/** A scriptable SIP user agent on one UDP or TCP port, for tests and for the simulator. */
export class SipPeer {
  readonly host: string;
  readonly transport: TransportKind;
  readonly behaviour: PeerBehaviour;

  readonly #options: PeerOptions;
  readonly #idPrefix = randomBytes(5).toString('hex');
  readonly #clients = new Map<string, ClientTransaction>();
  readonly #servers = new Map<string, ServerTransaction>();
  readonly #calls = new Map<string, SipCall>();
  /** Calls by their INVITE's server transaction, for CANCEL. */
  readonly #invited = new WeakMap<ServerTransaction, IncomingCall>();
  readonly #mailbox: Mailbox<SipMessage>;
  readonly #trace: SipTrace;
  readonly #core: SipCore;
  #socket: Transport | undefined;
  #ids = 0;

  private constructor(options: PeerOptions) {
    this.#options = options;
    this.host = options.host ?? '127.0.0.1';
    this.transport = options.transport ?? 'udp';
    this.behaviour = { ...options.behaviour };
    const { trace = true } = options;
    const keep = trace === true;
    this.#trace = new SipTrace(keep ? Number.POSITIVE_INFINITY : Number(trace));
    this.#mailbox = new Mailbox({ summarise: (message) => message.summary, keep, consume: true });
    this.#core = this.#makeCore(keep);
  }

  /** Binds the port and starts to answer. @throws the system error if the address cannot be bound. */
  static async start(options: PeerOptions = {}): Promise<SipPeer> {
    const peer = new SipPeer(options);
    peer.#socket = await openTransport(peer.transport, peer.host, options.port ?? 0, (data, from) =>
      peer.#receive(data, from),
    );
    return peer;
  }

  /** Every message in order; stays empty with tracing off. */
  get trace(): readonly TraceEntry[] {
    return this.#trace.entries;
  }

  get port(): number {
    return this.#socket?.port ?? 0;
  }

  set onInvite(handler: (call: IncomingCall) => void) {
    this.behaviour.onInvite = handler;
  }

  set onOptions(policy: OptionsPolicy) {
    this.behaviour.onOptions = policy;
  }

  set onRequest(handler: RequestHandler) {
    this.behaviour.onRequest = handler;
  }

  /** This peer's URI for a user part, without angle brackets. */
  uri(user = ''): string {
    const suffix = this.transport === 'tcp' ? ';transport=tcp' : '';
    return `sip:${user === '' ? '' : `${user}@`}${this.host}:${this.port}${suffix}`;
  }

  /** Places a call. @throws Error if the next hop asks for the other transport. */
  invite(options: InviteOptions): OutgoingCall {
    this.#checkTransport(options);
    const { body = sdp(this.host, MEDIA_PORT) } = options;
    const call = new OutgoingCall(this.#core, { ...options, body }, this.behaviour.autoAnswer ?? true);
    this.#calls.set(callKey(call.callId, call.localTag), call);
    call.start();
    return call;
  }

  /** Sends a request outside any dialog, such as OPTIONS; resolves with its final response as a call's does. */
  request(method: string, options: InviteOptions): Promise<SipMessage> {
    this.#checkTransport(options);
    const { message, hop } = firstRequest(this.#core, method, options);
    return new Promise((resolve) => {
      new ClientTransaction(this.#core, message, hop, (response) => {
        if (response.status >= 200) resolve(response);
      }).start();
    });
  }

  /**
   * The next incoming message that matches and was not taken yet, retransmissions excepted.
   * @throws Error after `timeoutMs` that says what was awaited and what was received.
   */
  next(filter: MessageFilter, timeoutMs = 5000): Promise<SipMessage> {
    const awaited = typeof filter === 'number' ? `response ${filter}` : `message for ${filter}`;
    return this.#mailbox.take(matcher(filter), awaited, timeoutMs);
  }

  /** How many requests of a method, or responses of a status, went through; also with tracing off. */
  count(
    what: string | number,
    options: { direction?: Direction; withRetransmissions?: boolean } = {},
  ): number {
    const { direction = 'in', withRetransmissions = false } = options;
    return this.#trace.count(direction, what, withRetransmissions);
  }

  /** Calls that are not over yet, or only just. */
  get callCount(): number {
    return this.#calls.size;
  }

  /** Closes the port. Calls are left as they are; waits that are still open are rejected. */
  async stop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    await socket?.close();
    this.#mailbox.close('the peer was stopped');
    for (const call of this.#calls.values()) call.close('the peer was stopped');
  }

  #checkTransport({ via }: InviteOptions): void {
    if (via?.transport && via.transport !== this.transport) {
      throw new Error(`this peer speaks ${this.transport}, the next hop wants ${via.transport}`);
    }
  }

  #makeCore(keepHistory: boolean): SipCore {
    const { t1Ms = 500, timeoutMs = 8000, lingerMs = keepHistory ? 32_000 : 5000 } = this.#options;
    return {
      reliable: this.transport === 'tcp',
      t1Ms,
      timeoutMs,
      lingerMs,
      keepHistory,
      uri: (user) => this.uri(user),
      contact: (user) => `<${this.uri(user)}>`,
      via: () =>
        `SIP/2.0/${this.transport.toUpperCase()} ${this.host}:${this.port};branch=z9hG4bK${this.#newId()};rport`,
      newId: () => this.#newId(),
      resolve: (host, port = 5060) => this.#options.resolve?.(host, port) ?? { host, port },
      transmit: (message, to, retransmission, onError) => {
        if (!this.#socket) return;
        this.#trace.record('out', message, retransmission, to);
        this.#socket.send(message.raw, to, onError);
      },
      addClient: (transaction) => this.#clients.set(transaction.key, transaction),
      removeClient: (transaction) => this.#clients.delete(transaction.key),
      removeServer: (transaction) => this.#servers.delete(transaction.key),
      removeCall: (callId, localTag) => this.#calls.delete(callKey(callId, localTag)),
    };
  }

  #newId(): string {
    this.#ids += 1;
    return `${this.#idPrefix}${this.#ids.toString(36)}`;
  }

  #receive(data: Buffer, from: Remote): void {
    let message: SipMessage;
    try {
      message = parseMessage(data);
    } catch {
      this.#trace.record('in', SipMessage.malformed(data.toString('utf8')), false, from);
      return;
    }
    if (message.kind === 'response') this.#receiveResponse(message, from);
    else if (message.method === 'ACK') this.#receiveAck(message, from);
    else this.#receiveRequest(message, from);
  }

  #receiveResponse(message: SipMessage, from: Remote): void {
    const transaction = this.#clients.get(clientKey(message.branch, message.method));
    const repeated = transaction?.isRepeat(message) ?? false;
    this.#trace.record('in', message, repeated, from);
    transaction?.receive(message);
    if (!repeated) this.#mailbox.push(message);
  }

  #receiveAck(message: SipMessage, from: Remote): void {
    const call = this.#calls.get(callKey(message.callId, message.toTag));
    const repeated = call?.isRepeatedAck(message) ?? false;
    this.#trace.record('in', message, repeated, from);
    if (call) call.receiveAck(message);
    else this.#servers.get(serverKey(message, 'INVITE'))?.acknowledge();
    if (!repeated) this.#mailbox.push(message);
  }

  #receiveRequest(message: SipMessage, from: Remote): void {
    const known = this.#servers.get(serverKey(message, message.method));
    this.#trace.record('in', message, known !== undefined, from);
    if (known) {
      known.repeat();
      return;
    }
    const transaction = new ServerTransaction(this.#core, message, from);
    this.#servers.set(transaction.key, transaction);
    this.#dispatch(transaction);
    this.#mailbox.push(message);
  }

  #dispatch(transaction: ServerTransaction): void {
    const { message, request } = this.#incoming(transaction);
    if (message.method === 'CANCEL') {
      const invite = this.#servers.get(serverKey(message, 'INVITE'));
      const call = invite && this.#invited.get(invite);
      if (call) call.receiveCancel(request);
      else request.reply(481);
    } else if (message.toTag !== '') {
      const call = this.#calls.get(callKey(message.callId, message.toTag));
      if (call) call.receive(transaction);
      else request.reply(481);
    } else if (message.method === 'INVITE') this.#receiveCall(transaction);
    else if (message.method === 'OPTIONS') this.#answerOptions(request);
    else if (this.behaviour.onRequest) this.behaviour.onRequest(request);
    else request.reply(405);
  }

  #incoming(transaction: ServerTransaction): { message: SipMessage; request: IncomingRequest } {
    const message = transaction.request;
    const contact = this.#core.contact(userOf(message));
    return { message, request: new IncomingRequest(transaction, { toTag: this.#newId(), contact }) };
  }

  #receiveCall(transaction: ServerTransaction): void {
    const call = new IncomingCall(this.#core, transaction, userOf(transaction.request), {
      body: sdp(this.host, MEDIA_PORT),
      autoAnswer: this.behaviour.autoAnswer ?? true,
    });
    this.#calls.set(callKey(call.callId, call.localTag), call);
    this.#invited.set(transaction, call);
    if (this.behaviour.onInvite) this.behaviour.onInvite(call);
    else call.refuse(480);
  }

  #answerOptions(request: IncomingRequest): void {
    const policy = this.behaviour.onOptions ?? 200;
    if (typeof policy === 'function') policy(request);
    else if (policy !== 'silent') request.reply(policy);
  }
}

function callKey(callId: string, localTag: string): string {
  return `${callId}|${localTag}`;
}

/** The user part of the Request-URI; empty if it has none or is not a SIP URI. */
function userOf(message: SipMessage): string {
  try {
    return parseUri(parseNameAddr(message.requestUri).uri).user;
  } catch {
    return '';
  }
}

function matcher(filter: MessageFilter): (message: SipMessage) => boolean {
  if (typeof filter === 'function') return filter;
  if (typeof filter === 'number') return (message) => message.status === filter;
  return (message) => message.kind === 'request' && message.method === filter;
}
