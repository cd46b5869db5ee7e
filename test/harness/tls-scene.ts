import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Authority, type Certificate, makeAuthority } from './certificates.js';
import { startPeer } from './scene.js';
import type { PeerOptions, SipPeer, TlsOptions } from './sip-peer.js';
import type { TestLike } from './stack.js';

/** One authority that the proxy and its peers trust, and the proxy's own certificate. */
export interface Trust {
  directory: string;
  authority: Authority;
  ours: Certificate;
  /** The section `sip.tls` of a stack. */
  section: { certificate: string; private_key: string; ca: string };
}

/** What the proxy's certificate says. */
export const PROXY_NAME = 'proxy.example.com';

/** Certificates of one test file; they are removed when it ends. */
export async function makeTrust(t: TestLike): Promise<Trust> {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-tls-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const authority = await makeAuthority(directory, 'authority');
  const ours = await authority.issue({
    name: PROXY_NAME,
    altNames: [`DNS:${PROXY_NAME}`, 'IP:127.0.0.1', 'IP:::1'],
  });
  const section = { certificate: ours.certificate, private_key: ours.key, ca: authority.certificate };
  return { directory, authority, ours, section };
}

/** A TLS peer that shows this certificate, or one of the trusted authority for its address. */
export async function startTlsPeer(
  t: TestLike,
  { authority }: Trust,
  host: string,
  options: { certificate?: Certificate; tls?: Partial<TlsOptions> } & Omit<PeerOptions, 'tls'> = {},
): Promise<SipPeer> {
  const { certificate, tls, ...rest } = options;
  const { pem } = certificate ?? (await authority.issue({ name: host, altNames: [`IP:${host}`] }));
  return startPeer(t, { host, transport: 'tls', tls: { ...pem, ca: authority.pem, ...tls }, ...rest });
}

/**
 * A certificate of the trusted authority with this subject, in openssl's form (`/CN=name`, `/` for none), and
 * these extensions alone.
 *
 * @throws Error with openssl's own words
 */
export async function signCertificate(
  { directory, authority }: Trust,
  subject: string,
  extensions: readonly string[],
): Promise<Certificate> {
  const own = await mkdtemp(join(directory, 'signed-'));
  const files = { certificate: join(own, 'certificate.pem'), key: join(own, 'key.pem') };
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-CA', authority.certificate, '-CAkey', join(dirname(authority.certificate), 'key.pem')],
    ...['-subj', subject, '-keyout', files.key, '-out', files.certificate],
    ...extensions.flatMap((extension) => ['-addext', extension]),
  ]);
  const [cert, key] = await Promise.all([readFile(files.certificate, 'utf8'), readFile(files.key, 'utf8')]);
  return { ...files, pem: { cert, key } };
}
