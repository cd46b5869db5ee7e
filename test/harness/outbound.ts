import { type Scene, type SceneOptions, startPeer, startScene } from './scene.js';
import type { SipMessage, SipPeer } from './sip-peer.js';
import { CARRIER_HOST, type ConfigSections, type Stack, type TestLike } from './stack.js';

/** Keys of a carrier in a configuration; `priority` is that of its one gateway. */
export type CarrierKeys = Record<string, unknown> & { priority?: number };

/** A scene with two carriers for outbound calls; `carrier` is the first. */
export interface TwoCarriers extends Scene {
  second: SipPeer;
}

/** Parts of the configuration beside the carriers, and keys of theirs. */
export interface OutboundOptions extends Omit<SceneOptions, 'config' | 'transport'> {
  config?: Omit<ConfigSections, 'carriers'>;
  first?: CarrierKeys;
  second?: CarrierKeys;
}

/** The URI of a peer as a gateway. */
export function gatewayOf({ host, port }: { host: string; port: number }): string {
  return `sip:${host}:${port}`;
}

/** A carrier that takes calls to +1, at one gateway. */
export function carrierAt(
  name: string,
  peer: { host: string; port: number },
  { priority = 1, ...keys }: CarrierKeys = {},
): Record<string, unknown> {
  return {
    name,
    networks: [peer.host],
    gateways: [{ uri: gatewayOf(peer), priority }],
    prefixes: ['+1'],
    probe: false,
    ...keys,
  };
}

/** A scene whose one carrier takes calls to +1. */
export async function oneCarrier(t: TestLike, options: OutboundOptions = {}): Promise<Scene> {
  const { config, first, ...stackOptions } = options;
  return startScene(t, {
    config: ({ carrier }) => ({ carriers: [carrierAt('first', carrier, first)], ...config }),
    ...stackOptions,
  });
}

/** A scene whose two carriers take calls to +1, the second one where the first does not. */
export async function twoCarriers(t: TestLike, options: OutboundOptions = {}): Promise<TwoCarriers> {
  const { config, first, second: secondKeys, ...stackOptions } = options;
  const second = await startPeer(t, { host: CARRIER_HOST.replace(/\d+$/, '4') });
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      carriers: [
        carrierAt('first', carrier, first),
        carrierAt('second', second, { priority: 2, ...secondKeys }),
      ],
      ...config,
    }),
    ...stackOptions,
  });
  answering(second);
  return { ...scene, second };
}

/** From now on the peer takes every call. */
export function answering(peer: SipPeer): void {
  peer.onInvite = (call) => call.answer();
}

/** From now on the peer refuses every call. */
export function refusing(peer: SipPeer, status: number): void {
  peer.onInvite = (call) => call.refuse(status);
}

/** The INVITEs of a call that the peer has got so far, retransmissions excepted. */
export function invitesOf(peer: SipPeer, { callId }: { callId: string }): SipMessage[] {
  return peer.trace
    .filter(({ direction, retransmission }) => direction === 'in' && !retransmission)
    .map(({ message }) => message)
    .filter(
      (message) => message.method === 'INVITE' && message.kind === 'request' && message.callId === callId,
    );
}

/** What the timeline says of gateways that did not take the call. */
export function failedAttempts(record: { timeline: { type: string; carrier?: string }[] }) {
  return record.timeline.filter(({ type }) => type === 'attempt_failed');
}

/** One of Kamailio's own counters of the script. */
export async function counter({ rpc }: Stack, name: string): Promise<number> {
  const statistics = (await rpc.call('stats.fetch', ['script:'])) as Record<string, string>;
  return Number(statistics[`script.${name}`]);
}
