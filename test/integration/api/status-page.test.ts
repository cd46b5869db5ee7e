import t from 'tap';
import { request } from 'undici';
import { eventually } from '../../harness/await.js';
import { readEvents } from '../../harness/event-client.js';
import { establish, recordOf, startScene } from '../../harness/scene.js';

const basic = (password: string) => ({
  authorization: `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}`,
});

t.test('the page shows calls, gateways, nodes and failures, with numbers masked', async (t) => {
  const scene = await startScene(t);
  const { api, sip } = scene.stack;
  const page = async () => (await api.get('/', 'reader')).body as string;
  const idle = await page();
  t.match(idle, 'No call is up');
  t.match(idle, 'No call has failed in the last hour');
  await establish(scene);
  const up = await eventually('the call on the page', async () => {
    const text = await page();
    return text.includes('acme<small>inbound</small>') && text;
  });
  t.match(up, '<td>0</td><td>0</td><td>1</td><td>1</td>');
  t.match(up, `sip:127.0.0.3:${scene.retell.port}`);
  t.match(up, /node1<\/th><td><span class="badge good">up/);

  // What the caller writes into its INVITE stays text.
  const script = '<script>alert(1)</script>';
  scene.retell.onInvite = (call) => call.refuse(499, 'Odd', [['Reason', `Q.850;cause=17;text="${script}"`]]);
  const caller = scene.carrier.invite({
    to: `sip:+14155550100@${sip.host}:${sip.port}`,
    from: `<sip:a&'b@198.51.100.10>`,
    via: sip,
  });
  await caller.finalResponse();
  const failed = await eventually('the failed call on the page', async () => {
    const text = await page();
    return text.includes('refused the call with 499') && text;
  });
  t.match(failed, /<a href="\/v1\/calls\/[0-9a-f-]{36}">/);
  t.match(failed, '+1415***00');
  t.notMatch(failed, '4155550100');
  t.match(failed, '(&lt;script&gt;alert(1)&lt;/script&gt;)');
  t.match(failed, 'a&amp;&#39;b to');
  t.equal(failed.split('<script').length, 2, "no script but the page's own");
});

t.test('a Redis that is away is a word on the page', async (t) => {
  const scene = await startScene(t);
  const { api, parts } = scene.stack;
  await parts.redis.stop();
  const text = await eventually('the page without Redis', async () => {
    const { status, body } = await api.get('/', 'reader');
    t.equal(status, 200);
    return body.includes('Not known: Redis does not answer') && body;
  });
  t.match(text, 'redis away');
});

t.test('a node that is away is a word on the page', async (t) => {
  const { stack } = await startScene(t);
  await stack.parts.kamailio.kill();
  const text = await eventually('the page without the node', async () => {
    const { body } = await stack.api.get('/', 'reader');
    return body.includes('node1 away') && body;
  });
  t.match(text, /node1<\/th><td><span class="badge bad">away/);
});

t.test('a token is needed, by Bearer or as the password of Basic, for the page alone', async (t) => {
  const { stack } = await startScene(t);
  const { url, tokens } = stack.api;
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const { statusCode, headers: answer, body } = await request(url + path, { headers });
    await body.dump();
    return { status: statusCode, challenge: answer['www-authenticate'], headers: answer };
  };
  const reader = basic(tokens.reader ?? '');
  for (const headers of [{}, basic('wrong'), basic(''), { authorization: 'Basic ?' }]) {
    const refused = await get('/', headers);
    t.match(refused, { status: 401, challenge: 'Basic realm="retell-sip-proxy", charset="UTF-8"' });
  }
  const page = await get('/', reader);
  t.equal(page.status, 200);
  t.match(page.headers['content-security-policy'], /^default-src 'none'; style-src 'sha256-/);
  t.equal((await get('/', { authorization: `Bearer ${tokens.reader}` })).status, 200);
  t.equal((await get('/status/events')).status, 401);
  t.match(await get('/v1/calls', reader), { status: 401, challenge: 'Bearer' });
});

t.test('the stream of the page tells of a new call', async (t) => {
  const scene = await startScene(t);
  const { api } = scene.stack;
  const seen: string[] = [];
  const reading = readEvents(
    `${api.url}/status/events`,
    { token: api.tokens.reader ?? '' },
    ({ event, data }) => {
      t.equal(event, 'status');
      t.match(data.at, / UTC$/);
      if (data.figures !== undefined) seen.push(data.figures);
      return !seen.some((figures) => figures.includes('acme<small>inbound'));
    },
  );
  await eventually('the first figures', async () => seen.length > 0);
  t.match(seen[0], 'No call is up');
  const { caller } = await establish(scene);
  await reading;
  t.ok(await recordOf(scene.stack, caller.callId, 'answered'));
});
