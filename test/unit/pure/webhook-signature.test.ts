import Fastify from 'fastify';
import { sign } from 'retell-sdk';
import t, { type Test } from 'tap';
import { errorsPlugin } from '../../../control-plane/src/http/plugins/errors.js';
import { webhookSignaturePlugin } from '../../../control-plane/src/http/plugins/webhook-signature.js';

const KEY = 'key_test_secret_0123';
const BODY = '{"event":"call_started",  "call":{"call_id":"call_test"}}';
const MINUTE_MS = 60_000;

/** An app with one signed route, which answers with the body that it got, and one open route beside it. */
async function appWith(t: Test, keys: string[]) {
  const app = Fastify();
  await app.register(errorsPlugin);
  await app.register(async (signed) => {
    await signed.register(webhookSignaturePlugin, { keys: () => keys });
    signed.post('/signed', async ({ body }) => ({ body }));
  });
  app.post('/open', async ({ body }) => ({ body }));
  t.teardown(() => app.close());
  return async (signature: string | undefined, payload = BODY, url = '/signed') => {
    const reply = await app.inject({
      method: 'POST',
      url,
      payload,
      headers: {
        'content-type': 'application/json',
        ...(signature === undefined ? {} : { 'x-retell-signature': signature }),
      },
    });
    return { status: reply.statusCode, ...reply.json() };
  };
}

/** The signature of the body at another time. */
async function signedAt(t: Test, atMs: number): Promise<string> {
  const now = Date.now;
  Date.now = () => atMs;
  t.teardown(() => {
    Date.now = now;
  });
  const signature = await sign(BODY, KEY);
  Date.now = now;
  return signature;
}

t.test('what Retell signed passes, as it was sent', async (t) => {
  const send = await appWith(t, [KEY]);
  t.same(await send(await sign(BODY, KEY)), { status: 200, body: JSON.parse(BODY) });
});

t.test('each of several keys is good, while one is being replaced by another', async (t) => {
  const keys = ['key_new_0123456789', KEY];
  const send = await appWith(t, keys);
  for (const key of keys) t.equal((await send(await sign(BODY, key))).status, 200);
  keys.pop();
  t.equal((await send(await sign(BODY, KEY))).status, 401, 'the old one is gone');
});

t.test('anything else is 401 invalid_signature', async (t) => {
  const send = await appWith(t, [KEY]);
  const good = await sign(BODY, KEY);
  const cases: [what: string, signature: string | undefined, payload?: string][] = [
    ['no signature', undefined],
    ['an empty signature', ''],
    ['no signature at all in it', 'v=1'],
    ['another key', await sign(BODY, 'key_other_0123456789')],
    ['another body', good, BODY.replace('call_test', 'call_best')],
    ['the same JSON, written otherwise', good, JSON.stringify(JSON.parse(BODY))],
    ['another time', good.replace(/^v=\d+/, `v=${Date.now() + 1}`)],
    ['more than five minutes old', await signedAt(t, Date.now() - 6 * MINUTE_MS)],
    ['more than five minutes ahead', await signedAt(t, Date.now() + 6 * MINUTE_MS)],
    ['no body', good, ''],
  ];
  for (const [what, signature, payload] of cases) {
    t.match(await send(signature, payload), { status: 401, code: 'invalid_signature', detail: /./ }, what);
  }
  t.equal((await send(await signedAt(t, Date.now() - 4 * MINUTE_MS))).status, 200, 'four minutes are good');
});

t.test('without a key nothing passes, and the answer says so', async (t) => {
  const send = await appWith(t, []);
  t.match(await send(await sign(BODY, KEY)), {
    status: 401,
    code: 'invalid_signature',
    detail: /neither retell\.webhook_keys nor retell\.api_key/,
  });
});

t.test('a signed body that is no JSON is 400', async (t) => {
  const send = await appWith(t, [KEY]);
  t.match(await send(await sign('{', KEY), '{'), { status: 400, code: 'bad_request' });
});

t.test('routes beside the signed ones are not touched', async (t) => {
  const send = await appWith(t, [KEY]);
  t.same(await send(undefined, BODY, '/open'), { status: 200, body: JSON.parse(BODY) });
});
