import { createHash, randomBytes } from 'node:crypto';
import type { Header, SipMessage } from './sip-message.js';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** What a 401 or 407 asks for (RFC 7616 3.3, RFC 2617 3.2.1; MD5). */
export interface ChallengeOptions {
  /** Default: 407. */
  readonly status?: 401 | 407;
  /** Default: `test`. */
  readonly realm?: string;
  /** `false` for the old form without qop. Default: true, `auth`. */
  readonly qop?: boolean;
  /** A fresh random one if left out. */
  readonly nonce?: string;
  readonly stale?: boolean;
}

/** Who may call: a challenge, and the credentials that answer it. */
export interface DigestOptions extends Credentials, Omit<ChallengeOptions, 'nonce' | 'stale'> {}

/** `stale`: right credentials for a nonce that was not issued or was used before with the same count. */
export type DigestVerdict = 'right' | 'wrong' | 'missing' | 'stale';

const DEFAULT_REALM = 'test';

/** The fields of an answer beyond the credentials, for answers made by hand. */
export interface AnswerFields {
  readonly method: string;
  readonly uri: string;
  /** Count of uses of the nonce. Default: 1. */
  readonly count?: number;
}

/** The header of a challenge: WWW-Authenticate for 401, Proxy-Authenticate for 407. */
export function challengeHeader(options: ChallengeOptions = {}): Header {
  const { status = 407, realm = DEFAULT_REALM, qop = true, stale = false } = options;
  const { nonce = randomBytes(16).toString('hex') } = options;
  const parts = [`realm="${realm}"`, `nonce="${nonce}"`, 'algorithm=MD5'];
  if (qop) parts.push('qop="auth"');
  if (stale) parts.push('stale=true');
  return [status === 407 ? 'Proxy-Authenticate' : 'WWW-Authenticate', `Digest ${parts.join(', ')}`];
}

/** The MD5 challenge of a 401 or 407, and where its answer goes; undefined if there is none. */
export function challengeOf(response: SipMessage): { answerName: string; fields: Fields } | undefined {
  if (response.status !== 401 && response.status !== 407) return undefined;
  const proxy = response.status === 407;
  const all = response.getAll(proxy ? 'proxy-authenticate' : 'www-authenticate').map(parseFields);
  const fields = all.find((each) => (each.get('algorithm') ?? 'MD5').toUpperCase() === 'MD5');
  return fields && { answerName: proxy ? 'Proxy-Authorization' : 'Authorization', fields };
}

/** Authorization or Proxy-Authorization for a 401 or 407. @throws Error if it holds no MD5 challenge. */
export function authorization(response: SipMessage, answer: AnswerFields, credentials: Credentials): Header {
  const challenge = challengeOf(response);
  if (!challenge) throw new Error(`no MD5 challenge in ${response.summary}`);
  const { method, uri, count = 1 } = answer;
  const { username, password } = credentials;
  const field = (name: string) => challenge.fields.get(name) ?? '';
  const [realm, nonce, opaque] = [field('realm'), field('nonce'), field('opaque')];
  const parts = [`username="${username}"`, `realm="${realm}"`, `nonce="${nonce}"`, `uri="${uri}"`];
  const proof = { username, password, realm, nonce, method, uri };
  if (field('qop') === '') {
    parts.push(`response="${expected(proof)}"`);
  } else {
    const nc = count.toString(16).padStart(8, '0');
    const cnonce = randomBytes(8).toString('hex');
    const response = expected({ ...proof, nc, cnonce, qop: 'auth' });
    parts.push(`response="${response}"`, 'qop=auth', `nc=${nc}`, `cnonce="${cnonce}"`);
  }
  if (opaque !== '') parts.push(`opaque="${opaque}"`);
  return [challenge.answerName, `Digest ${parts.join(', ')}, algorithm=MD5`];
}

/** Whether a request bears credentials for the realm, whatever their nonce. */
export function checkCredentials(request: SipMessage, options: DigestOptions): DigestVerdict {
  const given = answersOf(request, options);
  if (!given) return 'missing';
  const field = (name: string) => given.get(name) ?? '';
  const { username, password } = options;
  const [realm, nonce, uri, qop] = [field('realm'), field('nonce'), field('uri'), field('qop')];
  const proof = { username, password, realm, nonce, method: request.method, uri };
  const right = qop === '' ? proof : { ...proof, qop, nc: field('nc'), cnonce: field('cnonce') };
  const matches = field('username') === username && field('response') === expected(right);
  return matches && uri === request.requestUri ? 'right' : 'wrong';
}

/** Challenges of one peer: which nonces it gave out, and which answers it saw. */
export class DigestGuard {
  readonly #issued = new Set<string>();
  readonly #used = new Set<string>();

  /**
   * How a request without right credentials is refused: a fresh challenge if they are missing or their nonce is
   * not good (any more), 403 if they are wrong; undefined if they are right.
   */
  refusal(request: SipMessage, options: DigestOptions): { status: number; headers: Header[] } | undefined {
    const verdict = this.#check(request, options);
    if (verdict === 'right') return undefined;
    if (verdict === 'wrong') return { status: 403, headers: [] };
    const nonce = randomBytes(16).toString('hex');
    this.#issued.add(nonce);
    const headers = [challengeHeader({ ...options, nonce, stale: verdict === 'stale' })];
    return { status: options.status ?? 407, headers };
  }

  #check(request: SipMessage, options: DigestOptions): DigestVerdict {
    const verdict = checkCredentials(request, options);
    if (verdict !== 'right') return verdict;
    const given = answersOf(request, options);
    const nonce = given?.get('nonce') ?? '';
    const use = `${nonce} ${given?.get('nc') ?? ''}`;
    if (!this.#issued.has(nonce) || this.#used.has(use)) return 'stale';
    this.#used.add(use);
    return 'right';
  }
}

/** Parameters of a Digest header by lower-case name. */
type Fields = ReadonlyMap<string, string>;

function parseFields(value: string): Fields {
  const fields = new Map<string, string>();
  for (const [, name = '', quoted, bare] of value.matchAll(
    /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g,
  )) {
    fields.set(name.toLowerCase(), quoted ?? bare ?? '');
  }
  return fields;
}

/** The answer for this realm; a request may carry those for other realms too. */
function answersOf(request: SipMessage, { status = 407, realm = DEFAULT_REALM }: ChallengeOptions) {
  const name = status === 407 ? 'proxy-authorization' : 'authorization';
  return request
    .getAll(name)
    .map(parseFields)
    .find((fields) => fields.get('realm') === realm);
}

/** RFC 7616 3.4.1 with MD5. */
function expected(of: Credentials & Record<'realm' | 'nonce' | 'method' | 'uri', string> & Partial<Qop>) {
  const ha1 = md5(`${of.username}:${of.realm}:${of.password}`);
  const ha2 = md5(`${of.method}:${of.uri}`);
  if (of.qop === undefined) return md5(`${ha1}:${of.nonce}:${ha2}`);
  return md5(`${ha1}:${of.nonce}:${of.nc}:${of.cnonce}:${of.qop}:${ha2}`);
}

type Qop = Record<'qop' | 'nc' | 'cnonce', string>;

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
