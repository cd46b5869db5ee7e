import { PATIENCE_MS } from './await.js';
import { Mailbox } from './mailbox.js';
import { SipCall } from './sip-call.js';
import { authorization, type Credentials, challengeOf } from './sip-digest.js';
import { type Header, headerKey, SipMessage } from './sip-message.js';
import { ClientTransaction, merge, type SipCore } from './sip-transaction.js';
import type { Remote, TransportKind } from './sip-transport.js';
import { parseNameAddr, parseUri, unbracketed } from './sip-values.js';

export interface InviteOptions {
  /** A URI or name-addr for the To header. */
  readonly to: string;
  /** A URI or name-addr without tag; this peer's user `caller` if left out. */
  readonly from?: string;
  /** The URI of `to` if left out. */
  readonly requestUri?: string;
  /** The next hop; host and port of the Request-URI if left out. */
  readonly via?: { readonly host: string; readonly port: number; readonly transport?: TransportKind };
  /** Added to the INVITE, or in the place of a default header of the same name. */
  readonly headers?: readonly Header[];
  /** An SDP offer of PCMU and telephone events if left out; `''` for none. */
  readonly body?: string;
  readonly callId?: string;
  /** The number in the INVITE's CSeq; 1 if left out. */
  readonly cseq?: number;
  /** Answers a 401 or 407 with these, once for each realm, in the same call with the next CSeq. */
  readonly digest?: Credentials;
}

export interface ForkOptions {
  /** That of the first branch if left out. */
  readonly requestUri?: string;
  /** Added, or in the place of a header of the same name. */
  readonly headers?: readonly Header[];
}

/** A request with where it goes first, and the credentials to answer a challenge with. */
export interface FirstRequest {
  readonly message: SipMessage;
  readonly hop: Remote;
  readonly digest: Credentials | undefined;
}

export interface AnsweredOptions {
  /** `false` leaves the ACK out for good. */
  readonly ack?: boolean;
  readonly timeoutMs?: number;
}

/** Which response is meant: its status, or whatever the function accepts. */
export type ResponseFilter = number | ((response: SipMessage) => boolean);

/** A call that this peer placed (RFC 3261 13.2). A final response other than 2xx is acknowledged by itself. */
export class OutgoingCall extends SipCall {
  protected override local: string;
  protected override remote: string;
  protected override remoteTarget: string;
  readonly #digest: Credentials | undefined;
  readonly #firstHop: Remote;
  /** Challenges that were answered and so are no final responses. */
  readonly #challenges = new Set<SipMessage>();
  readonly #responses: Mailbox<SipMessage>;
  #message: SipMessage;

  constructor(core: SipCore, { message, hop, digest }: FirstRequest, autoAnswer: boolean) {
    const from = message.get('from') ?? '';
    const user = parseUri(parseNameAddr(from).uri).user;
    super(core, { callId: message.callId, localTag: message.fromTag, user }, autoAnswer);
    this.#message = message;
    this.#digest = digest;
    this.local = from;
    this.remote = message.get('to') ?? '';
    this.remoteTarget = message.requestUri;
    this.localCseq = message.cseq;
    this.#firstHop = hop;
    this.#responses = new Mailbox({
      summarise: (response) => response.summary,
      keep: true,
      consume: false,
    });
  }

  /** The INVITE as sent; once a challenge was answered, the one with the credentials. */
  get message(): SipMessage {
    return this.#message;
  }

  /** @internal */
  start(): void {
    this.core.addCall(this);
    this.#send();
  }

  /** Sends the INVITE once more as it is, as if its answer had been lost. */
  retransmit(): void {
    this.core.transmit(this.message, this.#firstHop, true);
  }

  /**
   * Sends the same INVITE over a second branch, as a proxy does that forks: Call-ID, From tag and CSeq are the
   * same, the branch of the Via is not. The branch is a call of its own with its own responses.
   */
  fork({ requestUri = this.message.requestUri, headers = [] }: ForkOptions = {}): OutgoingCall {
    const { headers: first, body } = this.message;
    const again = merge(withNewBranch(this.core, first), headers, undefined);
    const message = SipMessage.request('INVITE', requestUri, again, body);
    const branch = new OutgoingCall(
      this.core,
      { message, hop: this.#firstHop, digest: this.#digest },
      this.autoAnswer,
    );
    branch.start();
    return branch;
  }

  /**
   * The first response to the INVITE that matches, also one that came earlier.
   * @throws Error after `timeoutMs`, listing the responses that did come.
   */
  response(filter: ResponseFilter, timeoutMs = PATIENCE_MS): Promise<SipMessage> {
    const matches = typeof filter === 'number' ? (m: SipMessage) => m.status === filter : filter;
    const awaited = typeof filter === 'number' ? `response ${filter}` : `response for ${filter}`;
    return this.#responses.take(matches, `${awaited} to the INVITE of ${this.callId}`, timeoutMs);
  }

  /**
   * The final response to the INVITE, whatever it is, other than a challenge that was answered; 408 or 503 are
   * made up if none can come.
   */
  finalResponse(timeoutMs = PATIENCE_MS): Promise<SipMessage> {
    return this.response((response) => response.status >= 200 && !this.#challenges.has(response), timeoutMs);
  }

  /**
   * Waits for the 2xx and acknowledges it along the route set (RFC 3261 12.2, 13.2.2.4).
   * @throws Error if the call is refused or not answered in time.
   */
  async answered({ ack = true, timeoutMs = PATIENCE_MS }: AnsweredOptions = {}): Promise<SipMessage> {
    const response = await this.finalResponse(timeoutMs);
    if (response.status >= 300) {
      throw new Error(`call ${this.callId} was refused: ${response.status} ${response.reason}`);
    }
    if (ack) this.acknowledge(response);
    return response;
  }

  /**
   * Sends CANCEL as soon as any response came, as RFC 3261 9.1 asks; resolves with the answer to the CANCEL.
   * @throws Error if no response to the INVITE comes within `timeoutMs`.
   */
  async cancel(headers: readonly Header[] = [], timeoutMs = PATIENCE_MS): Promise<SipMessage> {
    await this.response((response) => response.cseq === this.message.cseq, timeoutMs);
    const invite = this.message;
    const copied = ['via', 'max-forwards', 'route', 'from', 'to', 'call-id'];
    const defaults = copied.flatMap((name) =>
      invite.headers.filter(([written]) => written.toLowerCase() === name),
    );
    const message = SipMessage.request(
      'CANCEL',
      invite.requestUri,
      merge([...defaults, ['CSeq', `${invite.cseq} CANCEL`]], headers, undefined),
    );
    return new Promise((resolve) => {
      new ClientTransaction(this.core, message, this.#firstHop, (response) => {
        if (response.status >= 200) resolve(response);
      }).start();
    });
  }

  /** @internal */
  override close(why: string): void {
    super.close(why);
    this.#responses.close(why);
  }

  #send(): void {
    new ClientTransaction(this.core, this.message, this.#firstHop, (response, repeated) =>
      this.#receiveResponse(response, repeated),
    ).start();
  }

  #receiveResponse(response: SipMessage, repeated: boolean): void {
    if (repeated) {
      if (response.status >= 200 && response.status < 300) this.repeatAck(response);
      return;
    }
    // RFC 3261 12.1.2: the route set is the Record-Route backwards, the target is the Contact.
    if (response.status > 100 && response.status < 300 && response.toTag !== '') {
      this.remote = response.get('to') ?? this.remote;
      this.routeSet = response.list('record-route').reverse();
      const contact = response.list('contact')[0];
      if (contact) this.remoteTarget = parseNameAddr(contact).uri;
    }
    const again = this.#digest && answerChallenge(this.core, this.message, response, this.#digest);
    if (again) {
      this.#challenges.add(response);
      this.#message = again;
      this.localCseq = again.cseq;
      this.#send();
    } else if (response.status >= 300) this.finish('failed');
    this.#responses.push(response);
  }
}

/** Builds a request outside any dialog (RFC 3261 8.1.1) and says where it goes first. */
export function firstRequest(core: SipCore, method: string, options: InviteOptions): FirstRequest {
  const { from = core.uri('caller'), to, headers = [], body } = options;
  // Without angle brackets it is a URI with its parameters, not those of a header.
  const requestUri = options.requestUri ?? parseNameAddr(nameAddr(to)).uri;
  const sender = `${nameAddr(from)};tag=${core.newId()}`;
  const defaults: Header[] = [
    ['Via', core.via()],
    ['Max-Forwards', '70'],
    ['From', sender],
    ['To', nameAddr(to)],
    ['Call-ID', options.callId ?? core.newId()],
    ['CSeq', `${options.cseq ?? 1} ${method}`],
    ['Contact', core.contact(parseUri(parseNameAddr(sender).uri).user)],
    ['Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY'],
  ];
  const message = SipMessage.request(method, requestUri, merge(defaults, headers, body), body);
  const { via, digest } = options;
  const hop = via ? { host: unbracketed(via.host), port: via.port } : hopOf(core, requestUri);
  return { message, hop, digest };
}

/**
 * The request once more with credentials, the next CSeq and a new branch (RFC 3261 22.2, 22.3); undefined if the
 * response is no challenge, or one that these credentials failed before.
 */
export function answerChallenge(
  core: SipCore,
  request: SipMessage,
  response: SipMessage,
  credentials: Credentials,
): SipMessage | undefined {
  const challenge = challengeOf(response);
  if (!challenge) return undefined;
  const realm = `realm="${challenge.fields.get('realm')}"`;
  const failed = request.getAll(challenge.answerName).some((given) => given.includes(realm));
  if (failed && challenge.fields.get('stale')?.toLowerCase() !== 'true') return undefined;
  const { method, requestUri: uri, body } = request;
  const own: Header[] = [
    ['CSeq', `${request.cseq + 1} ${method}`],
    authorization(response, { method, uri }, credentials),
  ];
  return SipMessage.request(method, uri, merge(withNewBranch(core, request.headers), own, undefined), body);
}

/** The headers with another Via of this peer on top. */
function withNewBranch(core: SipCore, headers: readonly Header[]): readonly Header[] {
  const top = headers.findIndex(([name]) => headerKey(name) === 'via');
  return headers.with(top, ['Via', core.via()]);
}

function nameAddr(address: string): string {
  return address.includes('<') ? address : `<${address}>`;
}

function hopOf(core: SipCore, uri: string): Remote {
  const { host, port } = parseUri(uri);
  return core.resolve(host, port);
}
