import { Mailbox } from './mailbox.js';
import { SipCall } from './sip-call.js';
import { type Header, SipMessage } from './sip-message.js';
import { ClientTransaction, merge, type SipCore } from './sip-transaction.js';
import type { Remote, TransportKind } from './sip-transport.js';
import { parseNameAddr, parseUri } from './sip-values.js';

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
  /** The INVITE as sent. */
  readonly message: SipMessage;
  protected override local: string;
  protected override remote: string;
  protected override remoteTarget: string;
  readonly #firstHop: Remote;
  readonly #responses: Mailbox<SipMessage>;

  constructor(core: SipCore, options: InviteOptions, autoAnswer: boolean) {
    const { message, hop } = firstRequest(core, 'INVITE', options);
    const from = message.get('from') ?? '';
    const user = parseUri(parseNameAddr(from).uri).user;
    super(core, { callId: message.callId, localTag: message.fromTag, user }, autoAnswer);
    this.message = message;
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

  /** @internal */
  start(): void {
    new ClientTransaction(this.core, this.message, this.#firstHop, (response, repeated) =>
      this.#receiveResponse(response, repeated),
    ).start();
  }

  /**
   * The first response to the INVITE that matches, also one that came earlier.
   * @throws Error after `timeoutMs`, listing the responses that did come.
   */
  response(filter: ResponseFilter, timeoutMs = 5000): Promise<SipMessage> {
    const matches = typeof filter === 'number' ? (m: SipMessage) => m.status === filter : filter;
    const awaited = typeof filter === 'number' ? `response ${filter}` : `response for ${filter}`;
    return this.#responses.take(matches, `${awaited} to the INVITE of ${this.callId}`, timeoutMs);
  }

  /** The final response to the INVITE, whatever it is; 408 or 503 are made up if none can come. */
  finalResponse(timeoutMs = 10_000): Promise<SipMessage> {
    return this.response((response) => response.status >= 200, timeoutMs);
  }

  /**
   * Waits for the 2xx and acknowledges it along the route set (RFC 3261 12.2, 13.2.2.4).
   * @throws Error if the call is refused or not answered in time.
   */
  async answered({ ack = true, timeoutMs = 10_000 }: AnsweredOptions = {}): Promise<SipMessage> {
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
  async cancel(headers: readonly Header[] = [], timeoutMs = 5000): Promise<SipMessage> {
    await this.response(() => true, timeoutMs);
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
    if (response.status >= 300) this.finish('failed');
    this.#responses.push(response);
  }
}

/** Builds a request outside any dialog (RFC 3261 8.1.1) and says where it goes first. */
export function firstRequest(
  core: SipCore,
  method: string,
  options: InviteOptions,
): { message: SipMessage; hop: Remote } {
  const { from = core.uri('caller'), to, headers = [], body } = options;
  const requestUri = options.requestUri ?? parseNameAddr(to).uri;
  const sender = `${bracketed(from)};tag=${core.newId()}`;
  const defaults: Header[] = [
    ['Via', core.via()],
    ['Max-Forwards', '70'],
    ['From', sender],
    ['To', bracketed(to)],
    ['Call-ID', options.callId ?? core.newId()],
    ['CSeq', `${options.cseq ?? 1} ${method}`],
    ['Contact', core.contact(parseUri(parseNameAddr(sender).uri).user)],
    ['Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY'],
  ];
  const message = SipMessage.request(method, requestUri, merge(defaults, headers, body), body);
  return { message, hop: options.via ?? hopOf(core, requestUri) };
}

function bracketed(address: string): string {
  return address.includes('<') ? address : `<${address}>`;
}

function hopOf(core: SipCore, uri: string): Remote {
  const { host, port } = parseUri(uri);
  return core.resolve(host, port);
}
