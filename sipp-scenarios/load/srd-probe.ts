import { setTimeout as delay } from 'node:timers/promises';
import { now } from '../../bench/clock.js';
import type { SipPeer } from '../../test/harness/sip-peer.js';
import type { Contender } from './contenders.js';
import { OTHER_NUMBER, OWN_NUMBER, type Stream } from './pairs.js';

/** Times of calls that a peer placed, in ms with fractions: SIPp's own clock moves in steps of the kernel's tick. */
export interface Probed {
  /** From the INVITE to the first response above 100. */
  srdMs: number[];
  placed: number;
  failed: number;
}

/** Calls a second. */
const RATE = 20;

/** Has the peer place calls through a contender, for so many seconds, beside whatever else goes through it. */
export async function probeSrd(
  peer: SipPeer,
  { legOf }: Contender,
  stream: Stream,
  seconds: number,
): Promise<Probed> {
  const { to, over } = legOf(stream);
  const { host, port } = to(0);
  const place = async () => {
    const sent = now();
    const call = peer.invite({
      to: `sip:${stream.number}@${host}:${port}`,
      from: peer.uri(stream.scenario.direction === 'inbound' ? OTHER_NUMBER : OWN_NUMBER),
      via: over ?? { host, port },
    });
    const srdMs = await call.response(({ status }) => status > 100).then(() => now() - sent);
    await call.answered();
    // A BYE right behind the ACK may overtake it.
    await delay(200);
    await call.bye();
    return srdMs;
  };
  const calls = Array.from({ length: seconds * RATE }, async (_, i) => {
    await delay((i * 1000) / RATE);
    return place().catch(() => undefined);
  });
  const srdMs = (await Promise.all(calls)).filter((ms) => ms !== undefined);
  return { srdMs, placed: calls.length, failed: calls.length - srdMs.length };
}
