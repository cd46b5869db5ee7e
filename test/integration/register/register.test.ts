import t, { type Test } from 'tap';
import { exchange as exchangeRequests, hangUp, type Legs } from '../../harness/legs.js';
import {
  AGENT,
  asked,
  askedTimes,
  entryOf,
  type RegisterScene,
  startRegisterScene,
} from '../../harness/register-scene.js';
import { dial, noDialogLeft, recordOf } from '../../harness/scene.js';
import type { IncomingCall, OutgoingCall } from '../../harness/sip-peer.js';
import { parseUri } from '../../harness/sip-values.js';
import { NUMBER, RETELL_HOST } from '../../harness/stack.js';

const REGISTER = 'register-phone-call';

/** Both ends of a call that Retell answers by itself. */
async function connected({ atRetell }: RegisterScene, caller: OutgoingCall): Promise<Legs> {
  await caller.answered();
  const callee = atRetell.at(-1);
  if (callee === undefined) throw new Error('no call reached Retell');
  await callee.acked;
  return { caller, callee };
}

/** Requests in both directions, all of them over: a BYE may overtake the ACK before it otherwise. */
async function exchange(t: Test, { carrier }: RegisterScene, legs: Legs): Promise<void> {
  await exchangeRequests(t, legs);
  await carrier.next('ACK');
}

/** Messages on the carrier's side that show the id by which a call was dialled at Retell. */
function toldOf({ carrier }: RegisterScene, { message }: IncomingCall): string[] {
  const { user } = parseUri(message.requestUri);
  return carrier.trace.map((entry) => entry.message.raw).filter((raw) => raw.includes(user));
}

t.test('a call to a number that registers is dialled at Retell by the id that Retell gave it', async (t) => {
  const scene = await startRegisterScene(t, {
    number: {
      agent_version: 3,
      dynamic_variables: { shop: 'Main Street' },
      metadata: { tenant: 7 },
    },
  });
  const { stack, retell } = scene;
  const legs = await connected(scene, dial(scene));
  const { caller, callee } = legs;

  const record = await recordOf(stack, caller.callId, 'answered');
  const [request] = asked(scene, REGISTER);
  t.same(request?.body, {
    agent_id: AGENT,
    agent_version: 3,
    direction: 'inbound',
    from_number: '+14155550123',
    to_number: NUMBER,
    metadata: { tenant: 7, call_ref: record.id },
    retell_llm_dynamic_variables: { shop: 'Main Street' },
  });

  const retellCallId = record.retell_call_id;
  t.match(retellCallId, /^call_[0-9a-f]+$/);
  t.equal(callee.message.requestUri.split(';')[0], `sip:${retellCallId}@${RETELL_HOST}:${retell.port}`);
  t.match(callee.message.get('to'), `sip:${retellCallId}@`);
  t.same(callee.message.list('x-call-ref'), [record.id]);
  t.equal(record.agent_id, AGENT);
  t.equal(record.number, NUMBER);
  t.match(entryOf(record, 'registered'), { seconds: Number });
  t.equal(entryOf(record, 'fallback'), undefined);

  const found = await stack.api.get(`/v1/calls/retell:${retellCallId}`);
  t.equal(found.status, 200);
  t.equal(found.body.id, record.id);

  await exchange(t, scene, legs);
  await hangUp(t, stack, legs);
  t.equal((await recordOf(stack, caller.callId, 'ended')).ended_by, 'api');
  await noDialogLeft(stack);

  t.same(toldOf(scene, callee), [], 'the carrier never sees the id');
  t.same(
    stack.kamailioLog.filter((line) => line.includes(retellCallId)),
    [],
  );
});

for (const contactUser of ['dialled', 'call_id', 'none'] as const) {
  t.test(`a BYE of each side ends a registered call where Retell's Contact is: ${contactUser}`, async (t) => {
    const scene = await startRegisterScene(t, { simulator: { contactUser } });
    const first = await connected(scene, dial(scene));
    t.equal((await first.caller.bye()).status, 200);
    t.equal(await first.callee.ended, 'remote');
    t.equal((await recordOf(scene.stack, first.caller.callId, 'ended')).ended_by, 'carrier');

    const second = await connected(scene, dial(scene));
    await exchange(t, scene, second);
    t.equal((await second.callee.bye()).status, 200);
    t.equal(await second.caller.ended, 'remote');
    t.equal((await recordOf(scene.stack, second.caller.callId, 'ended')).ended_by, 'retell');
    await noDialogLeft(scene.stack);
    for (const { callee } of [first, second]) t.same(toldOf(scene, callee), []);
  });
}

t.test('a call waits for an answer of Retell that takes 200 ms', async (t) => {
  const scene = await startRegisterScene(t);
  scene.simulator.addFault({ endpoint: REGISTER, delay_ms: 200 });
  const { caller } = await connected(scene, dial(scene));
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  t.match(entryOf(record, 'registered'), { seconds: Number });
  t.ok(record.retell_call_id);
  t.equal(scene.fallback.count('INVITE'), 0);
});

t.test('an INVITE that is repeated while it waits registers once', async (t) => {
  const scene = await startRegisterScene(t);
  scene.simulator.addFault({ endpoint: REGISTER, delay_ms: 200 });
  const caller = dial(scene);
  await askedTimes(scene, REGISTER, 1);
  caller.retransmit();
  caller.retransmit();
  await connected(scene, caller);
  caller.retransmit();
  t.equal((await caller.bye()).status, 200);
  await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(asked(scene, REGISTER).length, 1);
  t.equal(scene.retell.count('INVITE'), 1);
});

t.test('an INVITE that comes over a second branch gets 482 and registers nothing', async (t) => {
  const scene = await startRegisterScene(t);
  scene.simulator.addFault({ endpoint: REGISTER, delay_ms: 200 });
  const caller = dial(scene);
  await caller.response(100);
  t.equal((await caller.fork().finalResponse()).status, 482);
  await connected(scene, caller);
  t.equal((await caller.bye()).status, 200);
  await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(asked(scene, REGISTER).length, 1);
  t.equal(scene.retell.count('INVITE'), 1);
});

t.test("Retell's id stays hidden when Kamailio has lost the call's dialog", async (t) => {
  const scene = await startRegisterScene(t);
  const { caller, callee } = await connected(scene, dial(scene));
  await scene.stack.parts.kamailio.kill();
  await scene.stack.parts.kamailio.start();
  t.equal((await callee.bye()).status, 200);
  t.equal(await caller.ended, 'remote');
  t.same(toldOf(scene, callee), []);
});
