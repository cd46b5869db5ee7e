import type { Test } from 'tap';
import { PATIENCE_MS } from './await.js';
import { type IncomingCall, type PeerOptions, SipPeer, type TransportKind } from './sip-peer.js';

/** A peer that stops with the test. */
export async function start(t: Test, options: PeerOptions): Promise<SipPeer> {
  const peer = await SipPeer.start(options);
  t.teardown(() => peer.stop());
  return peer;
}

/** A caller and a callee; `call` waits for the callee's side of the next call. */
export async function pair(t: Test, transport: TransportKind, options: PeerOptions = {}) {
  const caller = await start(t, { transport, ...options });
  const callee = await start(t, { transport, ...options });
  const waiting: ((call: IncomingCall) => void)[] = [];
  const arrived: IncomingCall[] = [];
  callee.onInvite = (call) => {
    const waiter = waiting.shift();
    if (waiter) waiter(call);
    else arrived.push(call);
  };
  const call = () =>
    new Promise<IncomingCall>((resolve) => {
      const here = arrived.shift();
      if (here) resolve(here);
      else waiting.push(resolve);
    });
  return { caller, callee, call };
}

/** A call from one peer to another that was answered and acknowledged. */
export async function answeredCall(t: Test, transport: TransportKind, options: PeerOptions = {}) {
  const { caller, callee, call } = await pair(t, transport, options);
  const out = caller.invite({ to: callee.uri('bob') });
  const incoming = await call();
  incoming.answer();
  await out.answered();
  await incoming.acked;
  return { caller, callee, out, incoming };
}

/** Waits until `condition` holds. @throws Error where that takes too long. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('the condition did not come true in time');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
