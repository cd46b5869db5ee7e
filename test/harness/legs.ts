import type { Test } from 'tap';
import { DESTINATION, recordOf } from './scene.js';
import type { Credentials } from './sip-digest.js';
import type { Header, IncomingCall, OutgoingCall, SipCall, SipPeer } from './sip-peer.js';
import { bracketed } from './sip-values.js';
import { NUMBER, type Stack } from './stack.js';

/** Both ends of a call that was answered and acknowledged. */
export interface Legs {
  caller: OutgoingCall;
  callee: IncomingCall;
}

export interface CallOptions {
  /** Which number is dialled. Default: ours from a carrier, {@link DESTINATION} from Retell. */
  to?: string;
  from?: string;
  headers?: readonly Header[];
  digest?: Credentials;
  /** Where the proxy is called. Default: its IPv4 socket of the peer's transport. */
  host?: string;
}

/** An INVITE of a peer to the proxy, over the peer's transport. */
export function place(stack: Stack, peer: SipPeer, options: CallOptions & { to: string }): OutgoingCall {
  const { to, from = '+14155550123', headers = [], digest, host = stack.sip.host } = options;
  const { port } = peer.transport === 'tls' ? stack.sips : stack.sip;
  return peer.invite({
    to: `sip:${to}@${bracketed(host)}:${port}${peer.transport === 'udp' ? '' : `;transport=${peer.transport}`}`,
    from: peer.uri(from),
    via: { host, port, transport: peer.transport },
    headers,
    ...(digest && { digest }),
  });
}

/** The peer's next call, which rings and waits. */
export function nextCall(peer: SipPeer): Promise<IncomingCall> {
  return new Promise((resolve) => {
    peer.onInvite = (call) => {
      call.ring();
      resolve(call);
    };
  });
}

/** Takes every call. */
export function answering(peer: SipPeer): void {
  peer.onInvite = (call) => {
    call.ring();
    call.answer();
  };
}

/** A carrier calls our number and Retell answers. */
export function inbound(
  stack: Stack,
  carrier: SipPeer,
  retell: SipPeer,
  options: CallOptions = {},
): Promise<Legs> {
  return connect(stack, carrier, retell, { to: NUMBER, ...options });
}

/** Retell calls from our number and a carrier answers. */
export function outbound(
  stack: Stack,
  retell: SipPeer,
  carrier: SipPeer,
  options: CallOptions = {},
): Promise<Legs> {
  return connect(stack, retell, carrier, { to: DESTINATION, from: NUMBER, ...options });
}

async function connect(
  stack: Stack,
  from: SipPeer,
  to: SipPeer,
  options: CallOptions & { to: string },
): Promise<Legs> {
  const arrived = nextCall(to);
  const caller = place(stack, from, options);
  const callee = await Promise.race([
    arrived,
    caller.finalResponse().then(({ summary }) => {
      throw new Error(`no call reached ${to.host}:${to.port}: ${summary}`);
    }),
  ]);
  // Sent back to back they may overtake each other in Kamailio's workers.
  await caller.response(180);
  callee.answer();
  await caller.answered();
  await callee.acked;
  return { caller, callee };
}

/** INFO and re-INVITE, from each side to the other. */
export async function exchange(t: Test, { caller, callee }: Legs): Promise<void> {
  for (const [from, to] of [
    [caller, callee],
    [callee, caller],
  ] as [SipCall, SipCall][]) {
    t.equal((await from.request('INFO')).status, 200);
    await to.next('INFO');
    to.on('INVITE', (request) => request.reply(200));
    t.equal((await from.request('INVITE')).status, 200);
    await to.next('INVITE');
  }
}

/** Ends an answered call by the API: each side gets a BYE and answers it. */
export async function hangUp(t: Test, stack: Stack, { caller, callee }: Legs): Promise<void> {
  const { id } = await recordOf(stack, caller.callId, 'answered');
  const { status, body } = await stack.api.post(`/v1/calls/${id}/hangup`);
  t.match({ status, body }, { status: 200, body: { outcome: 'ended' } });
  t.same(
    body.legs.map((leg: { method: string; status: number }) => `${leg.method} ${leg.status}`),
    ['BYE 200', 'BYE 200'],
  );
  await caller.next('BYE');
  await callee.next('BYE');
}
