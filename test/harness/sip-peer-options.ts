import type { RequestHandler } from './sip-call.js';
import type { IncomingCall } from './sip-incoming-call.js';
import type { Remote, TransportKind } from './sip-transport.js';

/** What to do with an OPTIONS outside a dialog: answer with a status, say nothing, or call a function. */
export type OptionsPolicy = number | 'silent' | RequestHandler;

export interface PeerBehaviour {
  /** What to do with a new call; without it calls are refused with 480. */
  onInvite?: (call: IncomingCall) => void;
  /** Default: 200. */
  onOptions?: OptionsPolicy;
  /** Other requests outside a dialog; without it they are answered 405. */
  onRequest?: RequestHandler;
  /** Answer BYE, OPTIONS, INFO, UPDATE and NOTIFY in a dialog with 200. Default: true. */
  autoAnswer?: boolean;
}

export interface PeerOptions {
  readonly transport?: TransportKind;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Default: 0, any free port. */
  readonly port?: number;
  readonly behaviour?: PeerBehaviour;
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
