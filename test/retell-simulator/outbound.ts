import { createHash } from 'node:crypto';
import type { Header, OutgoingCall, SipMessage, SipPeer, TransportKind } from '../harness/sip-peer.js';
import { later } from '../harness/sip-transaction.js';
import { parseUri } from '../harness/sip-values.js';
import type { SimulatorOptions } from './behaviour.js';
import type { CallEntry, Calls } from './calls.js';

/** How long the answer to a cancelled INVITE may take. */
const CANCEL_MS = 32_000;

export interface Dialler {
  readonly udp: SipPeer;
  readonly tcp: SipPeer;
  readonly options: SimulatorOptions;
  readonly calls: Calls;
}

/**
 * Places an outbound call at the termination URI as Retell does (retell.md 1.6): over TCP unless it says UDP,
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
  const termination = parseTermination(terminationUri);
  const peer = dialler[termination.transport];
  const { to_number, from_number } = entry.call;
  const requestUri = `sip:${to_number}@${termination.host}:${termination.port};transport=${termination.transport}`;
  const headers: Header[] = Object.entries(custom);
  const invite = {
    to: `sip:${to_number}@${termination.host}`,
    from: peer.uri(from_number),
    requestUri,
    via: termination,
    headers,
  };
  const ringMs = options.ringDurationMs ?? 30_000;
  let call = peer.invite(invite);
  let final = await ringOut(call, ringMs);
  if (final && (final.status === 401 || final.status === 407) && options.digest) {
    const credentials = authorization(final, 'INVITE', requestUri, options.digest);
    call = peer.invite({ ...invite, callId: call.callId, cseq: 2, headers: [...headers, credentials] });
    final = await ringOut(call, ringMs);
  }
  if (!final || final.status >= 300) {
    calls.ended(entry, reasonFor(final?.status ?? 408));
    return undefined;
  }
  await call.answered();
  return call;
}

/** @throws SipParseError if the termination URI is no URI, `host:port` or host. */
export function parseTermination(text: string): { host: string; port: number; transport: TransportKind } {
  const uri = parseUri(/^sips?:/i.test(text) ? text : `sip:${text}`);
  const transport = uri.params.get('transport')?.toLowerCase() === 'udp' ? 'udp' : 'tcp';
  return { host: uri.host, port: uri.port ?? 5060, transport };
}

/** The final response, if there is one; a call that is not answered in time is cancelled. */
async function ringOut(call: OutgoingCall, ringMs: number): Promise<SipMessage | undefined> {
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

/** The Authorization or Proxy-Authorization header for a challenge (RFC 2617 3.2.2, MD5, qop auth or none). */
function authorization(
  challenge: SipMessage,
  method: string,
  uri: string,
  { username, password }: { username: string; password: string },
): Header {
  const proxy = challenge.status === 407;
  const header = challenge.get(proxy ? 'proxy-authenticate' : 'www-authenticate') ?? '';
  const field = (name: string) => new RegExp(`\\b${name}="?([^",]*)`, 'i').exec(header)?.[1] ?? '';
  const [realm, nonce, opaque] = [field('realm'), field('nonce'), field('opaque')];
  const ha1 = md5(`${username}:${realm}:${password}`);
  const ha2 = md5(`${method}:${uri}`);
  const parts = [`username="${username}"`, `realm="${realm}"`, `nonce="${nonce}"`, `uri="${uri}"`];
  if (field('qop') === '') {
    parts.push(`response="${md5(`${ha1}:${nonce}:${ha2}`)}"`);
  } else {
    const cnonce = md5(`${nonce}${uri}`).slice(0, 16);
    const response = md5(`${ha1}:${nonce}:00000001:${cnonce}:auth:${ha2}`);
    parts.push(`response="${response}"`, 'qop=auth', 'nc=00000001', `cnonce="${cnonce}"`);
  }
  if (opaque !== '') parts.push(`opaque="${opaque}"`);
  return [proxy ? 'Proxy-Authorization' : 'Authorization', `Digest ${parts.join(', ')}, algorithm=MD5`];
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
