import Fastify from 'fastify';
import { Redis } from 'ioredis';
import t from 'tap';
import { authPlugin } from '../../../control-plane/src/http/plugins/auth.js';
import { errorsPlugin } from '../../../control-plane/src/http/plugins/errors.js';
import { deadWebhookRoutes } from '../../../control-plane/src/http/routes/dead-webhooks.js';
import { WEBHOOKS, WebhookStore } from '../../../control-plane/src/retell/webhook-store.js';
import { startRedis } from '../retell-fixture.js';

const TOKENS = [
  { name: 'ops', token: 'token-of-the-operators', scopes: ['read', 'control'] },
  { name: 'reader', token: 'token-of-the-readers', scopes: ['read'] },
] as const;

t.test('webhooks that were given up are listed page by page, and replayed once', async (t) => {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const webhooks = new WebhookStore(redis);
  const app = Fastify();
  t.teardown(() => app.close());
  await app.register(errorsPlugin);
  await app.register(authPlugin, { tokens: TOKENS });
  await app.register(deadWebhookRoutes, { webhooks });
  const send = async (method: 'GET' | 'POST', path: string, token: string = TOKENS[0].token) => {
    const headers = { authorization: `Bearer ${token}` };
    const reply = await app.inject({ method, url: `/v1/webhooks/dead${path}`, headers });
    return { status: reply.statusCode, body: reply.json() };
  };

  for (const n of [1, 2, 3]) {
    const call = { call_id: `call_${n}`, call_status: 'ended' };
    await webhooks.bury(
      [{ event: 'call_ended', call, details: {}, key: 'k', receivedAt: n }],
      'unmatched',
      'no call of ours came',
    );
  }
  const first = await send('GET', '?limit=2');
  t.match(first, {
    status: 200,
    body: {
      items: [
        {
          event: 'call_ended',
          retell_call_id: 'call_3',
          reason: 'unmatched',
          received_at: '1970-01-01T00:00:00.003Z',
        },
        { retell_call_id: 'call_2' },
      ],
    },
  });
  const rest = await send('GET', `?limit=2&cursor=${first.body.next_cursor}`);
  t.match(rest, { status: 200, body: { items: [{ retell_call_id: 'call_1' }], next_cursor: null } });

  const [{ id }] = rest.body.items;
  t.match(await send('POST', `/${id}/replay`, TOKENS[1].token), { status: 403 });
  t.match(await send('POST', `/${id}/replay`), { status: 202, body: { replayed: true } });
  t.equal(await redis.xlen(WEBHOOKS), 1);
  t.match(await send('POST', `/${id}/replay`), { status: 404, body: { code: 'webhook_not_found' } });
  t.match(await send('POST', '/nonsense/replay'), { status: 404, body: { code: 'webhook_not_found' } });
  t.match(await send('GET', '?cursor=nonsense'), { status: 400, body: { code: 'validation_failed' } });
  t.equal((await send('GET', '')).body.items.length, 2);
});
