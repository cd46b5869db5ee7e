import { Redis } from 'ioredis';
import t from 'tap';
import { WEBHOOKS, WebhookStore } from '../../../control-plane/src/retell/webhook-store.js';
import { startRedis } from '../retell-fixture.js';

const MOST = 200_000;

async function sceneOf(t: Parameters<typeof startRedis>[0]) {
  const { url, part } = await startRedis(t);
  const redis = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 1, lazyConnect: true });
  redis.on('error', () => {});
  await redis.connect();
  t.teardown(() => redis.disconnect());
  return { redis, part, webhooks: new WebhookStore(redis) };
}

const webhook = (n: number) => ({ event: 'call_ended', call: undefined, details: {}, receivedAt: n });

t.test('webhooks that come at once are all in the stream, in their order', async (t) => {
  const { redis, webhooks } = await sceneOf(t);
  const numbers = Array.from({ length: 250 }, (_, i) => i);
  t.ok((await Promise.all(numbers.map((n) => webhooks.add(webhook(n))))).every(Boolean));
  const entries = await redis.xrange(WEBHOOKS, '-', '+');
  t.same(
    entries.map(([, fields]) => JSON.parse(fields[1] ?? '').receivedAt),
    numbers,
  );
});

t.test('those that there is no room for are not taken', async (t) => {
  const { redis, webhooks } = await sceneOf(t);
  await redis.eval(
    `for i = 1, ${MOST - 2} do redis.call('XADD', KEYS[1], '*', 'webhook', '{}') end`,
    1,
    WEBHOOKS,
  );
  t.same(await Promise.all([1, 2, 3].map((n) => webhooks.add(webhook(n)))), [true, true, false]);
  t.equal(await webhooks.add(webhook(4)), false);
  t.equal(await redis.xlen(WEBHOOKS), MOST);
});

t.test('all of them fail where Redis is away', async (t) => {
  const { part, webhooks } = await sceneOf(t);
  await part.stop();
  const results = await Promise.allSettled([1, 2].map((n) => webhooks.add(webhook(n))));
  t.same(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});
