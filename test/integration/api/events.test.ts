import { Redis } from 'ioredis';
import t from 'tap';
import { stateOf } from '../../../control-plane/src/calls/call.js';
import { callView } from '../../../control-plane/src/calls/call-view.js';
import { EventHandler } from '../../../control-plane/src/calls/event-handler.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { parseEvents } from '../../../control-plane/src/kamailio/parse-events.js';
import { eventually } from '../../harness/await.js';
import { dial, establish, recordOf, startScene } from '../../harness/scene.js';
import { SILENT } from '../../harness/silent-observer.js';
import type { IncomingCall } from '../../harness/sip-peer.js';

/** Every order of a list. */
function permutations<T>(list: readonly T[]): T[][] {
  if (list.length < 2) return [[...list]];
  return list.flatMap((first, i) =>
    permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [first, ...rest]),
  );
}

t.test('events in every order, each twice, make the same record as in theirs', async (t) => {
  const scene = await startScene(t);
  const { caller, record } = await establish(scene);
  await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  await recordOf(scene.stack, caller.callId, 'ended');
  const entries = await scene.stack.redis.xrange('sip:events:node1', '-', '+');
  const events = entries
    .flatMap(([, fields]) => parseEvents(fields[1] ?? ''))
    .filter((event) => 'id' in event);
  t.same(events.map(({ type }) => type).sort(), ['answered', 'ended', 'invite', 'ringing']);

  const redis = new Redis(scene.stack.redisUrl, { db: 1 });
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  let started = 0;
  const handler = new EventHandler(store, {
    ...SILENT,
    callStarted: () => {
      started += 1;
    },
  });
  const orders = permutations(events);
  const records = new Set<string>();
  for (const order of orders) {
    await redis.flushdb();
    for (const event of [...order, ...order]) await handler.handle('node1', [event]);
    const call = await store.get(record.id);
    t.equal(call && stateOf(call), 'ended');
    t.equal(await redis.zcard('calls:open'), 0);
    records.add(JSON.stringify(call && callView(call)));
  }
  t.equal(records.size, 1);
  t.equal(started, orders.length, 'each call is counted once');
});

t.test('a batch that cannot be read is put aside, counted, and stops nobody', async (t) => {
  const scene = await startScene(t);
  await scene.stack.redis.xadd('sip:events:node1', '*', 'events', '[{"type":"odd"}]');
  scene.retell.onInvite = (call) => call.refuse(486);
  const caller = dial(scene);
  await caller.finalResponse();
  await recordOf(scene.stack, caller.callId, 'ended');
  const aside = await scene.stack.redis.xrange('sip:events:unreadable', '-', '+');
  t.same(aside[0]?.[1], ['stream', 'sip:events:node1', 'events', '[{"type":"odd"}]']);
  t.match((await scene.stack.api.get('/metrics')).body, 'retell_proxy_events_unreadable_total 1');
});

t.test('a Redis that lost all its data is read again from the beginning', async (t) => {
  const scene = await startScene(t);
  await scene.stack.redis.flushall();
  scene.retell.onInvite = (call) => call.refuse(486);
  const caller = dial(scene);
  await caller.finalResponse();
  t.equal((await recordOf(scene.stack, caller.callId, 'ended')).sip_status, 486);
  await eventually('everything is acknowledged', async () => {
    const pending = await scene.stack.redis.xpending('sip:events:node1', 'control-plane');
    return pending[0] === 0;
  });
});

t.test('a Call-ID and a From that try to break the event arrive as they are', async (t) => {
  const scene = await startScene(t);
  scene.retell.onInvite = (call) => call.refuse(486);
  const callId = `json{"a":1}%s%n;x=1~^|'@example.com`;
  const caller = scene.carrier.invite({
    to: `sip:+14155550100@${scene.stack.sip.host}`,
    from: `"Zo\\"e %s {x} $ci" <sip:user%22x@198.51.100.10>`,
    via: scene.stack.sip,
    requestUri: `sip:+14155550100@${scene.stack.sip.host}:${scene.stack.sip.port}`,
    callId,
  });
  t.equal((await caller.finalResponse()).status, 486);
  const record = await recordOf(scene.stack, callId, 'ended');
  t.equal(record.sip_call_id, callId);
  t.equal(record.from, 'user%22x');
});

t.test('events that are too long for one batch come in several', async (t) => {
  const scene = await startScene(t);
  const { redis } = scene.stack.parts;
  const LONG = 40;
  const rung: IncomingCall[] = [];
  scene.retell.onInvite = (call) => {
    call.ring();
    rung.push(call);
  };
  const callers = Array.from({ length: LONG }, () => dial(scene));
  await eventually('all ring', () => rung.length === LONG);
  // Their answers wait for Redis together.
  await redis.kill();
  for (const call of rung)
    call.answer({ headers: [['Record-Route', `<sip:192.0.2.9;lr;x=${'x'.repeat(5500)}>`]] });
  await Promise.all(callers.map((caller) => caller.answered()));
  await redis.start();
  for (const caller of callers) await recordOf(scene.stack, caller.callId, 'answered');
});

t.test(
  'events that waited for Redis come many at once, so that one that answers slowly keeps up',
  async (t) => {
    const scene = await startScene(t);
    const { redis } = scene.stack.parts;
    // More than Kamailio's transformations take in one string, which is 64 KiB.
    const CALLS = 200;
    scene.retell.onInvite = (call) => call.refuse(486);
    await redis.kill();
    const callers = Array.from({ length: CALLS }, () => dial(scene));
    await Promise.all(callers.map((caller) => caller.finalResponse()));
    await redis.start();
    for (const caller of callers) await recordOf(scene.stack, caller.callId, 'ended');
    const entries = await scene.stack.redis.xrange('sip:events:node1', '-', '+');
    const sizes = entries.map(([, fields]) => parseEvents(fields[1] ?? '').length);
    // A call has two events. Some are in the batch that was in hand when Redis went; all others come together.
    t.ok(Math.max(...sizes) >= CALLS, `batches of ${sizes.join(', ')} events`);
  },
);

t.test('events that Redis has not taken wait, those of the batch in hand too', async (t) => {
  const scene = await startScene(t);
  const { api, parts } = scene.stack;
  const waiting = async () =>
    /^retell_proxy_kamailio_queued_events\{node="node1"\} (\d+)$/m.exec(
      (await api.get('/metrics')).body,
    )?.[1];
  scene.retell.onInvite = (call) => call.refuse(486);
  await parts.redis.kill();
  await dial(scene).finalResponse();
  t.ok(await eventually('invite and failed wait', async () => (await waiting()) === '2'));
  await parts.redis.start();
  t.ok(await eventually('none waits', async () => (await waiting()) === '0'));
});
