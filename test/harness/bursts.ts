import { setTimeout as delay } from 'node:timers/promises';
import { dial, type Scene, type SceneOptions, startScene } from './scene.js';
import type { OutgoingCall, SipMessage } from './sip-peer.js';
import { CARRIER_HOST, type ConfigSections, type TestLike } from './stack.js';

/** What came of calls that were placed at once. */
export interface Burst {
  /** Answered and acknowledged. */
  up: OutgoingCall[];
  refused: SipMessage[];
}

/** Limits of one thing in a configuration. */
export interface Limits {
  concurrent_calls?: number;
  calls_per_second?: number;
}

/** A scene whose carrier only calls. */
export function limitedScene(
  t: TestLike,
  limits: Limits | undefined,
  { config, ...options }: Omit<SceneOptions, 'config' | 'transport'> & { config?: ConfigSections } = {},
): Promise<Scene> {
  const acme = {
    name: 'acme',
    networks: [CARRIER_HOST],
    gateways: [{ uri: `sip:${CARRIER_HOST}` }],
    probe: false,
    ...(limits && { limits }),
  };
  return startScene(t, { config: { carriers: [acme], ...config }, ...options });
}

/** Places calls all at once and waits for what becomes of each. */
export async function burst(place: () => OutgoingCall, calls: number): Promise<Burst> {
  const placed = Array.from({ length: calls }, place);
  const done = await Promise.all(
    placed.map(async (call) => ({ call, response: await call.finalResponse() })),
  );
  const up = done.filter(({ response }) => response.status === 200).map(({ call }) => call);
  await Promise.all(up.map((call) => call.answered()));
  return {
    up,
    refused: done.map(({ response }) => response).filter(({ status }) => status !== 200),
  };
}

/** The carrier calls a number many times at once. */
export function inboundBurst(scene: Scene, calls: number, number?: string): Promise<Burst> {
  return burst(() => dial(scene, number), calls);
}

/** The callers hang up. */
export async function hangUp(calls: readonly OutgoingCall[]): Promise<void> {
  await Promise.all(calls.map((call) => call.bye()));
}

/**
 * Does something within one second of the clock, soon after its beginning.
 *
 * @param undo puts things back where the second was over too soon, and it is tried again
 * @throws Error where a second is too short each time
 */
export async function withinOneSecond<T>(
  act: () => Promise<T>,
  undo: (result: T) => Promise<void>,
): Promise<T> {
  for (let tries = 0; tries < 5; tries++) {
    // 20 ms for a clock that is read a little late.
    await delay(1020 - (Date.now() % 1000));
    const second = Math.floor(Date.now() / 1000);
    const result = await act();
    if (Math.floor(Date.now() / 1000) === second) return result;
    await undo(result);
  }
  throw new Error('one second is too short');
}
