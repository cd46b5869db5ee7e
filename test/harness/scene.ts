import type { Test } from 'tap';
import { eventually } from './await.js';
import type { Credentials } from './sip-digest.js';
import { type IncomingCall, type OutgoingCall, SipPeer } from './sip-peer.js';
import {
  CARRIER_HOST,
  type ConfigSections,
  NUMBER,
  RETELL_HOST,
  type Stack,
  type StackOptions,
  startStack,
  type TestLike,
} from './stack.js';

/** A stack between a scripted carrier and a scripted Retell. */
export interface Scene {
  stack: Stack;
  carrier: SipPeer;
  retell: SipPeer;
}

export interface SceneOptions extends Omit<StackOptions, 'gateways' | 'config'> {
  transport?: 'udp' | 'tcp';
  /** Parts of the configuration, which may need the peers' ports. */
  config?: ConfigSections | ((peers: { carrier: SipPeer; retell: SipPeer }) => ConfigSections);
  /** Retell's gateways, where they are not the one scripted peer. */
  gateways?: (retell: SipPeer) => StackOptions['gateways'];
}

/** Starts both peers and a stack between them, for one test. */
export async function startScene(t: TestLike, options: SceneOptions = {}): Promise<Scene> {
  const { transport = 'udp', gateways, config = {}, ...stackOptions } = options;
  const carrier = await startPeer(t, { host: CARRIER_HOST, transport });
  const retell = await startPeer(t, { host: RETELL_HOST, transport });
  const uri = `sip:${retell.host}:${retell.port};transport=${transport}`;
  const stack = await startStack(t, {
    gateways: gateways?.(retell) ?? [{ uri }],
    config: typeof config === 'function' ? config({ carrier, retell }) : config,
    ...stackOptions,
  });
  return { stack, carrier, retell };
}

/** A scripted peer that stops when the test ends. */
export async function startPeer(t: TestLike, options: Parameters<typeof SipPeer.start>[0]): Promise<SipPeer> {
  const peer = await SipPeer.start(options);
  t.teardown(() => peer.stop());
  return peer;
}

/** The carrier dials a number at the proxy. */
export function dial(
  { stack, carrier }: Scene,
  number = NUMBER,
  headers: [string, string][] = [],
): OutgoingCall {
  return carrier.invite({
    to: `sip:${number}@${stack.sip.host}:${stack.sip.port}`,
    from: carrier.uri('+14155550123'),
    via: { ...stack.sip, transport: carrier.transport },
    headers,
  });
}

/** A number that carriers reach and that is none of ours. */
export const DESTINATION = '+14155550177';

/** Retell calls out through the proxy, from one of our numbers unless told otherwise. */
export function dialOut(
  { stack, retell }: Scene,
  options: { to?: string; from?: string; headers?: [string, string][]; digest?: Credentials } = {},
): OutgoingCall {
  const { to = DESTINATION, from = NUMBER, headers = [], digest } = options;
  return retell.invite({
    to: `sip:${to}@${stack.sip.host}:${stack.sip.port}`,
    from: retell.uri(from),
    via: { ...stack.sip, transport: retell.transport },
    headers,
    ...(digest && { digest }),
  });
}

/** Both ends of a call, and its record once it is in the given state. */
export interface Established {
  caller: OutgoingCall;
  callee: IncomingCall;
  record: Awaited<ReturnType<typeof recordOf>>;
}

/** A call that Retell has answered and the carrier has acknowledged. */
export async function establish(scene: Scene, number = NUMBER): Promise<Established> {
  const arrived = new Promise<IncomingCall>((resolve) => {
    scene.retell.onInvite = resolve;
  });
  const caller = dial(scene, number);
  const callee = await arrived;
  callee.ring();
  // Sent back to back they may overtake each other in Kamailio's workers.
  await caller.response(180);
  callee.answer();
  await caller.answered();
  await callee.acked;
  return { caller, callee, record: await recordOf(scene.stack, caller.callId, 'answered') };
}

/** The call's record once it is in this state. */
export async function recordOf(stack: Stack, callId: string, state: string) {
  return eventually(`the record of ${callId} in state ${state}`, async () => {
    const { status, body } = await stack.api.get(`/v1/calls/sip:${encodeURIComponent(callId)}`);
    return status === 200 && body.state === state ? body : undefined;
  });
}

/**
 * Waits until Kamailio has no dialog left that is confirmed or early.
 *
 * @throws Error that shows those that are left
 */
export async function noDialogLeft({ rpc }: Stack): Promise<void> {
  let statistics: Record<string, string> = {};
  const none = eventually('no dialog left in Kamailio', async () => {
    statistics = (await rpc.call('stats.fetch', ['dialog:'])) as Record<string, string>;
    return statistics['dialog.active_dialogs'] === '0' && statistics['dialog.early_dialogs'] === '0';
  });
  await none.catch(async (error: Error) => {
    const left = JSON.stringify([statistics, await rpc.call('dlg.dlg_list')]);
    throw new Error(`${error.message}: ${left.slice(0, 4000)}`);
  });
}

/** No dialog, no transaction but of probes, no open record: whatever was left hanging would show here. */
export async function nothingLeft(t: Test, { stack }: Scene): Promise<void> {
  await noDialogLeft(stack);
  await eventually(
    'no transaction left in Kamailio',
    async () => {
      const cells = (await stack.rpc.call('tm.list', [])) as { method: string }[] | Record<string, never>;
      return !Array.isArray(cells) || cells.every(({ method }) => method === 'OPTIONS');
    },
    30_000,
  );
  t.equal(await stack.redis.zcard('calls:open'), 0, 'no record is open');
}
