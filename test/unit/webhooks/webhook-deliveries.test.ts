import t from 'tap';
import { HANDS } from '../../../control-plane/src/owner-webhooks/deliveries.js';
import { pieceOf } from '../../../control-plane/src/owner-webhooks/endpoint.js';
import { FAN_OUT_GROUP } from '../../../control-plane/src/owner-webhooks/fan-out.js';
import { eventually } from '../../harness/await.js';
import { DeliverySink, isSignedWith } from '../../harness/delivery-sink.js';
import { ANSWERED } from '../records-fixture.js';
import { endpointRoutes, endpointsScene, OTHER_SECRET, SECRET } from './endpoints-fixture.js';

t.test('an event comes with the record, signed with each secret', async (t) => {
  const sink = await DeliverySink.start(t);
  const endpoint = { name: 'crm', url: sink.url, secrets: [SECRET, OTHER_SECRET], events: ['call.ended'] };
  const scene = await endpointsScene(t, [endpoint]);
  await scene.replica().start();
  const id = await scene.endedCall();
  const [delivery] = await eventually('it came', () => sink.received.length > 0 && sink.received);
  if (delivery === undefined) return t.fail();
  t.ok(isSignedWith(SECRET, delivery));
  t.ok(isSignedWith(OTHER_SECRET, delivery));
  t.notOk(isSignedWith(`whsec_${Buffer.alloc(32, 3).toString('base64')}`, delivery));
  t.match(delivery.headers, {
    'webhook-id': `evt_${await scene.newestEvent()}`,
    'content-type': 'application/json',
    'user-agent': 'retell-sip-proxy/0.0.0',
  });
  t.match(delivery.body, {
    type: 'call.ended',
    timestamp: /^\d{4}-\d\d-\d\dT/,
    data: { call_id: id, transfer_id: null, call: { id, state: 'ended', from: ANSWERED.from } },
  });
});

t.test('an endpoint gets events of the types and carriers that it wants', async (t) => {
  const [all, some] = [await DeliverySink.start(t), await DeliverySink.start(t)];
  const scene = await endpointsScene(t, [
    { name: 'all', url: all.url, events: ['call.created', 'call.ended'] },
    { name: 'some', url: some.url, events: ['call.answered'], carriers: ['other'] },
  ]);
  await scene.replica().start();
  await scene.endedCall('acme');
  const id = await scene.endedCall('other');
  await eventually('all came', () => all.received.length === 4 && some.received.length === 1);
  await scene.nothingDue();
  t.same(all.types.sort(), ['call.created', 'call.created', 'call.ended', 'call.ended']);
  t.match(some.received, [{ body: { type: 'call.answered', data: { call_id: id } } }]);
});

t.test('what fails is tried again, ever more slowly, under the same id', async (t) => {
  const sink = await DeliverySink.start(t);
  const answers = [500, { status: 302, location: `${sink.url}/elsewhere` }, 429];
  sink.answer = () => answers.shift() ?? 200;
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  const replica = scene.replica({ due: { policy: { firstMs: 50, largestMs: 1000, tries: 5, jitter: 0 } } });
  await replica.start();
  await scene.endedCall();
  await eventually('it was taken', () => sink.received.length === 4);
  await scene.nothingDue();
  t.equal(new Set(sink.received.map(({ headers }) => headers['webhook-id'])).size, 1);
  t.ok(sink.received.every(({ path }) => path === '/hooks'));
  const pauses = sink.received.slice(1).map(({ at }, i) => at - (sink.received[i]?.at ?? 0));
  // Not before their time; by how much after it says nothing.
  t.ok(
    [50, 100, 200].every((least, i) => (pauses[i] ?? 0) >= least - 5),
    pauses.join(),
  );
  const send = await endpointRoutes(t, replica);
  t.match((await send('GET', '/crm/deliveries')).body.items, [
    { outcome: 'delivered', attempt: 4, status: 200, error: null },
    { outcome: 'failed', attempt: 3, status: 429 },
    { outcome: 'failed', attempt: 2, status: 302 },
    { outcome: 'failed', attempt: 1, status: 500 },
  ]);
  t.same(scene.observed.warnings, [], 'the log of the endpoint tells of it');
});

t.test('what never works is given up', async (t) => {
  const sink = await DeliverySink.start(t);
  sink.answer = () => 503;
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  await scene.replica({ due: { policy: { firstMs: 1, tries: 3, jitter: 0 } } }).start();
  await scene.endedCall();
  await eventually('it was given up', () => scene.observed.settled.length === 3);
  await scene.nothingDue();
  t.same(scene.observed.settled, ['crm failed', 'crm failed', 'crm given_up']);
});

t.test('no answer in time, and nobody there, are failures too', async (t) => {
  const sink = await DeliverySink.start(t);
  sink.answer = () => new Promise(() => {});
  const scene = await endpointsScene(t, [
    { name: 'silent', url: sink.url, events: ['call.ended'] },
    // The port of discard: nothing listens there.
    { name: 'absent', url: 'http://127.0.0.1:9/', events: ['call.ended'] },
  ]);
  const replica = scene.replica({ timeoutMs: 50, due: { policy: { tries: 1 } } });
  await replica.start();
  await scene.endedCall();
  await eventually('both have failed', () => scene.observed.settled.length === 2);
  const send = await endpointRoutes(t, replica);
  const [silent, absent] = [await send('GET', '/silent/deliveries'), await send('GET', '/absent/deliveries')];
  t.match(silent.body.items, [{ outcome: 'given_up', status: null, error: 'timeout' }]);
  t.match(absent.body.items, [{ outcome: 'given_up', status: null, error: 'ECONNREFUSED' }]);
});

t.test('an endpoint that is slow holds up no other', async (t) => {
  const [slow, quick] = [await DeliverySink.start(t), await DeliverySink.start(t)];
  let release = (_status: number) => {};
  const held = new Promise<number>((resolve) => {
    release = resolve;
  });
  slow.answer = () => held;
  const CALLS = 80;
  const scene = await endpointsScene(t, [
    { name: 'slow', url: slow.url, events: ['call.ended'] },
    { name: 'quick', url: quick.url, events: ['call.ended'] },
  ]);
  await scene.replica().start();
  for (let n = 0; n < CALLS; n += 1) await scene.endedCall();
  await eventually('the quick one has all', () => quick.received.length === CALLS);
  t.equal(slow.received.length, HANDS);
  release(204);
  await eventually('the slow one has all', () => slow.received.length === CALLS);
  await scene.nothingDue();
  t.equal(new Set(scene.observed.settled).size, 2, 'nothing has failed');
});

t.test('an event that finds no hand free for half an hour is given up', async (t) => {
  const sink = await DeliverySink.start(t);
  sink.answer = () => new Promise(() => {});
  const scene = await endpointsScene(t, [{ name: 'slow', url: sink.url, events: ['call.ended'] }]);
  const replica = scene.replica();
  await replica.start();
  for (let n = 0; n < 60; n += 1) await scene.endedCall();
  await eventually('all hands are busy', () => sink.received.length === HANDS);
  await eventually('as many wait as may, and one is turned away', async () =>
    (await scene.redis.hvals('calls:due-tries')).includes('0'),
  );
  const at = Date.now() - 31 * 60_000;
  const event = { id: `${at}-0`, type: 'call.ended', at, call_id: 'old', transfer_id: undefined } as const;
  await replica.due.schedule('webhook_delivery', pieceOf('slow', event), at);
  await eventually('it is given up', () => scene.observed.settled.length > 0);
  t.same(scene.observed.settled, ['slow given_up']);
  const send = await endpointRoutes(t, replica);
  const [line] = (await send('GET', '/slow/deliveries')).body.items;
  t.match(line, { call_id: 'old', attempt: 0, error: 'waited_too_long' });
});

t.test('a replica that does not know an endpoint yet leaves its events to others', async (t) => {
  const sink = await DeliverySink.start(t);
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  const knowing = scene.replica();
  await knowing.start();
  await knowing.due.stop();
  const id = await scene.endedCall();
  const due = 'calls:due:webhook_delivery';
  await eventually('there is work', async () => (await scene.redis.zcard(due)) === 1);
  scene.replica({ config: { current: scene.configOf([]) } }).due.start();
  const piece = await eventually('it is put back', async () => {
    const [member, at] = await scene.redis.zrange(due, '0', '-1', 'WITHSCORES');
    return Number(at) > Date.now() + 20_000 && member;
  });
  t.match(piece, `/${id}/`);
  t.equal(await scene.redis.hget('calls:due-tries', `webhook_delivery:${piece}`), '0');
});

t.test('an attempt that a stop cuts off is none: another replica makes it', async (t) => {
  const sink = await DeliverySink.start(t);
  sink.answer = () => (sink.received.length === 1 ? new Promise(() => {}) : 204);
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  const first = scene.replica();
  await first.start();
  await scene.endedCall();
  await eventually('the attempt is under way', () => sink.received.length === 1);
  await first.stop();
  await scene.replica().start();
  await eventually('it is delivered', () => scene.observed.settled.length > 0);
  t.same(scene.observed.settled, ['crm delivered']);
  t.equal(sink.received.length, 2);
});

t.test('what a replica had in hand when it was killed is delivered by another', async (t) => {
  const sink = await DeliverySink.start(t);
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  const { redis } = scene;
  const first = scene.replica();
  await first.start();
  await first.stop();
  // It read this event, and was killed before there was work from it.
  const calls = [await scene.endedCall()];
  await redis.xreadgroup('GROUP', FAN_OUT_GROUP, 'killed', 'STREAMS', 'calls:events', '>');
  t.equal(await scene.unacknowledged(), 3);
  // This one it never read.
  calls.push(await scene.endedCall());
  const second = scene.replica();
  second.fanOut.start();
  await eventually('there is work', async () => (await redis.zcard('calls:due:webhook_delivery')) === 2);
  await eventually('all is acknowledged', async () => (await scene.unacknowledged()) === 0);
  await second.stop();
  // Of that it had taken all, and was killed before it had sent any.
  const leaseMs = 200;
  for (const piece of await redis.zrange('calls:due:webhook_delivery', '0', '-1')) {
    await redis.zadd('calls:due:webhook_delivery', Date.now() + leaseMs, piece);
    await redis.hset('calls:due-tries', `webhook_delivery:${piece}`, 1);
  }
  await scene.replica().start();
  await eventually('both came', () => sink.received.length === 2);
  t.same(sink.received.map(({ body }) => body.data.call_id).sort(), calls.sort());
});

t.test('an endpoint gets what happens from its configuration on, also when it is put back', async (t) => {
  const sink = await DeliverySink.start(t);
  const scene = await endpointsScene(t);
  const { redis } = scene;
  const endpoint = { name: 'crm', url: sink.url, events: ['call.ended'] };
  const known = () => redis.smembers('webhook-endpoints');
  await scene.endedCall();
  await scene.replica().start();
  t.same(await redis.xinfo('GROUPS', 'calls:events'), [], 'without an endpoint nothing reads');
  const calls: string[] = [];
  for (const time of ['first', 'second']) {
    scene.configure([endpoint]);
    await eventually('it is known', async () => (await known()).length === 1);
    calls.push(await scene.endedCall());
    await eventually(`it came the ${time} time`, () => sink.received.length === calls.length);
    scene.configure([]);
    await eventually('it is forgotten', async () => (await known()).length === 0);
    t.equal(await redis.exists('webhook-endpoint:crm', 'webhook-deliveries:crm'), 0);
    await scene.endedCall();
  }
  await scene.nothingDue();
  t.same(
    sink.received.map(({ body }) => body.data.call_id),
    calls,
  );
});
