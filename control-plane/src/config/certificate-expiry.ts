import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SYSTEM_ROOTS } from './schema/sip.js';
import type { Config } from './schema.js';

/** When the first certificate of a configured file ends. */
export interface CertificateExpiry {
  certificate: 'server' | 'ca';
  /** ms since 1970 */
  expiresAt: number;
}

/**
 * When the files of `sip.tls` end, as they are now. The system's own roots are left out: some of them are always about
 * to end, and its updates renew them. So is what cannot be read.
 */
export async function certificateExpiries({ sip }: Config): Promise<CertificateExpiry[]> {
  if (sip.tls === undefined) return [];
  const { certificate, ca } = sip.tls;
  const files = [
    { certificate: 'server', path: certificate } as const,
    ...(ca === SYSTEM_ROOTS ? [] : [{ certificate: 'ca', path: ca } as const]),
  ];
  const expiries = await Promise.all(
    files.map(async ({ certificate, path }) => {
      const expiresAt = await firstExpiry(path).catch(() => undefined);
      return expiresAt === undefined ? [] : [{ certificate, expiresAt }];
    }),
  );
  return expiries.flat();
}

/** undefined where the file holds no certificate */
async function firstExpiry(path: string): Promise<number | undefined> {
  const pem = await readFile(path, 'utf8');
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  const ends = blocks.map((block) => Date.parse(new X509Certificate(block).validTo));
  return ends.length === 0 ? undefined : Math.min(...ends);
}
