import { randomUUID } from 'node:crypto';
import type { CallEntry } from '../retell-simulator/simulator.js';
import type { ApiReply } from './api-client.js';
import { eventually } from './await.js';
import { answering, carrierAt } from './outbound.js';
import { type RegisterScene, type RegisterSceneOptions, startRegisterScene } from './register-scene.js';
import { DESTINATION } from './scene.js';
import { NUMBER, type TestLike } from './stack.js';

/** What Retell knows, so that its INVITEs are challenged first. */
export const DIGEST = { username: 'retell', password: 'what-retell-knows' };
export const ORDER = { from: NUMBER, to: DESTINATION };

/** A simulated Retell that calls out through the proxy when its API is asked to, and a carrier that answers. */
export async function startCreationScene(
  t: TestLike,
  options: Pick<RegisterSceneOptions, 'controlPlane' | 'nodes'> = {},
): Promise<RegisterScene> {
  const scene = await startRegisterScene(t, {
    method: 'trunk',
    carriers: (carrier) => [carrierAt('first', carrier)],
    retell: { digest: DIGEST },
    simulator: { digest: DIGEST, concurrencyLimit: 100 },
    calls: { reaper: { stop_at_retell: 'on', end_dialogs: 'on', grace_s: 1 } },
    ...options,
  });
  const { host, port } = scene.stack.sip;
  scene.simulator.terminationUri = `sip:${host}:${port};transport=udp`;
  answering(scene.carrier);
  return scene;
}

/** Asks for a call, with these members beside or in place of those of {@link ORDER}. */
export function create(
  { stack }: RegisterScene,
  order: Record<string, unknown> = {},
  idempotencyKey?: string,
): Promise<ApiReply> {
  const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
  return stack.api.post('/v1/calls', { ...ORDER, ...order }, 'all', headers);
}

/** The record with this id once it is in this state. */
export async function inState({ stack }: RegisterScene, id: string, state: string) {
  return eventually(`call ${id} is ${state}`, async () => {
    const { status, body } = await stack.api.get(`/v1/calls/${id}`);
    return status === 200 && body.state === state ? body : undefined;
  });
}

/** Retell's call for the record with this id. */
export function atRetell({ simulator }: RegisterScene, id: string): CallEntry[] {
  return simulator.calls.all().filter(({ call }) => call.metadata?.call_ref === id);
}

/** From now on Retell dials only when it is told to, once for each call that it was asked for so far. */
export function holdDialling(t: TestLike, { simulator }: RegisterScene): () => void {
  const dial = simulator.dial.bind(simulator);
  const held: (() => void)[] = [];
  simulator.dial = (entry, headers) => void held.push(() => dial(entry, headers));
  t.teardown(() => {
    simulator.dial = dial;
  });
  return () => {
    for (const one of held.splice(0)) one();
  };
}

/** Has the due look at a call that has not come happen now; with `last` nobody looks again after it. */
export async function lookNow({ stack: { redis } }: RegisterScene, id: string, last = false): Promise<void> {
  if (last) await redis.hset('calls:due-tries', `created_call:${id}`, 9);
  await redis.zadd('calls:due:created_call', 'XX', 1, id);
}

export function newKey(): string {
  return `key-${randomUUID()}`;
}

/** Types of a record's timeline, in order. */
export function typesOf(record: { timeline: { type: string }[] }): string[] {
  return record.timeline.map(({ type }) => type);
}
