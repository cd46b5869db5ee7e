import { DUE_KINDS } from '../../control-plane/src/calls/due/kinds.js';
import type { CallEntry, NumberBehaviour } from '../retell-simulator/simulator.js';
import { eventually } from './await.js';
import { type RegisterScene, startRegisterScene } from './register-scene.js';
import { dial, recordOf } from './scene.js';
import type { IncomingCall, OutgoingCall, SipPeer } from './sip-peer.js';
import type { StackOptions, TestLike } from './stack.js';

export interface ReaperSceneOptions extends Pick<StackOptions, 'controlPlane'> {
  /** What Retell does with all calls. */
  behaviour?: Partial<NumberBehaviour>;
  grace_s?: number;
  /** Other keys of the section calls. */
  calls?: Record<string, unknown>;
}

/** A register scene whose reaper looks without a grace time, and whose Retell tells the proxy of its calls. */
export async function startReaperScene(
  t: TestLike,
  mode: 'off' | 'observe' | 'on',
  options: ReaperSceneOptions = {},
): Promise<RegisterScene> {
  const { behaviour = {}, grace_s = 0, calls = {}, controlPlane = 'inside' } = options;
  const scene = await startRegisterScene(t, {
    calls: { reaper: { stop_at_retell: mode, end_dialogs: mode, grace_s }, ...calls },
    controlPlane,
  });
  scene.simulator.setNumber('*', behaviour);
  scene.simulator.setWebhooks({ url: `${scene.stack.api.url}/webhooks/retell`, retries: 0 });
  return scene;
}

/** A call between the carrier and Retell that is up on both sides, as each of them knows it. */
export interface ReaperCall {
  caller: OutgoingCall;
  callee: IncomingCall;
  entry: CallEntry;
  record: Awaited<ReturnType<typeof recordOf>>;
}

/** The carrier calls, and Retell answers. */
export async function callUp(scene: RegisterScene): Promise<ReaperCall> {
  const caller = dial(scene);
  await caller.answered();
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  const callee = scene.atRetell.find(({ callId }) => callId === caller.callId);
  if (callee === undefined) throw new Error('Retell has no such call');
  await callee.acked;
  const entry = await eventually('Retell counts the call as ongoing', () =>
    scene.simulator.calls
      .all()
      .find(({ call, sip }) => call.call_status === 'ongoing' && sip?.callId === caller.callId),
  );
  return { caller, callee, entry, record };
}

/** How often this peer got a BYE of this call, repetitions of one left out. */
export function byesTo(peer: SipPeer, callId: string): number {
  return peer.trace.filter(
    ({ direction, message, retransmission }) =>
      direction === 'in' &&
      !retransmission &&
      message.kind === 'request' &&
      message.method === 'BYE' &&
      message.callId === callId,
  ).length;
}

/** The record as the API shows it now. */
export async function recordNow({ stack }: RegisterScene, id: string) {
  return (await stack.api.get(`/v1/calls/${id}`)).body;
}

/** Waits until the record's timeline has an entry of this type, and gives all its types. */
export async function told(scene: RegisterScene, id: string, type: string): Promise<string[]> {
  return eventually(`the timeline tells ${type}`, async () => {
    const types = (await recordNow(scene, id)).timeline.map((entry: { type: string }) => entry.type);
    return types.includes(type) && types;
  });
}

/** Waits until no work is left that is due within a minute. */
export async function nothingDue({ stack }: RegisterScene): Promise<void> {
  await eventually('no work is due', async () => {
    const soon = Date.now() + 60_000;
    const due = await Promise.all(
      DUE_KINDS.map((kind) => stack.redis.zcount(`calls:due:${kind}`, '-inf', soon)),
    );
    return due.every((pieces) => pieces === 0);
  });
}
