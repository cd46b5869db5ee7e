import { parseVia, SipParseError, splitList, tagOf, type Via } from './sip-values.js';

/** One header line: its name as written and its value without surrounding white space. */
export type Header = readonly [name: string, value: string];

/** Short header names (RFC 3261 7.3.3, RFC 3515, RFC 3892, RFC 4028, RFC 6665) and what they stand for. */
const COMPACT_NAMES: Readonly<Record<string, string>> = {
  a: 'accept-contact',
  b: 'referred-by',
  c: 'content-type',
  e: 'content-encoding',
  f: 'from',
  i: 'call-id',
  j: 'reject-contact',
  k: 'supported',
  l: 'content-length',
  m: 'contact',
  o: 'event',
  r: 'refer-to',
  s: 'subject',
  t: 'to',
  u: 'allow-events',
  v: 'via',
  x: 'session-expires',
};

const REQUIRED = ['via', 'from', 'to', 'call-id', 'cseq'];

/** The name a header is looked up by: lower case, compact forms written out. */
export function headerKey(name: string): string {
  const lower = name.toLowerCase();
  return COMPACT_NAMES[lower] ?? lower;
}

/**
 * A SIP request or response, immutable.
 *
 * `method` is the request's method, and for a response the method of its CSeq. `status` is 0 for a request.
 * A datagram that could not be parsed is kept as `kind: 'malformed'` with only `raw` filled in.
 */
export class SipMessage {
  readonly kind: 'request' | 'response' | 'malformed';
  readonly method: string;
  readonly requestUri: string;
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly Header[];
  readonly body: string;
  #raw: string | undefined;
  #index: Map<string, string[]> | undefined;

  private constructor(
    start: Pick<SipMessage, 'kind' | 'method' | 'requestUri' | 'status' | 'reason'>,
    headers: readonly Header[],
    body: string,
    raw?: string,
  ) {
    this.kind = start.kind;
    this.method = start.method;
    this.requestUri = start.requestUri;
    this.status = start.status;
    this.reason = start.reason;
    this.headers = headers;
    this.body = body;
    this.#raw = raw;
  }

  /** A request; Content-Length is written by {@link raw} and must not be among the headers. */
  static request(method: string, requestUri: string, headers: readonly Header[], body = '', raw?: string) {
    return new SipMessage({ kind: 'request', method, requestUri, status: 0, reason: '' }, headers, body, raw);
  }

  /** A response; its method is read from the CSeq header. */
  static response(status: number, reason: string, headers: readonly Header[], body = '', raw?: string) {
    const cseq = headers.find(([name]) => headerKey(name) === 'cseq')?.[1] ?? '';
    const method = cseq.slice(cseq.indexOf(' ') + 1).trim();
    return new SipMessage({ kind: 'response', method, requestUri: '', status, reason }, headers, body, raw);
  }

  /** Stands in the trace for bytes that are not SIP. */
  static malformed(raw: string) {
    const start = { kind: 'malformed', method: '', requestUri: '', status: 0, reason: '' } as const;
    return new SipMessage(start, [], '', raw);
  }

  /** The text on the wire: as it was received, or as it will be sent, Content-Length included. */
  get raw(): string {
    if (this.#raw === undefined) {
      const lines = this.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const length = Buffer.byteLength(this.body);
      this.#raw = `${this.startLine}\r\n${lines}Content-Length: ${length}\r\n\r\n${this.body}`;
    }
    return this.#raw;
  }

  get startLine(): string {
    if (this.kind === 'malformed') return this.raw.split('\r\n', 1)[0] ?? '';
    return this.kind === 'request'
      ? `${this.method} ${this.requestUri} SIP/2.0`
      : `SIP/2.0 ${this.status} ${this.reason}`;
  }

  /** The first value of a header, by any spelling of its name. */
  get(name: string): string | undefined {
    return this.getAll(name)[0];
  }

  /** One value for each line of this header, in the order of the message. */
  getAll(name: string): readonly string[] {
    if (!this.#index) {
      this.#index = new Map();
      for (const [written, value] of this.headers) {
        const key = headerKey(written);
        const values = this.#index.get(key);
        if (values) values.push(value);
        else this.#index.set(key, [value]);
      }
    }
    return this.#index.get(headerKey(name)) ?? [];
  }

  /** The values of a header that is a comma-separated list (Via, Route, Record-Route, Contact), in order. */
  list(name: string): string[] {
    return this.getAll(name).flatMap(splitList);
  }

  get callId(): string {
    return this.get('call-id') ?? '';
  }

  get fromTag(): string {
    return tagOf(this.get('from') ?? '');
  }

  get toTag(): string {
    return tagOf(this.get('to') ?? '');
  }

  /** The number of the CSeq header; 0 if there is none. */
  get cseq(): number {
    return Number.parseInt(this.get('cseq') ?? '0', 10);
  }

  get topVia(): Via {
    return parseVia(splitList(this.get('via') ?? '')[0] ?? '');
  }

  get branch(): string {
    return this.topVia.params.get('branch') ?? '';
  }

  /** One line for logs and test failures: `INVITE sip:bob@host cseq 1` or `180 Ringing (INVITE)`. */
  get summary(): string {
    if (this.kind === 'malformed') return `malformed ${JSON.stringify(this.startLine.slice(0, 60))}`;
    if (this.kind === 'response') return `${this.status} ${this.reason} (${this.method})`;
    return `${this.method} ${this.requestUri} cseq ${this.cseq}`;
  }
}

/**
 * Parses one complete message (RFC 3261 7). Folded lines are joined; a body longer than Content-Length is cut.
 * @throws SipParseError if it is not SIP, is cut short, or lacks Via, From, To, Call-ID or CSeq.
 */
export function parseMessage(data: Buffer): SipMessage {
  const end = data.indexOf('\r\n\r\n');
  if (end < 0) throw new SipParseError('no empty line after the headers');
  const [startLine = '', ...lines] = data.toString('utf8', 0, end).split('\r\n');
  const headers = parseHeaders(lines);
  const length = contentLength(headers) ?? data.length - end - 4;
  if (data.length < end + 4 + length) throw new SipParseError('the body is shorter than Content-Length');
  const body = data.toString('utf8', end + 4, end + 4 + length);
  const raw = data.toString('utf8', 0, end + 4 + length);
  const message = parseStart(startLine, headers, body, raw);
  for (const name of REQUIRED) {
    if (message.get(name) === undefined) throw new SipParseError(`no ${name} header`);
  }
  parseVia(message.list('via')[0] ?? '');
  return message;
}

function parseStart(line: string, headers: Header[], body: string, raw: string): SipMessage {
  const response = /^SIP\/2\.0 (\d{3})(?: (.*))?$/.exec(line);
  if (response) return SipMessage.response(Number(response[1]), response[2] ?? '', headers, body, raw);
  const request = /^([A-Za-z0-9.!%*_+`'~-]+) (\S+) SIP\/2\.0$/.exec(line);
  if (!request) throw new SipParseError(`not a SIP start line: ${line.slice(0, 80)}`);
  return SipMessage.request(request[1] ?? '', request[2] ?? '', headers, body, raw);
}

function parseHeaders(lines: readonly string[]): Header[] {
  const headers: [string, string][] = [];
  for (const line of lines) {
    const last = headers.at(-1);
    if (last && (line.startsWith(' ') || line.startsWith('\t'))) {
      last[1] = `${last[1]} ${line.trim()}`;
      continue;
    }
    const colon = line.indexOf(':');
    if (colon < 1) throw new SipParseError(`not a header line: ${line.slice(0, 80)}`);
    headers.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()]);
  }
  return headers;
}

function contentLength(headers: readonly Header[]): number | undefined {
  const value = headers.find(([name]) => headerKey(name) === 'content-length')?.[1];
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value)) throw new SipParseError(`bad Content-Length: ${value}`);
  return Number(value);
}
