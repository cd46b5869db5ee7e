import type { SipCall } from './sip-call.js';
import { type Header, headerKey, SipMessage } from './sip-message.js';
import type { Remote } from './sip-transport.js';

/** RFC 3261 17.1.1.1: the longest pause between two retransmissions. */
const T2_MS = 4000;
/** RFC 3261 17.1.2.2, timer K: how long a repeated response to a finished non-INVITE is still absorbed. */
const TIMER_K_MS = 5000;

/** What transactions and calls need of the peer that they belong to. */
export interface SipCore {
  readonly reliable: boolean;
  readonly t1Ms: number;
  /** A request without any response fails with a made-up 408 after this many milliseconds. */
  readonly timeoutMs: number;
  /** How long a finished transaction or call still recognises repeated messages, in milliseconds. */
  readonly lingerMs: number;
  readonly keepHistory: boolean;
  /** This peer's URI for a user part, without angle brackets. */
  uri(user: string): string;
  /** A Contact value for a user part, which may show another address than this peer's own. */
  contact(user: string): string;
  /** A Via value of this peer with a new branch. */
  via(): string;
  newId(): string;
  resolve(host: string, port: number | undefined): Remote;
  transmit(message: SipMessage, to: Remote, retransmission: boolean, onError?: (error: Error) => void): void;
  addClient(transaction: ClientTransaction): void;
  removeClient(transaction: ClientTransaction): void;
  removeServer(transaction: ServerTransaction): void;
  addCall(call: SipCall): void;
  removeCall(call: SipCall): void;
}

/** Runs `action` later without keeping the process alive for it. */
export function later(delayMs: number, action: () => void): NodeJS.Timeout {
  return setTimeout(action, delayMs).unref();
}

/** Repeats `action` after T1, 2 T1, 4 T1 ... capped at T2, until `stop` or 64 T1 have passed. */
class Repeater {
  #timer: NodeJS.Timeout | undefined;

  start(t1Ms: number, action: () => void, capMs = T2_MS): void {
    let pause = t1Ms;
    let spent = 0;
    const again = () => {
      spent += pause;
      if (spent >= 64 * t1Ms) return;
      action();
      pause = Math.min(pause * 2, capMs);
      this.#timer = later(pause, again);
    };
    this.#timer = later(pause, again);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * A request that this peer sent (RFC 3261 17.1). Over UDP it is repeated until any response comes; a final
 * response other than 2xx to an INVITE is acknowledged here, a 2xx by the call.
 */
export class ClientTransaction {
  readonly key: string;
  readonly #core: SipCore;
  readonly #remote: Remote;
  readonly #onResponse: (response: SipMessage, repeated: boolean) => void;
  readonly #repeater = new Repeater();
  readonly #seen = new Set<string>();
  #timeout: NodeJS.Timeout | undefined;
  #finished = false;

  constructor(
    core: SipCore,
    readonly request: SipMessage,
    remote: Remote,
    onResponse: (response: SipMessage, repeated: boolean) => void,
  ) {
    this.#core = core;
    this.#remote = remote;
    this.#onResponse = onResponse;
    this.key = clientKey(request.branch, request.method);
  }

  start(): void {
    this.#core.addClient(this);
    this.#core.transmit(this.request, this.#remote, false, (error) =>
      // OpenSSL ends its messages with a line feed.
      this.#fail(503, `Transport Error (${error.message.trim()})`),
    );
    if (!this.#core.reliable) {
      // Only an INVITE's pauses grow without the T2 cap (timers A and E).
      const cap = this.request.method === 'INVITE' ? Number.POSITIVE_INFINITY : T2_MS;
      this.#repeater.start(this.#core.t1Ms, () => this.#core.transmit(this.request, this.#remote, true), cap);
    }
    this.#timeout = later(this.#core.timeoutMs, () => this.#fail(408, 'Request Timeout (made up locally)'));
  }

  /** Whether this very response was received before. */
  isRepeat(response: SipMessage): boolean {
    return this.#seen.has(response.raw);
  }

  receive(response: SipMessage): void {
    const repeated = this.isRepeat(response);
    this.#seen.add(response.raw);
    this.#repeater.stop();
    const { method } = this.request;
    // An INVITE may ring for as long as it likes; any other request still needs its final response in time.
    if (method === 'INVITE' || response.status >= 200) clearTimeout(this.#timeout);
    if (method === 'INVITE' && response.status >= 300) {
      this.#core.transmit(acknowledgeFailure(this.request, response), this.#remote, repeated);
    }
    if (response.status >= 200) this.#finish();
    this.#onResponse(response, repeated);
  }

  #fail(status: number, reason: string): void {
    if (this.#finished) return;
    this.#repeater.stop();
    clearTimeout(this.#timeout);
    this.#finish();
    this.#onResponse(makeResponse(this.request, status, reason), false);
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    const { lingerMs } = this.#core;
    const linger = this.request.method === 'INVITE' ? lingerMs : Math.min(lingerMs, TIMER_K_MS);
    later(linger, () => this.#core.removeClient(this));
  }
}

/**
 * A request that this peer received (RFC 3261 17.2): repeats the last response when the request is repeated,
 * and over UDP the final response to an INVITE until the ACK comes. A 2xx to an INVITE is repeated over TCP
 * too, for there may be a UDP hop behind the next one (13.3.1.4).
 */
export class ServerTransaction {
  readonly key: string;
  readonly #core: SipCore;
  readonly #remote: Remote;
  readonly #repeater = new Repeater();
  #last: SipMessage | undefined;

  constructor(
    core: SipCore,
    readonly request: SipMessage,
    from: Remote,
  ) {
    this.#core = core;
    this.#remote = responseTarget(request, from);
    this.key = serverKey(request, request.method);
    // Repetitions of a non-INVITE stop by themselves, also when nobody ever answers it (timer F of the sender).
    if (request.method !== 'INVITE') later(core.lingerMs, () => core.removeServer(this));
  }

  /** The status of the last response; 0 before the first one. */
  get status(): number {
    return this.#last?.status ?? 0;
  }

  respond(response: SipMessage): void {
    this.#last = response;
    this.#core.transmit(response, this.#remote, false);
    if (this.request.method !== 'INVITE' || response.status < 200) return;
    later(this.#core.lingerMs, () => this.#core.removeServer(this));
    if (response.status < 300 || !this.#core.reliable) {
      this.#repeater.start(this.#core.t1Ms, () => this.repeat());
    }
  }

  /** Sends the last response once more; nothing if there is none yet. */
  repeat(): void {
    if (this.#last) this.#core.transmit(this.#last, this.#remote, true);
  }

  /** The ACK is here: no more repetitions. */
  acknowledge(): void {
    this.#repeater.stop();
  }
}

export function clientKey(branch: string, method: string): string {
  return `${branch}|${method}`;
}

/** RFC 3261 17.2.3: branch, sent-by and method; an ACK or CANCEL is looked up under `INVITE`. */
export function serverKey(request: SipMessage, method: string): string {
  const { host, port, params } = request.topVia;
  return `${params.get('branch')}|${host}:${port ?? ''}|${method}`;
}

/** RFC 3261 18.2.2 and RFC 3581: back to the source, at its port if asked for by rport. */
function responseTarget(request: SipMessage, from: Remote): Remote {
  const { port, params } = request.topVia;
  const target = params.has('rport') ? from.port : (port ?? 5060);
  return from.socket
    ? { host: from.host, port: target, socket: from.socket }
    : { host: from.host, port: target };
}

export interface ResponseParts {
  /** Added to the To header if it has no tag yet. */
  readonly toTag?: string;
  readonly headers?: readonly Header[];
  readonly body?: string;
}

/** A response to a request (RFC 3261 8.2.6), with Record-Route copied where a dialog can begin (12.1.1). */
export function makeResponse(
  request: SipMessage,
  status: number,
  reason = REASONS[status] ?? 'Unknown',
  parts: ResponseParts = {},
): SipMessage {
  const to = request.get('to') ?? '';
  const tagged = parts.toTag && status > 100 && request.toTag === '' ? `${to};tag=${parts.toTag}` : to;
  const opensDialog = request.method === 'INVITE' && status > 100 && status < 300;
  const headers: Header[] = [
    ...request.getAll('via').map((value): Header => ['Via', value]),
    ...(opensDialog ? request.getAll('record-route').map((value): Header => ['Record-Route', value]) : []),
    ['From', request.get('from') ?? ''],
    ['To', tagged],
    ['Call-ID', request.callId],
    ['CSeq', request.get('cseq') ?? ''],
  ];
  return SipMessage.response(status, reason, merge(headers, parts.headers ?? [], parts.body), parts.body);
}

/** The ACK of a refused INVITE: same branch, Request-URI and Route as the INVITE (RFC 3261 17.1.1.3). */
function acknowledgeFailure(invite: SipMessage, response: SipMessage): SipMessage {
  return SipMessage.request('ACK', invite.requestUri, [
    ['Via', invite.get('via') ?? ''],
    ['Max-Forwards', '70'],
    ...invite.getAll('route').map((value): Header => ['Route', value]),
    ['From', invite.get('from') ?? ''],
    ['To', response.get('to') ?? ''],
    ['Call-ID', invite.callId],
    ['CSeq', `${invite.cseq} ACK`],
  ]);
}

/** Own headers take the place of default ones of the same name, except for those that stack up. */
export function merge(
  defaults: readonly Header[],
  own: readonly Header[],
  body: string | undefined,
): readonly Header[] {
  const names = new Set(own.map(([name]) => headerKey(name)));
  const kept = defaults.filter(([name]) => STACKING.has(headerKey(name)) || !names.has(headerKey(name)));
  const type: Header[] = body && !names.has('content-type') ? [['Content-Type', 'application/sdp']] : [];
  return [...kept, ...own, ...type];
}

const STACKING = new Set(['via', 'route', 'record-route']);

const REASONS: Readonly<Record<number, string>> = {
  100: 'Trying',
  180: 'Ringing',
  181: 'Call Is Being Forwarded',
  182: 'Queued',
  183: 'Session Progress',
  200: 'OK',
  202: 'Accepted',
  302: 'Moved Temporarily',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  420: 'Bad Extension',
  429: 'Provide Referrer Identity',
  480: 'Temporarily Unavailable',
  481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected',
  483: 'Too Many Hops',
  484: 'Address Incomplete',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  491: 'Request Pending',
  500: 'Server Internal Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  504: 'Server Time-out',
  600: 'Busy Everywhere',
  603: 'Decline',
  604: 'Does Not Exist Anywhere',
};
