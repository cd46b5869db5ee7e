import { RetellSimulator, type SimulatorOptions } from '../retell-simulator/simulator.js';
import { eventually } from './await.js';
import { nextCall } from './legs.js';
import { recordOf, type Scene, startPeer } from './scene.js';
import type { IncomingCall, OutgoingCall, SipPeer } from './sip-peer.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, type StackOptions, startStack, type TestLike } from './stack.js';

/** Our second number, which has no fallback. */
export const WITHOUT_FALLBACK = '+14155550101';
/** The user of the first number's fallback. */
export const FALLBACK_USER = '+14155550199';
export const AGENT = 'agent_front_desk';
const API_KEY = 'key_0123456789abcdef';
const FALLBACK_HOST = '127.0.0.5';
/** The longest there is: whether a call takes its fallback must not hang on how busy the machine is. */
export const REGISTER_TIMEOUT_MS = 10_000;

/** A stack between a scripted carrier and a simulated Retell, and where calls go that Retell cannot have. */
export interface RegisterScene extends Scene {
  /** Retell's REST API and SIP; `retell` is its peer over UDP. */
  simulator: RetellSimulator;
  fallback: SipPeer;
  /** URI of the first number's fallback. */
  fallbackUri: string;
  /** Every call that reached Retell, in order. */
  atRetell: IncomingCall[];
}

export interface RegisterSceneOptions extends Pick<StackOptions, 'controlPlane' | 'nodes'> {
  method?: 'register' | 'trunk';
  /** Keys of the first number. */
  number?: Record<string, unknown>;
  /** Keys of the configuration's section about Retell. */
  retell?: Record<string, unknown>;
  simulator?: SimulatorOptions;
  /** Keys of the configuration's section about calls. */
  calls?: Record<string, unknown>;
  /** The configuration's section about transfers. */
  transfers?: Record<string, unknown>;
  /** The carriers, where they are more than one that only calls. */
  carriers?: (carrier: SipPeer) => Record<string, unknown>[];
}

/** Starts the peers and a stack with two numbers, {@link NUMBER} with a fallback and one without. */
export async function startRegisterScene(
  t: TestLike,
  options: RegisterSceneOptions = {},
): Promise<RegisterScene> {
  const { method = 'register', controlPlane = 'inside', nodes = 1 } = options;
  const simulator = await RetellSimulator.start({
    host: RETELL_HOST,
    apiKey: API_KEY,
    trace: true,
    ...options.simulator,
  });
  t.teardown(() => simulator.stop());
  const carrier = await startPeer(t, { host: CARRIER_HOST });
  const fallback = await startPeer(t, { host: FALLBACK_HOST });
  const fallbackUri = `sip:${FALLBACK_USER}@${fallback.host}:${fallback.port}`;
  const agent = method === 'register' ? { agent_id: AGENT } : {};
  const stack = await startStack(t, {
    gateways: [{ uri: `sip:${simulator.sip.host}:${simulator.sip.port}` }],
    controlPlane,
    nodes,
    config: {
      retell: {
        api_key: API_KEY,
        base_url: simulator.http.url,
        register_timeout_ms: REGISTER_TIMEOUT_MS,
        ...options.retell,
      },
      ...(options.calls && { calls: options.calls }),
      ...(options.transfers && { transfers: options.transfers }),
      ...(options.carriers && { carriers: options.carriers(carrier) }),
      numbers: [
        { number: NUMBER, method, ...agent, fallback: fallbackUri, ...options.number },
        { number: WITHOUT_FALLBACK, method, ...agent },
      ],
    },
  });
  const retell = simulator.sip.udp;
  const atRetell: IncomingCall[] = [];
  const { onInvite } = retell.behaviour;
  retell.onInvite = (call) => {
    atRetell.push(call);
    onInvite?.(call);
  };
  return { stack, carrier, retell, simulator, fallback, fallbackUri, atRetell };
}

/** What Retell's API was asked at this endpoint, in order. */
export function asked({ simulator }: RegisterScene, endpoint: string) {
  return simulator.requests.items.filter((request) => request.endpoint === endpoint);
}

/** Waits until Retell's API was asked so often at this endpoint. */
export async function askedTimes(scene: RegisterScene, endpoint: string, times: number): Promise<void> {
  await eventually(`${times} requests for ${endpoint}`, () => asked(scene, endpoint).length === times);
}

/** The fallback takes this call; the answered call's both ends, with its record. */
export async function takenByFallback(scene: RegisterScene, dialled: () => OutgoingCall) {
  const arrived = nextCall(scene.fallback);
  const caller = dialled();
  const callee = await arrived;
  await caller.response(180);
  callee.answer();
  await caller.answered();
  await callee.acked;
  return { caller, callee, ms: toInviteMs(scene, caller) };
}

/** The record of an answered call, and the entry of its timeline about the fallback. */
export async function fallbackRecord({ stack }: RegisterScene, caller: OutgoingCall) {
  const record = await recordOf(stack, caller.callId, 'answered');
  return { record, entry: entryOf(record, 'fallback') };
}

/** The first entry of this type in a record's timeline. */
export function entryOf(record: { timeline: { type: string; reason?: string }[] }, type: string) {
  return record.timeline.find((entry) => entry.type === type);
}

/** From the carrier's INVITE to the one that the fallback got, in ms. */
function toInviteMs({ carrier, fallback }: RegisterScene, { callId }: OutgoingCall): number {
  const at = (peer: SipPeer) =>
    peer.trace.find(({ message }) => message.callId === callId && message.method === 'INVITE')?.at ?? 0;
  return Math.round(at(fallback) - at(carrier));
}
