import type { RequestHandler } from './sip-call.js';
import type { DigestOptions } from './sip-digest.js';
import type { IncomingCall } from './sip-incoming-call.js';
import type { RegistrarOptions } from './sip-registrar.js';
import type { TlsOptions } from './sip-tls.js';
import type { Remote, TransportKind } from './sip-transport.js';

/** What to do with an OPTIONS outside a dialog: answer with a status, say nothing, or call a function. */
export type OptionsPolicy = number | 'silent' | RequestHandler;

export interface PeerBehaviour {
  /** What to do with a new call; without it calls are refused with 480. */
  onInvite?: (call: IncomingCall) => void;
  /** New calls need these credentials: 401 or 407 without them or with a used nonce, 403 with wrong ones. */
  digest?: DigestOptions;
  /** Take REGISTER, with credentials. */
  registrar?: RegistrarOptions;
  /** Default: 200. */
  onOptions?: OptionsPolicy;
  /** Other requests outside a dialog; without it they are answered 405. */
  onRequest?: RequestHandler;
  /** Answer BYE, OPTIONS, INFO, UPDATE and NOTIFY in a dialog with 200. Default: true. */
  autoAnswer?: boolean;
}

/** An address that is shown to others. */
export interface Announced {
  /** IPv6 without brackets. */
  readonly host: string;
  /** The peer's own port if left out. */
  readonly port?: number;
}

export interface PeerOptions {
  readonly transport?: TransportKind;
  /** Needed for the transport `tls`. */
  readonly tls?: TlsOptions;
  /** An address, IPv6 without brackets. Default: 127.0.0.1. */
  readonly host?: string;
  /** Default: 0, any free port. */
  readonly port?: number;
  readonly behaviour?: PeerBehaviour;
  /** What Contact shows in the place of this peer's own host and port, as from behind NAT. */
  readonly contact?: Announced;
  /** The same for Via; the answers come back all the same because of its rport (RFC 3581). */
  readonly sentBy?: Announced;
  /**
   * Keep every message for {@link SipPeer.trace} and {@link SipPeer.next}; a number keeps that many of the
   * latest for the trace alone. Default: true; off for load.
   */
  readonly trace?: boolean | number;
  /** RFC 3261's T1 in milliseconds. Default: 500. */
  readonly t1Ms?: number;
  /** A request without any response fails with a made-up 408 after this. Default: 8000 ms. */
  readonly timeoutMs?: number;
  /** How long finished calls and transactions are remembered. Default: 32000 ms, 5000 ms with tracing off. */
  readonly lingerMs?: number;
  /** Where messages for a host go, for names that DNS does not know. */
  readonly resolve?: (host: string, port: number) => Remote;
}
