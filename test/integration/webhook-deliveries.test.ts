import { randomUUID } from 'node:crypto';
import t from 'tap';
import { CallStore } from '../../control-plane/src/calls/store.js';
import { eventually } from '../harness/await.js';
import { DeliverySink, isSignedWith } from '../harness/delivery-sink.js';
import { establish, startScene } from '../harness/scene.js';
import { startStack } from '../harness/stack.js';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

t.test('a call that ends reaches the systems of the owner with its record', async (t) => {
  const sink = await DeliverySink.start(t);
  const scene = await startScene(t, {
    config: { webhooks: [{ name: 'crm', url: sink.url, secrets: [SECRET], events: ['record.created'] }] },
  });
  const { api, redis } = scene.stack;
  await eventually(
    'the endpoint is taken note of',
    async () => (await redis.exists('webhook-endpoint:crm')) === 1,
  );
  const { record } = await establish(scene);
  await api.post(`/v1/calls/${record.id}/hangup`);
  const [delivery] = await eventually('the record came', () => sink.received.length > 0 && sink.received);
  if (delivery === undefined) return t.fail();
  t.ok(isSignedWith(SECRET, delivery));
  t.match(delivery.body, {
    type: 'record.created',
    data: { call_id: record.id, call: { state: 'ended', ended_by: 'api' } },
  });
  await eventually('the log has it', async () => {
    const { body } = await api.get('/v1/webhooks/endpoints/crm/deliveries?outcome=delivered');
    return body.items.length === 1;
  });
  const { body } = await api.get('/v1/webhooks/endpoints');
  t.match(body.items, [{ name: 'crm', state: 'enabled', consecutive_failures: 0 }]);
  const metrics = await (await fetch(`${api.url}/metrics`)).text();
  t.match(metrics, 'retell_proxy_webhook_deliveries_total{endpoint="crm",outcome="delivered"} 1');
  t.match(metrics, 'retell_proxy_webhook_endpoint_disabled{endpoint="crm"} 0');
});

t.test('every event reaches them right through a kill of the control plane', async (t) => {
  const sink = await DeliverySink.start(t);
  const stack = await startStack(t, {
    controlPlane: 'process',
    gateways: [{ uri: 'sip:127.0.0.3:5999' }],
    config: { webhooks: [{ name: 'crm', url: sink.url, secrets: [SECRET], events: ['call.created'] }] },
  });
  await eventually(
    'the endpoint is taken note of',
    async () => (await stack.redis.exists('webhook-endpoint:crm')) === 1,
  );
  const store = new CallStore(stack.redis, 3600);
  const ids = new Set<string>();
  const writing = (async () => {
    for (let n = 0; n < 200; n += 1) {
      const id = randomUUID();
      ids.add(id);
      const fields = { direction: 'inbound', created_at: String(Date.now()) };
      await store.merge([{ id, atMs: Date.now(), fields }]);
    }
  })();
  await eventually('some have come', () => sink.received.length > 10);
  await stack.parts.controlPlane?.kill();
  await stack.parts.controlPlane?.start();
  await writing;
  const arrived = () => new Set(sink.received.map(({ body }) => body.data.call_id));
  await eventually('all have come', () => arrived().size === ids.size);
  t.same(arrived(), ids);
});
