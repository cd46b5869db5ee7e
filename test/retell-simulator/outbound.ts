import type { Header, OutgoingCall, SipMessage, SipPeer, TransportKind } from '../harness/sip-peer.js';
import { later } from '../harness/sip-transaction.js';
import { parseUri, unbracketed } from '../harness/sip-values.js';
import type { SimulatorOptions } from './behaviour.js';
import type { CallEntry, Calls } from './calls.js';

/** How long the answer to a cancelled INVITE may take. */
const CANCEL_MS = 32_000;

export interface Dialler {
  readonly peers: Readonly<Partial<Record<TransportKind, SipPeer>>>;
  readonly options: SimulatorOptions;
  readonly calls: Calls;
}

/**
 * Places an outbound call at the termination URI as Retell does (retell.md 1.6): over TCP unless it says UDP or TLS,
 * with credentials only after a 401 or 407. Resolves with the answered call, or with undefined after the call
 * was ended with the reason that its SIP status maps to.
 */
export async function dial(
  dialler: Dialler,
  entry: CallEntry,
  terminationUri: string,
  custom: Record<string, string>,
): Promise<OutgoingCall | undefined> {
  const { options, calls } = dialler;
  const { to_number: to, from_number: from } = entry.call;
  const call = placeInvite(dialler, { to, from }, terminationUri, custom);
  if (!call) {
    calls.ended(entry, 'dial_failed');
    return undefined;
  }
  entry.sip = call;
  const final = await ringOut(call, options.ringDurationMs ?? 30_000);
  if (!final || final.status >= 300) {
    calls.ended(entry, reasonFor(final?.status ?? 408));
    return undefined;
  }
  await call.answered();
  return call;
}

/** Sends an INVITE between these numbers; undefined where there is no socket of the termination URI's transport. */
export function placeInvite(
  { peers, options }: Dialler,
  { to, from }: { to: string; from: string },
  terminationUri: string,
  custom: Record<string, string>,
): OutgoingCall | undefined {
  const termination = parseTermination(terminationUri);
  const { written, port, transport } = termination;
  const headers: Header[] = Object.entries(custom);
  return peers[transport]?.invite({
    to: `sip:${to}@${written}`,
    from: peers[transport].uri(from),
    requestUri: `sip:${to}@${written}:${port};transport=${transport}`,
    via: termination,
    headers,
    ...(options.digest ? { digest: options.digest } : {}),
  });
}

/** @throws SipParseError if the termination URI is no URI, `host:port` or host. */
export function parseTermination(text: string): Termination {
  const uri = parseUri(/^sips?:/i.test(text) ? text : `sip:${text}`);
  const asked = uri.params.get('transport')?.toLowerCase();
  const transport = asked === 'udp' || asked === 'tls' ? asked : 'tcp';
  const port = uri.port ?? (transport === 'tls' ? 5061 : 5060);
  return { host: unbracketed(uri.host), written: uri.host, port, transport };
}

interface Termination {
  readonly host: string;
  /** The host as it stands in URIs. */
  readonly written: string;
  readonly port: number;
  readonly transport: TransportKind;
}

/** The final response, if there is one; a call that is not answered in time is cancelled. */
export async function ringOut(call: OutgoingCall, ringMs: number): Promise<SipMessage | undefined> {
  const limit = later(ringMs, () => {
    // Without any response there is nothing to cancel, and the request times out by itself.
    call.cancel().catch(() => undefined);
  });
  const final = await call.finalResponse(ringMs + CANCEL_MS).catch(() => undefined);
  clearTimeout(limit);
  return final;
}

/** retell.md 3.1: what Retell makes of the status that its INVITE got. */
function reasonFor(status: number): string {
  return (
    REASONS[status] ?? (status >= 500 && status < 600 ? 'telephony_provider_unavailable' : 'dial_failed')
  );
}

const REASONS: Readonly<Record<number, string>> = {
  401: 'telephony_provider_permission_denied',
  403: 'telephony_provider_permission_denied',
  404: 'invalid_destination',
  407: 'telephony_provider_permission_denied',
  408: 'dial_no_answer',
  480: 'dial_no_answer',
  482: 'sip_routing_error',
  483: 'sip_routing_error',
  484: 'invalid_destination',
  486: 'dial_busy',
  487: 'dial_no_answer',
  600: 'dial_busy',
  603: 'user_declined',
  604: 'invalid_destination',
  607: 'marked_as_spam',
  608: 'marked_as_spam',
};
