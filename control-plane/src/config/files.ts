import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import type { Show } from './describe.js';
import type { ConfigProblem } from './errors.js';
import { collect } from './path.js';
import { Refusal } from './refusal.js';

/**
 * Checks the files that the configuration names: that those of `sip.tls` can be read, are PEM, and that the key
 * belongs to the certificate. A relative path starts at the working directory.
 *
 * @param config may be malformed; what cannot be read of it is left out
 * @param show shows a path; without it none is shown, because one that came from the environment may be a secret
 * @param skip keys whose value is known to be wrong
 */
export async function checkFiles(
  config: unknown,
  show: Show = hidden,
  skip: ReadonlySet<string> = new Set(),
): Promise<ConfigProblem[]> {
  const problems: ConfigProblem[] = [];

  /** What `read` makes of the file that the key names; nothing where there is none, or where it refuses it. */
  async function load<T>(key: string, read: (pem: string) => T, showPath = show): Promise<T | undefined> {
    const [file] = collect(config, key);
    if (file === undefined || skip.has(key)) return undefined;
    try {
      return read(await textOf(file.value));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push({ path: key, message: `${showPath(key, file.value)} ${error.message}` });
      return undefined;
    }
  }

  const chain = await load('sip.tls.certificate', certificates);
  const key = await load('sip.tls.private_key', privateKey, hidden);
  await load('sip.tls.ca', certificates);
  if (key !== undefined && chain?.[0]?.checkPrivateKey(key) === false) {
    problems.push({
      path: 'sip.tls.private_key',
      message:
        'is not the key of the first certificate in sip.tls.certificate; give the one that it was made with, or put our own certificate first there',
    });
  }
  return problems;
}

function hidden(): string {
  return 'the file';
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Refusal(unreadable(path, (error as NodeJS.ErrnoException).code));
  }
}

function unreadable(path: string, code: string | undefined): string {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return isAbsolute(path)
        ? 'does not exist; check the path'
        : `does not exist; check the path, which starts at ${process.cwd()}`;
    case 'EACCES':
    case 'EPERM':
      return 'may not be read by this user; change its owner or mode';
    case 'EISDIR':
      return 'is a directory; give the path of a file';
    default:
      return `cannot be read (${code}); check the path and the disk`;
  }
}

/** All certificates of a PEM file, in its order. */
function certificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  if (blocks.length === 0) {
    throw new Refusal('holds no certificate; give a PEM file, with BEGIN CERTIFICATE in it');
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new Refusal(`holds a certificate that is broken, number ${index + 1}; write the file anew`);
    }
  });
}

function privateKey(pem: string): KeyObject {
  if (/ENCRYPTED/.test(pem)) {
    throw new Refusal('holds a key with a passphrase; take it off with openssl pkey -in OLD -out NEW');
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Refusal('holds no private key that can be read; give a PEM file with a key and no passphrase');
  }
}
