import { randomBytes } from 'node:crypto';
import type { IncomingCall, SipPeer } from '../test/harness/sip-peer.js';
import { now } from './clock.js';

/** Where a call goes: a next hop, and what it is asked for. */
export interface Target {
  host: string;
  port: number;
  requestUri: string;
}

/** One call's times on the clock of clock.ts. */
export interface Sample {
  /** The carrier's INVITE leaves. */
  sent: number;
  /** The INVITE is with the callee. */
  arrived: number;
  /** The callee's 180 is with the carrier. */
  rang: number;
  /** The proxy's id of the call; empty behind the bare Kamailio. */
  id: string;
}

/** Places calls that ring, are answered and are ended at once by the caller. */
export class Dialer {
  readonly #carrier: SipPeer;
  readonly #awaited = new Map<string, (callee: IncomingCall, arrived: number) => void>();

  constructor(carrier: SipPeer, retell: SipPeer) {
    this.#carrier = carrier;
    retell.onInvite = (callee) => {
      const arrived = now();
      this.#awaited.get(callee.message.callId)?.(callee, arrived);
    };
  }

  /** One call from its INVITE to the answer to its BYE. @throws Error where it fails: no figure comes from such a run */
  async place({ host, port, requestUri }: Target): Promise<Sample> {
    const callId = randomBytes(12).toString('hex');
    const reached = new Promise<{ callee: IncomingCall; arrived: number }>((resolve) => {
      this.#awaited.set(callId, (callee, arrived) => {
        callee.ring();
        resolve({ callee, arrived });
      });
    });
    const from = this.#carrier.uri('+14155550123');
    const sent = now();
    const call = this.#carrier.invite({ to: requestUri, from, via: { host, port }, callId });
    const rang = call.response(180).then(now);
    const refused = call.finalResponse().then(({ summary }) => {
      throw new Error(`a call through ${host}:${port} was not answered: ${summary}`);
    });
    const { callee, arrived } = await Promise.race([reached, refused]);
    const sample = { sent, arrived, rang: await rang, id: callee.message.get('x-call-ref') ?? '' };
    this.#awaited.delete(callId);
    callee.answer();
    await call.answered();
    const { status } = await call.bye();
    if (status !== 200) throw new Error(`a BYE through ${host}:${port} is answered ${status}`);
    return sample;
  }
}
