import { createHash, randomBytes } from 'node:crypto';

export interface DigestCredentials {
  username: string;
  password: string;
  /** the only realm that is answered; without it, any */
  realm?: string | undefined;
}

/** Hashes that are answered, by the challenge's `algorithm` in lower case. */
const HASHES = new Map([
  ['md5', 'md5'],
  ['sha-256', 'sha256'],
]);

/**
 * The answer to a digest challenge (RFC 7616, RFC 8760): a value for Authorization or Proxy-Authorization.
 *
 * @param challenge value of WWW-Authenticate or Proxy-Authenticate
 * @returns undefined where it is none that can be answered: another scheme, realm or algorithm, or no `qop=auth`
 */
export function answerChallenge(
  challenge: string,
  request: { method: string; uri: string },
  { username, password, realm: onlyRealm }: DigestCredentials,
): string | undefined {
  const parameters = parametersOf(challenge);
  const { realm, nonce, opaque, qop, algorithm = 'MD5' } = parameters ?? {};
  const hash = HASHES.get(algorithm.toLowerCase());
  if (realm === undefined || nonce === undefined || hash === undefined) return undefined;
  if (onlyRealm !== undefined && realm !== onlyRealm) return undefined;
  // It is sent back in quotes.
  if ([realm, nonce, opaque ?? ''].some((text) => /["\\]/.test(text))) return undefined;
  if (qop !== undefined && !qop.split(',').some((one) => one.trim() === 'auth')) return undefined;
  const digest = (text: string) => createHash(hash).update(text).digest('hex');
  const who = digest(`${username}:${realm}:${password}`);
  const what = digest(`${request.method}:${request.uri}`);
  const cnonce = randomBytes(8).toString('hex');
  const response =
    qop === undefined
      ? digest(`${who}:${nonce}:${what}`)
      : digest(`${who}:${nonce}:00000001:${cnonce}:auth:${what}`);
  return [
    `Digest username="${username}"`,
    `realm="${realm}"`,
    `nonce="${nonce}"`,
    `uri="${request.uri}"`,
    `response="${response}"`,
    `algorithm=${algorithm}`,
    ...(opaque === undefined ? [] : [`opaque="${opaque}"`]),
    ...(qop === undefined ? [] : ['qop=auth', 'nc=00000001', `cnonce="${cnonce}"`]),
  ].join(', ');
}

/** The parameters of the first challenge in a header; undefined where it is no digest. */
function parametersOf(header: string): Record<string, string> | undefined {
  const [, list] = /^\s*Digest\s+(.*)$/is.exec(header) ?? [];
  if (list === undefined) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name = '', quoted, token] of list.matchAll(
    /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g,
  )) {
    parameters[name.toLowerCase()] ??= quoted ?? token ?? '';
  }
  return parameters;
}
