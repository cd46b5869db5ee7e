import { X509Certificate } from 'node:crypto';
import { isIP, type NetConnectOpts } from 'node:net';
import {
  checkServerIdentity,
  connect,
  createServer,
  type PeerCertificate,
  type SecureVersion,
  type Server,
  type TLSSocket,
} from 'node:tls';
import { Mailbox } from './mailbox.js';

/** How a peer speaks TLS. Keys and certificates are PEM texts. */
export interface TlsOptions {
  /** This peer's certificate, shown as server and, unless {@link asClient} is off, as client. */
  readonly key: string;
  readonly cert: string;
  /** What the far end's certificate is verified against, in both roles; without it any certificate will do. */
  readonly ca?: string | string[];
  /** As server: ask clients for a certificate; with `ca` one that does not verify ends the connection. */
  readonly requestCert?: boolean;
  /** As client: the name asked for by SNI, which the certificate must bear. Default: the next hop's host. */
  readonly servername?: string;
  /** As client: show the certificate when asked. Default: true. */
  readonly asClient?: boolean;
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
}

/** Which side of the handshake this peer was. */
export type TlsRole = 'client' | 'server';

/** A connection that TLS ended: by this peer, which did not trust the far end, or by the far end. */
export interface TlsFailure {
  readonly role: TlsRole;
  /** Such as `CERT_HAS_EXPIRED` (own verdict) or `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA` (the far end's alert). */
  readonly code: string;
  readonly message: string;
}

/** The certificate that the far end showed in a finished handshake. */
export interface PresentedCertificate {
  /** This peer's role, so that `server` means a client's certificate. */
  readonly role: TlsRole;
  /** As `CN=name`, one line for each part. */
  readonly subject: string;
  /** Such as `DNS:sip.example.com, IP Address:192.0.2.1`; empty if there are none. */
  readonly altNames: string;
  readonly pem: string;
  /** Whether it verified against `ca`, and as client also its name. */
  readonly authorized: boolean;
}

/** What TLS showed on one peer. */
export class TlsLog {
  readonly failures: TlsFailure[] = [];
  readonly certificates: PresentedCertificate[] = [];
  readonly #mailbox = new Mailbox<TlsFailure>({
    summarise: ({ role, code, message }) => `${role} ${code} ${message}`,
    keep: true,
    consume: true,
  });

  /** The next failure that was not taken yet. @throws Error after `timeoutMs`. */
  next(timeoutMs: number): Promise<TlsFailure> {
    return this.#mailbox.take(() => true, 'TLS failure', timeoutMs);
  }

  fail(role: TlsRole, error: Error & { code?: string }): void {
    const failure = { role, code: error.code ?? '', message: error.message.trim() };
    this.failures.push(failure);
    this.#mailbox.push(failure);
  }

  /**
   * Notes the certificate of a finished handshake.
   * @returns why the connection must not go on; undefined if it may
   */
  judge(role: TlsRole, socket: TLSSocket, options: TlsOptions): Error | undefined {
    const certificate = socket.getPeerX509Certificate();
    if (certificate) {
      this.certificates.push({
        role,
        subject: certificate.subject,
        altNames: certificate.subjectAltName ?? '',
        pem: certificate.toString(),
        authorized: socket.authorized,
      });
    }
    const asked = role === 'client' || options.requestCert === true;
    if (!asked || options.ca === undefined || socket.authorized) return undefined;
    const code = String(socket.authorizationError);
    return Object.assign(new Error(`the far end's certificate is not trusted: ${code}`), { code });
  }

  close(why: string): void {
    this.#mailbox.close(why);
  }
}

/** A server that leaves the verdict on clients' certificates to {@link TlsLog.judge}, which notes it. */
export function tlsServer(options: TlsOptions): Server {
  const { requestCert = false } = options;
  return createServer({ ...context(options, true), requestCert, rejectUnauthorized: false, noDelay: true });
}

/** Connects; the verdict on the server's certificate is left to {@link TlsLog.judge}. */
export function tlsConnect(to: NetConnectOpts & { host: string }, options: TlsOptions): TLSSocket {
  const { asClient = true, servername = to.host } = options;
  return connect({
    ...to,
    ...context(options, asClient),
    rejectUnauthorized: false,
    // An address is no server name (RFC 6066 3).
    ...(isIP(servername) === 0 ? { servername } : {}),
    checkServerIdentity: (_, certificate) => identityFault(servername, certificate),
  });
}

/** As `checkServerIdentity`, which knows no IPv6 address in Debian 13's own Node.js. */
function identityFault(name: string, certificate: PeerCertificate): Error | undefined {
  const bears = isIP(name) !== 0 && new X509Certificate(certificate.raw).checkIP(name) !== undefined;
  return bears ? undefined : checkServerIdentity(name, certificate);
}

function context(options: TlsOptions, withCertificate: boolean) {
  const { key, cert, ca, minVersion, maxVersion } = options;
  const old = maxVersion === 'TLSv1' || maxVersion === 'TLSv1.1';
  return {
    ...(withCertificate ? { key, cert } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(minVersion ? { minVersion } : {}),
    ...(maxVersion ? { maxVersion } : {}),
    // OpenSSL speaks these versions at its lowest security level only.
    ...(old ? { minVersion: 'TLSv1' as const, ciphers: 'DEFAULT@SECLEVEL=0' } : {}),
  };
}
