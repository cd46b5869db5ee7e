import t from 'tap';
import { eventually } from '../../harness/await.js';
import { nextCall, place } from '../../harness/legs.js';
import { age, reconciling } from '../../harness/reconciling.js';
import { dial, establish, noDialogLeft, recordOf, startPeer, startScene } from '../../harness/scene.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, startStack } from '../../harness/stack.js';

/** Longer than a call on its way explains a difference. */
const LONG_AGO_MS = 20_000;

t.test('calls that are up and have their records are left alone', async (t) => {
  const scene = await startScene(t);
  const { stack, carrier, retell } = scene;
  const { caller } = await establish(scene);
  retell.onInvite = (call) => call.ring();
  const ringing = dial(scene);
  await ringing.response(180);
  await recordOf(stack, ringing.callId, 'ringing');
  const { run, outcomes } = await reconciling(t, stack);
  const result = await run();
  t.match(result, {
    nodes: [
      { node: 'node1', dialogs: 2, early_dialogs: 1, records: 2, drift: 0, compared: true, error: null },
    ],
    total: 0,
    findings: [],
  });
  t.same(outcomes, ['complete']);
  t.match((await run()).nodes, [{ drift: 0, compared: false }], 'the numbers agree: no details');
  t.equal(carrier.count('BYE'), 0);
  await ringing.cancel();
  await caller.bye();
});

t.test('a call whose end was not told is closed, once, and says so', async (t) => {
  const scene = await startScene(t);
  const { stack } = scene;
  const { caller, record } = await establish(scene);
  const { redis } = stack;
  const open = await redis.hgetall(`call:${record.id}`);
  await caller.bye();
  await recordOf(stack, caller.callId, 'ended');
  // As if the end had never been told, of a call that began long after Kamailio.
  await redis.del(`call:${record.id}`);
  await redis.hset(`call:${record.id}`, open);
  await redis.zadd('calls:open', Number(open.created_at), record.id);
  await redis.set(`call-id:${caller.callId}`, record.id);
  await age(stack, record.id, -15_000, ['created_at', 'answered_at']);
  await redis.zadd('calls:open', Date.now() - LONG_AGO_MS, record.id);
  const { run, findingOf } = await reconciling(t, stack);
  const result = await run();
  t.match(findingOf(result, record.id), { kind: 'lost_end', action: 'healed', node: 'node1' });
  const ended = await recordOf(stack, caller.callId, 'ended');
  t.match(ended, { ended_by: 'reaper', reason: 'its end was not told' });
  t.match(ended.timeline.at(-1), { type: 'ended', by: 'reaper' });
  t.equal(await redis.zcard('calls:open'), 0);
  const again = await run();
  t.equal(again.total, 0);
  t.match(again.nodes, [{ drift: 0 }]);
});

t.test('calls whose node has restarted are untracked: not closed, and a BYE still ends them', async (t) => {
  const scene = await startScene(t);
  const { stack } = scene;
  const { caller, callee, record } = await establish(scene);
  await age(stack, record.id, LONG_AGO_MS, ['created_at', 'answered_at']);
  await stack.parts.kamailio.kill();
  await stack.parts.kamailio.start();
  const { run, findingOf } = await reconciling(t, stack);
  const result = await run();
  t.match(result.nodes, [{ dialogs: 0, records: 1, drift: -1, compared: true, error: null }]);
  t.match(findingOf(result, record.id), { kind: 'untracked', action: 'reported' });
  t.equal((await recordOf(stack, caller.callId, 'answered')).ended_at, null);
  t.match(findingOf(await run(), record.id), { kind: 'untracked' }, 'as long as it is up');
  t.equal((await callee.bye()).status, 200);
  t.equal((await caller.next('BYE')).status, 200);
  t.equal((await recordOf(stack, caller.callId, 'ended')).ended_by, 'retell');
  t.equal((await run()).total, 0);
});

t.test('a call that rang when its node restarted is closed once it cannot ring any more', async (t) => {
  const scene = await startScene(t);
  const { stack, retell } = scene;
  retell.onInvite = (call) => call.ring();
  const caller = dial(scene);
  await caller.response(180);
  const { id } = await recordOf(stack, caller.callId, 'ringing');
  await age(stack, id, LONG_AGO_MS, ['created_at', 'ringing_at']);
  await stack.parts.kamailio.kill();
  await stack.parts.kamailio.start();
  const { run, findingOf } = await reconciling(t, stack);
  t.equal((await run()).total, 0, 'it may ring yet');
  await age(stack, id, 150_000, ['created_at', 'ringing_at']);
  t.match(findingOf(await run(), id), { kind: 'lost_setup', action: 'healed' });
  const ended = await recordOf(stack, caller.callId, 'ended');
  t.match(ended, { ended_by: 'failure', reason: 'lost at a restart' });
});

t.test('calls that Redis has lost are adopted with all that is needed to hang them up', async (t) => {
  const scene = await startScene(t);
  const { stack } = scene;
  const { redis } = stack;
  const { caller, callee, record } = await establish(scene);
  const before = await redis.hgetall(`call:${record.id}`);
  await redis.flushall();
  const { run, findingOf } = await reconciling(t, stack);
  const result = await run();
  t.match(result.nodes, [{ dialogs: 1, records: 0, drift: 1, compared: true, error: null }]);
  t.match(findingOf(result, record.id), { kind: 'unrecorded', action: 'healed' });
  const adopted = await redis.hgetall(`call:${record.id}`);
  t.same(
    JSON.parse(adopted.dialog ?? ''),
    JSON.parse(before.dialog ?? ''),
    'both legs as the answer told them',
  );
  for (const field of [
    'direction',
    'carrier',
    'gateway',
    'node',
    'number',
    'from',
    'to',
    'sip_call_id',
    'from_tag',
  ])
    t.equal(adopted[field], before[field], field);
  t.equal(Math.floor(Number(adopted.answered_at) / 1000), Math.floor(Number(before.answered_at) / 1000));
  t.match((await recordOf(stack, caller.callId, 'answered')).timeline, [{ type: 'adopted' }]);
  t.equal((await run()).total, 0);

  const { body } = await stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(body.outcome, 'ended');
  t.equal((await caller.next('BYE')).status, 200);
  t.equal((await callee.next('BYE')).status, 200);
  t.equal((await recordOf(stack, caller.callId, 'ended')).ended_by, 'api');
  await noDialogLeft(stack);
});

t.test('an adopted call keeps the way to each side: proxies beyond ours, another transport', async (t) => {
  const carrier = await startPeer(t, { host: CARRIER_HOST });
  const retell = await startPeer(t, { host: RETELL_HOST, transport: 'tcp' });
  const stack = await startStack(t, { gateways: [{ uri: retell.uri() }] });
  const arrived = nextCall(retell);
  const routes = ['<sip:192.0.2.7;lr>', `<sip:${carrier.host}:${carrier.port};lr>`];
  const caller = place(stack, carrier, { to: NUMBER, headers: [['Record-Route', routes.join(', ')]] });
  const callee = await arrived;
  await caller.response(180);
  callee.answer();
  await caller.answered();
  const { id } = await recordOf(stack, caller.callId, 'answered');
  const before = JSON.parse((await stack.redis.hget(`call:${id}`, 'dialog')) ?? '');
  await stack.redis.flushall();
  const { run } = await reconciling(t, stack);
  await run();
  const adopted = JSON.parse((await stack.redis.hget(`call:${id}`, 'dialog')) ?? '');
  t.same(adopted, before);
  t.same(adopted.caller.route_set, routes);
  await callee.bye();
});

t.test('a part of a record, left by an event after Redis lost the rest, is completed', async (t) => {
  const scene = await startScene(t);
  const { stack, retell } = scene;
  retell.onInvite = (call) => {
    call.ring();
    retell.onInvite = () => {};
    answer = () => call.answer();
  };
  let answer = () => {};
  const caller = dial(scene);
  await caller.response(180);
  const { id } = await recordOf(stack, caller.callId, 'ringing');
  await stack.redis.flushall();
  answer();
  await caller.answered();
  await eventually(
    'the answer is written',
    async () => (await stack.redis.hexists(`call:${id}`, 'answered_at')) === 1,
  );
  await age(stack, id, LONG_AGO_MS, []);
  const { run, findingOf } = await reconciling(t, stack);
  t.match(findingOf(await run(), id), { kind: 'unrecorded', action: 'healed' });
  const record = await recordOf(stack, caller.callId, 'answered');
  t.match(record, { id, node: 'node1', direction: 'inbound', number: '+14155550100' });
  await caller.bye();
  await recordOf(stack, caller.callId, 'ended');
});

t.test('a call of a node that is not configured is reported', async (t) => {
  const scene = await startScene(t);
  const { stack } = scene;
  const { run, store, findingOf } = await reconciling(t, stack);
  const atMs = Date.now() - LONG_AGO_MS;
  const fields = { node: 'node9', sip_call_id: 'elsewhere', created_at: String(atMs) };
  await store.merge([{ id: 'elsewhere', atMs, fields }]);
  t.match(findingOf(await run(), 'elsewhere'), { kind: 'unknown_node', action: 'reported', node: 'node9' });
  t.equal((await recordOf(stack, 'elsewhere', 'routing')).ended_at, null);
});
