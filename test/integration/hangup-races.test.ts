import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { within } from '../../control-plane/src/cli/process.js';
import { eventually, PATIENCE_MS } from '../harness/await.js';
import { oneCarrier } from '../harness/outbound.js';
import { dial, noDialogLeft, type Scene } from '../harness/scene.js';
import type { IncomingCall, OutgoingCall, SipPeer } from '../harness/sip-peer.js';

const CALLS = 1000;
const AT_ONCE = 50;

/** When each side does what it does, in ms after what it follows; undefined for never. */
interface Plan {
  ringMs: number;
  answerMs: number;
  refuse: boolean;
  calleeByeMs: number | undefined;
  cancelMs: number | undefined;
  callerByeMs: number | undefined;
  hangupMs: number;
}

interface Played {
  caller: OutgoingCall;
  /** undefined where the call never got there */
  callee: IncomingCall | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: a hangup's answer
  hangup: any;
  /** From the hangup to the end on both sides. */
  ms: number;
}

/** A generator of random numbers from 0 to 1, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function planOf(random: () => number): Plan {
  const within = (ms: number) => random() * ms;
  const maybe = (share: number, ms: number) => (random() < share ? within(ms) : undefined);
  return {
    ringMs: within(30),
    answerMs: within(60),
    refuse: random() < 0.1,
    calleeByeMs: maybe(0.3, 60),
    cancelMs: maybe(0.25, 100),
    callerByeMs: maybe(0.3, 60),
    hangupMs: within(150),
  };
}

/** What a callee does, until it is canceled. */
async function answer(call: IncomingCall, plan: Plan): Promise<void> {
  await delay(plan.ringMs);
  if (call.status >= 200) return;
  call.ring();
  await delay(plan.answerMs);
  if (call.status >= 200) return;
  if (plan.refuse) return call.refuse(486);
  call.answer();
  if (plan.calleeByeMs === undefined) return;
  await call.acked;
  await delay(plan.calleeByeMs);
  await call.bye();
}

/** What a caller does. A 200 that won over its CANCEL is acknowledged and ended, as carriers do. */
async function call(caller: OutgoingCall, plan: Plan): Promise<void> {
  const canceling = cancel(caller, plan.cancelMs);
  const { status } = await caller.finalResponse();
  if (status === 200) {
    await caller.answered();
    const canceled = await Promise.race([canceling, false]);
    if (canceled || plan.callerByeMs !== undefined) {
      await delay(plan.callerByeMs ?? 0);
      await caller.bye();
    }
  }
  await canceling;
}

async function cancel(caller: OutgoingCall, afterMs: number | undefined): Promise<boolean> {
  if (afterMs === undefined) return false;
  const over = caller.finalResponse().then(() => true);
  if (await Promise.race([over, delay(afterMs, false)])) return false;
  await caller.cancel();
  return true;
}

/** Hangs up through the API, as soon as the call is known there; again where the node was too busy to answer. */
async function hangUp({ stack }: Scene, { callId }: OutgoingCall, afterMs: number) {
  await delay(afterMs);
  return eventually(`a hangup of ${callId}`, async () => {
    const { status, body } = await stack.api.post(`/v1/calls/sip:${encodeURIComponent(callId)}/hangup`);
    if (status === 404 || status === 503) return undefined;
    return { status, ...body };
  });
}

/** @throws Error with what each side saw and the record tells, where a side does not end */
async function bothEnd({ stack, carrier, retell }: Scene, { caller, callee, hangup }: Omit<Played, 'ms'>) {
  if (await within(Promise.all([caller.ended, callee?.ended]), PATIENCE_MS)) return;
  const sides = [carrier, retell].map(({ trace }) =>
    trace
      .filter(({ message }) => message.callId === caller.callId)
      .map(
        ({ direction, message }) => `${direction} ${message.status || message.method} ${message.get('cseq')}`,
      ),
  );
  const { body } = await stack.api.get(`/v1/calls/sip:${encodeURIComponent(caller.callId)}`);
  throw new Error(`a side has not ended: ${JSON.stringify([hangup, ...sides, body.timeline], undefined, 1)}`);
}

async function play(scene: Scene, callees: Map<string, (call: IncomingCall) => void>, plan: Plan) {
  const caller = dial(scene);
  let callee: IncomingCall | undefined;
  let answering: Promise<void> | undefined;
  callees.set(caller.callId, (arrived) => {
    callee = arrived;
    answering = answer(arrived, plan);
  });
  const dialled = performance.now();
  const [hangup] = await Promise.all([hangUp(scene, caller, plan.hangupMs), call(caller, plan)]);
  await answering;
  await bothEnd(scene, { caller, callee, hangup });
  return { caller, callee, hangup, ms: performance.now() - dialled - plan.hangupMs } satisfies Played;
}

/** What the answer to a hangup says of one leg and the peer did not see; empty where all is as it says. */
function contradictions(
  peer: SipPeer,
  callId: string,
  leg: { method: string | null; status: unknown },
): string[] {
  const trace = peer.trace.filter(({ message }) => message.callId === callId);
  const got = (what: number | string, direction: 'in' | 'out') =>
    trace.some(
      (entry) =>
        entry.direction === direction && (entry.message.method === what || entry.message.status === what),
    );
  const seen = {
    BYE: () => got('BYE', 'in') && got(leg.status as number, 'out'),
    CANCEL: () => got(leg.status as number, 'out'),
    INVITE: () => got(leg.status as number, 'in'),
  };
  if (leg.method === null || seen[leg.method as keyof typeof seen]()) return [];
  return [`${leg.method} ${leg.status} was not on the wire of ${callId}`];
}

t.test(`${CALLS} hangups at random moments, against whatever the sides do just then`, async (t: Test) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.comment(`seed ${seed}`);
  const random = randomOf(seed);
  const scene = await oneCarrier(t);
  const callees = new Map<string, (call: IncomingCall) => void>();
  scene.retell.onInvite = (arrived) => callees.get(arrived.callId)?.(arrived);

  const played: Played[] = [];
  let left = CALLS;
  const player = async () => {
    while (left > 0) {
      left -= 1;
      played.push(await play(scene, callees, planOf(random)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, player));

  await noDialogLeft(scene.stack);
  const open = async () => (await scene.stack.redis.zcard('calls:open')) === 0;
  t.ok(await eventually('no record is open', open));
  t.equal(await scene.stack.redis.zcard('calls:all'), CALLS, 'one record each');
  const outcomes = new Map<string, number>();
  for (const { hangup } of played) outcomes.set(hangup.outcome, (outcomes.get(hangup.outcome) ?? 0) + 1);
  t.comment(Object.fromEntries(outcomes));
  t.comment(`the last to end on both sides took ${Math.round(Math.max(...played.map(({ ms }) => ms)))} ms`);
  t.same([...outcomes.keys()].sort(), ['already_ended', 'ended'], 'every leg was there to answer');
  const wrong = played.flatMap(({ caller, hangup }) => [
    ...contradictions(scene.carrier, caller.callId, hangup.legs[0]),
    ...contradictions(scene.retell, caller.callId, hangup.legs[1]),
  ]);
  t.same(wrong, [], 'no answer says what the wire does not');
});
