import { startBareKamailio } from '../../bench/bare-kamailio.js';
import { startPeer } from '../../test/harness/scene.js';
import type { TestLike } from '../../test/harness/stack.js';
import type { Callee } from './callees.js';
import type { Leg } from './drive.js';
import { type Address, LOOPBACK, OWN_NUMBER, type Stream } from './pairs.js';
import { type OwnSystem, type System, startOwnSystem, WORKERS } from './system.js';

export const CONTENDERS = ['generator', 'shipped', 'bare', 'ours'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

/** What each is called. */
export const CONTENDER_TITLES: Readonly<Record<ContenderName, string>> = {
  generator: 'SIPp to SIPp, no proxy',
  shipped: 'bare Kamailio as shipped',
  bare: 'bare Kamailio, tlsf',
  ours: 'retell-sip-proxy',
};

/** One way that the same calls take from the same callers to the same callees. */
export interface Contender {
  name: ContenderName;
  system: System;
  legOf: (stream: Stream) => Leg;
}

/**
 * The same for each, in MiB: a Kamailio that has no memory left refuses calls long before it has no CPU left. A bare one
 * takes 0.16 MiB of shared memory for each call a second, ours 0.23 and a queue of events beside it.
 */
const MEMORY = { sharedMemoryMb: 4096, packageMemoryMb: 16 };

/** All of them. Of ours it is known that its calls can be forgotten. */
export type Contenders = Record<ContenderName, Contender> & { ours: { system: OwnSystem } };

/** Starts all of them, so that they can take turns. */
export async function startContenders(
  t: TestLike,
  direction: 'inbound' | 'outbound',
  callees: readonly [Callee, ...Callee[]],
): Promise<Contenders> {
  const calleeOf = (pair: number): Address => callees[pair] ?? callees[0];
  const asking = await startPeer(t, { host: LOOPBACK.callerHost(251, direction), trace: false });
  const answering = `sip:ready@${callees[0].host}:${callees[0].port}`;
  const bare = async (name: 'shipped' | 'bare', allocator: 'shipped' | 'tlsf'): Promise<Contender> => {
    const options = { workers: WORKERS, ...MEMORY, allocator, asking, answering };
    const { host, port, group } = await startBareKamailio(t, options);
    return {
      name,
      system: withoutFigures({ host, port }, () => ({ Kamailio: group })),
      legOf: (stream) => ({ stream, to: calleeOf, over: { host, port } }),
    };
  };
  const isInbound = direction === 'inbound';
  const own = await startOwnSystem(t, {
    transport: 'udp',
    retell: isInbound ? callees : [],
    carrier: isInbound ? [] : callees,
    numbers: [OWN_NUMBER],
    sharedMemoryMb: MEMORY.sharedMemoryMb,
  });
  return {
    generator: {
      name: 'generator',
      system: withoutFigures(calleeOf(0), () => ({})),
      legOf: (stream) => ({ stream, to: calleeOf }),
    },
    shipped: await bare('shipped', 'shipped'),
    bare: await bare('bare', 'tlsf'),
    ours: { name: 'ours', system: own, legOf: (stream) => ({ stream, to: () => own.sip }) },
  };
}

/** What has no figures of its own, and no records. */
function withoutFigures(sip: Address, groups: System['groups']): System {
  return {
    sip,
    groups,
    metrics: () => Promise.resolve(undefined),
    countRecords: () => Promise.resolve(undefined),
  };
}
