import t from 'tap';
import { eventually } from '../../harness/await.js';
import { DeliverySink } from '../../harness/delivery-sink.js';
import { endpointRoutes, endpointsScene, SECRET, TOKENS } from './endpoints-fixture.js';

const [, READER] = TOKENS;

t.test('failures disable an endpoint, its events are skipped then, until it is enabled', async (t) => {
  const sink = await DeliverySink.start(t);
  let status = 500;
  sink.answer = () => status;
  const endpoint = { name: 'crm', url: sink.url, events: ['call.ended'], disable_after: 3 };
  const scene = await endpointsScene(t, [endpoint]);
  const replica = scene.replica({ disableLeastMs: 0 });
  await replica.start();
  const send = await endpointRoutes(t, replica);
  const seen = async () => (await send('GET')).body.items[0];
  t.match(await seen(), { state: 'enabled', disabled_at: null, last_success_at: null });
  await scene.endedCall();
  await eventually('its next try is skipped', () => scene.observed.settled.includes('crm skipped'));
  t.equal(sink.received.length, 3);
  t.match(await seen(), {
    state: 'disabled',
    disabled_at: /^\d{4}-/,
    disabled_for: 'failures',
    consecutive_failures: 3,
  });
  t.match(scene.observed.warnings, [/^webhook endpoint disabled.*"endpoint":"crm","status":500/]);
  await scene.endedCall();
  await scene.nothingDue();
  t.equal(sink.received.length, 3, 'nothing is sent there');

  t.match(await send('POST', '/crm/enable', READER.token), { status: 403 });
  t.match(await send('POST', '/crm/enable'), { status: 200, body: { enabled: true, was_disabled: true } });
  t.match(await send('POST', '/crm/enable'), { status: 200, body: { was_disabled: false } });
  status = 204;
  await scene.endedCall();
  await eventually('it came', () => scene.observed.settled.includes('crm delivered'));
  t.match(await seen(), { state: 'enabled', disabled_for: null, consecutive_failures: 0 });
  t.match(await seen(), { last_success_at: /^\d{4}-/ });
});

t.test('many failures in a short time disable nothing', async (t) => {
  const sink = await DeliverySink.start(t);
  let status = 500;
  sink.answer = () => status;
  const endpoint = { name: 'crm', url: sink.url, events: ['call.ended'], disable_after: 1 };
  const scene = await endpointsScene(t, [endpoint]);
  const replica = scene.replica({ disableLeastMs: 60_000 });
  await replica.start();
  await scene.endedCall();
  await eventually('it has failed', () => sink.received.length === 3);
  status = 204;
  await eventually('it is delivered', () => scene.observed.settled.includes('crm delivered'));
  t.notOk(scene.observed.disabled.get('crm'));
});

t.test('an endpoint that is gone is disabled at once', async (t) => {
  const sink = await DeliverySink.start(t);
  sink.answer = () => 410;
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  const replica = scene.replica();
  await replica.start();
  const send = await endpointRoutes(t, replica);
  await scene.endedCall();
  await scene.endedCall();
  await eventually('both are over', () => scene.observed.settled.length === 2);
  t.match(scene.observed.settled[0], 'crm given_up');
  const { items } = (await send('GET')).body;
  t.match(items, [{ state: 'disabled', disabled_for: 'gone' }]);
  t.notOk(scene.observed.disabled.get('crm'));
  await scene.replica().start();
  await eventually('another replica knows it, and tells its metric', () =>
    scene.observed.disabled.get('crm'),
  );
});

t.test('neither the list nor the log shows a secret', async (t) => {
  const url = 'https://127.0.0.1:9/hooks/v1/T0AbCdEf123/calls?token=canary';
  const scene = await endpointsScene(t, [{ name: 'crm', url, events: ['call.ended'], carriers: ['acme'] }]);
  const replica = scene.replica();
  await replica.start();
  await scene.endedCall();
  await eventually('it has failed', () => scene.observed.settled.length > 0);
  const send = await endpointRoutes(t, replica);
  const list = await send('GET');
  t.match(list.body.items, [
    {
      name: 'crm',
      url: 'https://127.0.0.1:9/hooks/v1/***/calls?***',
      events: ['call.ended'],
      carriers: ['acme'],
    },
  ]);
  const texts = [list.text, (await send('GET', '/crm/deliveries')).text, ...scene.observed.warnings].join();
  for (const secret of [SECRET, SECRET.slice(6), 'T0AbCdEf123', 'canary']) t.notMatch(texts, secret);
});

t.test('the log is read page by page, and by outcome', async (t) => {
  const sink = await DeliverySink.start(t);
  sink.answer = () => (sink.received.length === 1 ? 500 : 204);
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  const replica = scene.replica();
  await replica.start();
  const calls = [await scene.endedCall(), await scene.endedCall(), await scene.endedCall()];
  await eventually('all came', () => scene.observed.settled.length === 4);
  const send = await endpointRoutes(t, replica);
  const first = await send('GET', '/crm/deliveries?limit=3');
  t.equal(first.body.items.length, 3);
  const rest = await send('GET', `/crm/deliveries?limit=3&cursor=${first.body.next_cursor}`);
  t.equal(rest.body.next_cursor, null);
  const all = [...first.body.items, ...rest.body.items];
  t.equal(new Set(all.map((item) => `${item.event_id} ${item.attempt}`)).size, 4);
  t.same(new Set(all.map(({ call_id }) => call_id)), new Set(calls));
  const failed = await send('GET', '/crm/deliveries?outcome=failed');
  t.match(failed.body, { items: [{ type: 'call.ended', attempt: 1, status: 500 }], next_cursor: null });
  t.equal(failed.body.items.length, 1);
  t.match(await send('GET', '/crm/deliveries?cursor=none'), {
    status: 400,
    body: { code: 'validation_failed' },
  });
  t.match(await send('GET', '/none/deliveries'), { status: 404, body: { code: 'endpoint_not_found' } });
});

t.test('an event that is kept is replayed, to an endpoint that wants it and is enabled', async (t) => {
  const sink = await DeliverySink.start(t);
  let status = 204;
  sink.answer = () => status;
  const scene = await endpointsScene(t, [{ name: 'crm', url: sink.url, events: ['call.ended'] }]);
  const hour = 3_600_000;
  const replica = scene.replica({ due: { policy: { firstMs: hour, jitter: 0 } } });
  await replica.start();
  const send = await endpointRoutes(t, replica);
  await scene.endedCall();
  await eventually('it came', () => scene.observed.settled.length === 1);
  await scene.nothingDue();
  const event = await scene.newestEvent();
  const replay = (id: string, token?: string) => send('POST', `/crm/deliveries/${id}/replay`, token);
  t.match(await replay(event, READER.token), { status: 403 });
  t.match(await replay(event), { status: 202, body: { replayed: true } });
  await eventually('it came again', () => scene.observed.settled.length === 2);
  const [one, two] = sink.received;
  t.equal(one?.headers['webhook-id'], two?.headers['webhook-id']);

  status = 500;
  await scene.endedCall();
  await eventually('another has failed', () => scene.observed.settled.includes('crm failed'));
  status = 204;
  await eventually('and waits for its next try', async () => {
    const [, due] = await scene.redis.zrange('calls:due:webhook_delivery', '0', '-1', 'WITHSCORES');
    return Number(due) > Date.now() + hour / 2;
  });
  t.match(await replay(await scene.newestEvent()), { status: 202 });
  await eventually('it came at once', () => sink.received.length === 4);
  await scene.nothingDue();

  const [[unwanted = ''] = []] = await scene.redis.xrange('calls:events', '-', '+', 'COUNT', 1);
  const none = { status: 404, body: { code: 'event_not_found' } };
  for (const id of [unwanted, '1-1', 'none']) t.match(await replay(id), none, id);
  await scene.redis.hset('webhook-endpoint:crm', 'disabled_at', '1');
  t.match(await replay(event), { status: 409, body: { code: 'endpoint_disabled' } });
});
