import t from 'tap';
import { request } from 'undici';
import { eventually } from '../../harness/await.js';
import { dial, establish, recordOf, startScene } from '../../harness/scene.js';
import { startStack } from '../../harness/stack.js';

const GATEWAYS = [{ uri: 'sip:127.0.0.3:5060' }];

t.test('every command needs a token, and its scope', async (t) => {
  const { api } = await startStack(t, { gateways: GATEWAYS });
  const none = await api.get('/v1/calls', 'none');
  t.equal(none.status, 401);
  t.equal(none.body.code, 'unauthorized');
  t.equal(none.headers['www-authenticate'], 'Bearer');
  t.match(none.headers['content-type'], 'application/problem+json');
  const forbidden = await api.post('/v1/calls/any/hangup', {}, 'reader');
  t.equal(forbidden.status, 403);
  t.match(forbidden.body, { code: 'forbidden', required_scope: 'control' });
  t.equal((await api.get('/v1/calls', 'reader')).status, 200);
});

t.test('an unknown call, path or field is a problem+json with a stable code', async (t) => {
  const { api } = await startStack(t, { gateways: GATEWAYS });
  const cases = [
    [await api.get('/v1/calls/unknown'), 404, 'call_not_found'],
    [await api.post('/v1/calls/unknown/hangup'), 404, 'call_not_found'],
    [await api.get('/v1/calls/sip:unknown@example.com'), 404, 'call_not_found'],
    [await api.get('/v1/nothing'), 404, 'not_found'],
    [await api.get('/v1/%zz'), 400, 'bad_request'],
    [await api.get(`/v1/calls/${'x'.repeat(400)}`), 400, 'bad_request'],
    [await api.get('/v1/calls?limit=0'), 400, 'validation_failed'],
    [await api.get('/v1/calls?state=up'), 400, 'validation_failed'],
    [await api.get('/v1/calls?colour=red'), 400, 'validation_failed'],
    [await api.get('/v1/calls?cursor=x'), 400, 'validation_failed'],
    [await api.post('/v1/calls/unknown/hangup', { because: 'x' }), 400, 'validation_failed'],
    [await api.post('/v1/calls/unknown/hangup', { reason: 'x'.repeat(70_000) }), 413, 'payload_too_large'],
  ] as const;
  for (const [reply, status, code] of cases) {
    t.equal(reply.status, status, code);
    t.match(reply.headers['content-type'], 'application/problem+json');
    t.match(reply.body, {
      status,
      code,
      title: /./,
      detail: /./,
      type: `urn:retell-sip-proxy:problem:${code}`,
    });
  }
  t.match(cases[8][0].body.errors, [{ field: 'querystring.colour' }]);
  t.same(cases[10][0].body.errors, [
    { field: 'body.because', message: 'must NOT have additional properties' },
  ]);
});

t.test('a body that is empty is none, and one that is no JSON is refused', async (t) => {
  const { api } = await startStack(t, { gateways: GATEWAYS });
  const send = async (type: string, body: string) => {
    const reply = await request(`${api.url}/v1/calls/unknown/hangup`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.tokens.all}`, 'content-type': type },
      body,
    });
    return { status: reply.statusCode, code: ((await reply.body.json()) as { code: string }).code };
  };
  t.same(await send('application/json', ''), { status: 404, code: 'call_not_found' });
  t.same(await send('application/json', '{'), { status: 400, code: 'bad_request' });
  t.same(await send('text/plain', 'hello'), { status: 415, code: 'unsupported_media_type' });
});

t.test('the figures of a node are in the first scrape, and gone when it does not answer', async (t) => {
  const { api, parts } = await startStack(t, { gateways: GATEWAYS });
  const first = (await api.get('/metrics')).body;
  t.match(first, 'retell_proxy_kamailio_up{node="node1"} 1');
  t.match(first, 'retell_proxy_kamailio_active_dialogs{node="node1"} 0');
  t.match(first, 'retell_proxy_kamailio_dropped_requests_total{node="node1",reason="unknown_source"} 0');
  await parts.kamailio.kill();
  const down = await eventually('the node is seen as down', async () => {
    const { body } = await api.get('/metrics');
    return body.includes('retell_proxy_kamailio_up{node="node1"} 0') && body;
  });
  t.notMatch(down, 'retell_proxy_kamailio_active_dialogs{');
  t.notMatch(down, 'retell_proxy_kamailio_dropped_requests_total{');
  t.notMatch(down, 'retell_proxy_gateway_up{');
});

t.test('the list pages through calls, newest first, and each appears once', async (t) => {
  const scene = await startScene(t);
  scene.retell.onInvite = (call) => call.refuse(486);
  const callIds: string[] = [];
  for (let i = 0; i < 7; i++) {
    const call = dial(scene);
    await call.finalResponse();
    callIds.unshift(call.callId);
  }
  for (const callId of callIds) await recordOf(scene.stack, callId, 'ended');
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '' : `&cursor=${cursor}`;
    const { body } = await scene.stack.api.get(`/v1/calls?state=ended&limit=3${query}`);
    seen.push(...body.items.map((call: { sip_call_id: string }) => call.sip_call_id));
    cursor = body.next_cursor;
  } while (cursor !== null);
  t.same(seen, callIds);
  const { body } = await scene.stack.api.get(`/v1/calls?sip_call_id=${callIds[2]}`);
  t.equal(body.items.length, 1);
  t.equal(body.items[0].sip_call_id, callIds[2]);
});

t.test('/readyz names the dependency that does not answer', async (t) => {
  const { api, parts } = await startStack(t, { gateways: GATEWAYS });
  t.equal((await api.get('/healthz', 'none')).status, 200);
  const ready = await api.get('/readyz', 'none');
  t.equal(ready.status, 200);
  t.match(ready.body, { status: 'ready', checks: { redis: { ok: true }, 'kamailio:node1': { ok: true } } });

  await parts.kamailio.kill();
  const noKamailio = await api.get('/readyz', 'none');
  t.equal(noKamailio.status, 503);
  t.match(noKamailio.body, {
    status: 'not_ready',
    checks: { redis: { ok: true }, 'kamailio:node1': { ok: false } },
  });

  await parts.redis.stop();
  const noRedis = await api.get('/readyz', 'none');
  t.match(noRedis.body.checks.redis, { ok: false, detail: /./ });
  t.equal((await api.get('/healthz', 'none')).status, 200);
  const calls = await api.get('/v1/calls');
  t.equal(calls.status, 503);
  t.equal(calls.body.code, 'redis_unavailable');
  t.ok(calls.headers['retry-after']);
});

t.test('OpenAPI 3.1 describes every route, and /docs shows it', async (t) => {
  const { api } = await startStack(t, { gateways: GATEWAYS });
  const { body } = await api.get('/openapi.json', 'none');
  t.match(body.openapi, /^3\.1\./);
  t.same(Object.keys(body.paths).sort(), [
    '/',
    '/functions/end_call',
    '/functions/transfer_call',
    '/healthz',
    '/metrics',
    '/readyz',
    '/status/events',
    '/v1/calls',
    '/v1/calls/{id}',
    '/v1/calls/{id}/data',
    '/v1/calls/{id}/hangup',
    '/v1/calls/{id}/ladder',
    '/v1/calls/{id}/transfers',
    '/v1/calls/{id}/transfers/{transfer_id}',
    '/v1/carriers',
    '/v1/carriers/{name}',
    '/v1/carriers/{name}/drain',
    '/v1/carriers/{name}/gateways/{uri}/drain',
    '/v1/carriers/{name}/gateways/{uri}/resume',
    '/v1/carriers/{name}/resume',
    '/v1/config/reload',
    '/v1/events',
    '/v1/hangups',
    '/v1/hangups/{id}',
    '/v1/hangups/{id}/calls',
    '/v1/hangups/{id}/cancel',
    '/v1/reconciliation',
    '/v1/records',
    '/v1/retell',
    '/v1/retell/gateways/{uri}/drain',
    '/v1/retell/gateways/{uri}/resume',
    '/v1/webhooks/dead',
    '/v1/webhooks/dead/{id}/replay',
    '/v1/webhooks/endpoints',
    '/v1/webhooks/endpoints/{name}/deliveries',
    '/v1/webhooks/endpoints/{name}/deliveries/{event_id}/replay',
    '/v1/webhooks/endpoints/{name}/enable',
    '/webhooks/retell',
    '/webhooks/retell/inbound',
  ]);
  t.match((await api.get('/docs/', 'none')).body, '<html');
});

t.test('/metrics counts calls and hangups, and holds no number and no Call-ID', async (t) => {
  const scene = await startScene(t);
  const { caller, record } = await establish(scene);
  await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  const text = await eventually('the end of the call in the metrics', async () => {
    const { body } = await scene.stack.api.get('/metrics', 'none');
    return /calls_ended_total\{direction="inbound",carrier="acme",ended_by="api"\} 1/.test(body) && body;
  });
  t.match(text, 'retell_proxy_calls_total{direction="inbound",carrier="acme"} 1');
  const subject = 'direction="inbound",carrier="acme"';
  t.match(text, `retell_proxy_call_results_total{${subject},code="200"} 1`);
  t.match(text, `retell_proxy_session_request_delay_seconds_count{${subject},outcome="answered"} 1`);
  t.match(text, `retell_proxy_session_duration_seconds_count{${subject}} 1`);
  t.match(text, `retell_proxy_session_disconnect_delay_seconds_count{${subject}} 1`);
  t.match(text, 'retell_proxy_gateway_responses_total{carrier="retell",code="200"} 1');
  t.match(text, /retell_proxy_gateway_up\{node="node1",carrier="retell",gateway="[^"]+"\} 1/);
  t.match(text, 'retell_proxy_redis_up 1');
  t.match(text, 'retell_proxy_hangups_total{outcome="ended"} 1');
  t.match(text, 'retell_proxy_kamailio_up{node="node1"} 1');
  t.match(text, /retell_proxy_build_info\{version="[^"]+"\} 1/);
  t.match(text, 'nodejs_eventloop_lag_seconds');
  t.notMatch(text, caller.callId);
  t.notMatch(text, '14155550');
});
