import { randomBytes } from 'node:crypto';
import { PATIENCE_MS } from './await.js';
import { Mailbox } from './mailbox.js';
import { MEDIA_PORT, sdp } from './sdp.js';
import { IncomingRequest, type RequestHandler, type SipCall } from './sip-call.js';
import { DigestGuard, type DigestOptions } from './sip-digest.js';
import { IncomingCall } from './sip-incoming-call.js';
import { parseMessage, SipMessage } from './sip-message.js';
import { answerChallenge, firstRequest, type InviteOptions, OutgoingCall } from './sip-outgoing-call.js';
import type { Announced, OptionsPolicy, PeerBehaviour, PeerOptions } from './sip-peer-options.js';
import { Registrar, type RegistrarOptions, type Registration } from './sip-registrar.js';
import { type PresentedCertificate, type TlsFailure, TlsLog } from './sip-tls.js';
import { type Direction, SipTrace, type TraceEntry } from './sip-trace.js';
import {
  ClientTransaction,
  clientKey,
  ServerTransaction,
  type SipCore,
  serverKey,
} from './sip-transaction.js';
import { openTransport, type Remote, type Transport, type TransportKind } from './sip-transport.js';
import { bracketed, parseNameAddr, parseUri, unbracketed } from './sip-values.js';

export { sdp } from './sdp.js';
export type { IncomingRequest, RequestHandler, RequestOptions, SipCall } from './sip-call.js';
export type { ChallengeOptions, Credentials, DigestOptions, DigestVerdict } from './sip-digest.js';
export { authorization, checkCredentials } from './sip-digest.js';
export type { AnswerOptions, IncomingCall } from './sip-incoming-call.js';
export type { Header, SipMessage } from './sip-message.js';
export type { ForkOptions, InviteOptions, OutgoingCall } from './sip-outgoing-call.js';
export type { Announced, OptionsPolicy, PeerBehaviour, PeerOptions } from './sip-peer-options.js';
export type { RegistrarOptions, Registration } from './sip-registrar.js';
export type { PresentedCertificate, TlsFailure, TlsOptions } from './sip-tls.js';
export type { TraceEntry } from './sip-trace.js';
export type { Remote, TransportKind } from './sip-transport.js';

/** Which message is meant: a request's method, a response's status, or whatever the function accepts. */
export type MessageFilter = string | number | ((message: SipMessage) => boolean);

/** A scriptable SIP user agent on one UDP, TCP or TLS port, for tests and for the simulator. */
export class SipPeer {
  readonly host: string;
  readonly transport: TransportKind;
  readonly behaviour: PeerBehaviour;

  readonly #options: PeerOptions;
  readonly #idPrefix = randomBytes(5).toString('hex');
  readonly #clients = new Map<string, ClientTransaction>();
  readonly #servers = new Map<string, ServerTransaction>();
  /** Several under one key are branches of one INVITE. */
  readonly #calls = new Map<string, SipCall[]>();
  /** Calls by their INVITE's server transaction, for CANCEL. */
  readonly #invited = new WeakMap<ServerTransaction, IncomingCall>();
  readonly #mailbox: Mailbox<SipMessage>;
  readonly #trace: SipTrace;
  readonly #tls = new TlsLog();
  readonly #guard = new DigestGuard();
  readonly #registrar = new Registrar(this.#guard);
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

  /**
   * Binds the port and starts to answer.
   * @throws the system error if the address cannot be bound, Error if `tls` is left out where it is needed.
   */
  static async start(options: PeerOptions = {}): Promise<SipPeer> {
    const peer = new SipPeer(options);
    const { tls, port = 0 } = options;
    if (peer.transport === 'tls' && !tls) throw new Error('transport tls needs the option tls');
    peer.#socket = await openTransport(
      peer.transport,
      peer.host,
      port,
      (data, from) => peer.#receive(data, from),
      tls && { options: tls, log: peer.#tls },
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

  /** Handshakes that failed, in order. */
  get tlsErrors(): readonly TlsFailure[] {
    return this.#tls.failures;
  }

  /** What the far ends showed in handshakes that were finished, one for each connection, in order. */
  get peerCertificates(): readonly PresentedCertificate[] {
    return this.#tls.certificates;
  }

  /** What is registered here now, see {@link PeerBehaviour.registrar}. */
  get registrations(): readonly Registration[] {
    return this.#registrar.registrations;
  }

  set digest(options: DigestOptions | undefined) {
    if (options) this.behaviour.digest = options;
    else delete this.behaviour.digest;
  }

  set registrar(options: RegistrarOptions | undefined) {
    if (options) this.behaviour.registrar = options;
    else delete this.behaviour.registrar;
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
    return this.#uriAt(user, undefined);
  }

  /** Places a call. @throws Error if the next hop asks for the other transport. */
  invite(options: InviteOptions): OutgoingCall {
    this.#checkTransport(options);
    const { body = sdp(this.host, MEDIA_PORT) } = options;
    const first = firstRequest(this.#core, 'INVITE', { ...options, body });
    const call = new OutgoingCall(this.#core, first, this.behaviour.autoAnswer ?? true);
    call.start();
    return call;
  }

  /** Sends a request outside any dialog, such as OPTIONS; resolves with its final response as a call's does. */
  async request(method: string, options: InviteOptions): Promise<SipMessage> {
    this.#checkTransport(options);
    const { message, hop, digest } = firstRequest(this.#core, method, options);
    const send = (request: SipMessage) =>
      new Promise<SipMessage>((resolve) => {
        new ClientTransaction(this.#core, request, hop, (response) => {
          if (response.status >= 200) resolve(response);
        }).start();
      });
    let sent: SipMessage | undefined = message;
    let response = await send(sent);
    while (digest) {
      sent = answerChallenge(this.#core, sent, response, digest);
      if (!sent) break;
      response = await send(sent);
    }
    return response;
  }

  /** The next failed handshake that was not taken yet. @throws Error after `timeoutMs`. */
  nextTlsError(timeoutMs = PATIENCE_MS): Promise<TlsFailure> {
    return this.#tls.next(timeoutMs);
  }

  /**
   * The next incoming message that matches and was not taken yet, retransmissions excepted.
   * @throws Error after `timeoutMs` that says what was awaited and what was received.
   */
  next(filter: MessageFilter, timeoutMs = PATIENCE_MS): Promise<SipMessage> {
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
    return [...this.#calls.values()].reduce((sum, calls) => sum + calls.length, 0);
  }

  /** Closes the port. Calls are left as they are; waits that are still open are rejected. */
  async stop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    await socket?.close();
    this.#mailbox.close('the peer was stopped');
    this.#tls.close('the peer was stopped');
    for (const call of [...this.#calls.values()].flat()) call.close('the peer was stopped');
  }

  #checkTransport({ via }: InviteOptions): void {
    if (via?.transport && via.transport !== this.transport) {
      throw new Error(`this peer speaks ${this.transport}, the next hop wants ${via.transport}`);
    }
  }

  #makeCore(keepHistory: boolean): SipCore {
    const { t1Ms = 500, timeoutMs = 8000, lingerMs = keepHistory ? 32_000 : 5000 } = this.#options;
    return {
      reliable: this.transport !== 'udp',
      t1Ms,
      timeoutMs,
      lingerMs,
      keepHistory,
      uri: (user) => this.uri(user),
      contact: (user) => `<${this.#uriAt(user, this.#options.contact)}>`,
      via: () =>
        `SIP/2.0/${this.transport.toUpperCase()} ${this.#address(this.#options.sentBy)};branch=z9hG4bK${this.#newId()};rport`,
      newId: () => this.#newId(),
      resolve: (written, port = this.transport === 'tls' ? 5061 : 5060) => {
        const host = unbracketed(written);
        return this.#options.resolve?.(host, port) ?? { host, port };
      },
      transmit: (message, to, retransmission, onError) => {
        if (!this.#socket) return;
        this.#trace.record('out', message, retransmission, to);
        this.#socket.send(message.raw, to, onError);
      },
      addClient: (transaction) => this.#clients.set(transaction.key, transaction),
      removeClient: (transaction) => this.#clients.delete(transaction.key),
      removeServer: (transaction) => this.#servers.delete(transaction.key),
      addCall: (call) => {
        const key = callKey(call.callId, call.localTag);
        this.#calls.set(key, [...(this.#calls.get(key) ?? []), call]);
      },
      removeCall: (call) => {
        const key = callKey(call.callId, call.localTag);
        const others = (this.#calls.get(key) ?? []).filter((other) => other !== call);
        if (others.length > 0) this.#calls.set(key, others);
        else this.#calls.delete(key);
      },
    };
  }

  #uriAt(user: string, announced: Announced | undefined): string {
    const suffix = this.transport === 'udp' ? '' : `;transport=${this.transport}`;
    return `sip:${user === '' ? '' : `${user}@`}${this.#address(announced)}${suffix}`;
  }

  #address({ host, port = this.port }: Announced = { host: this.host }): string {
    return `${bracketed(host)}:${port}`;
  }

  /** The call that a request of the far end belongs to; of several branches the one that the far end tagged. */
  #callOf(message: SipMessage): SipCall | undefined {
    const calls = this.#calls.get(callKey(message.callId, message.toTag));
    return calls?.find((call) => call.remoteTag === message.fromTag) ?? calls?.[0];
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
    const call = this.#callOf(message);
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
      const call = this.#callOf(message);
      if (call) call.receive(transaction);
      else request.reply(481);
    } else if (message.method === 'INVITE') {
      if (this.#admits(request)) this.#receiveCall(transaction);
    } else if (message.method === 'REGISTER' && this.behaviour.registrar) {
      this.#registrar.receive(request, this.behaviour.registrar);
    } else if (message.method === 'OPTIONS') this.#answerOptions(request);
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
    this.#core.addCall(call);
    this.#invited.set(transaction, call);
    if (this.behaviour.onInvite) this.behaviour.onInvite(call);
    else call.refuse(480);
  }

  /** Whether a new call may come in; if not, it is answered. */
  #admits(request: IncomingRequest): boolean {
    const { digest } = this.behaviour;
    if (!digest) return true;
    const refused = this.#guard.refusal(request.message, digest);
    if (!refused) return true;
    request.reply(refused.status, undefined, refused.headers);
    return false;
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
