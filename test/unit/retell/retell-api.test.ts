import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { freePort } from '../../../control-plane/src/cli/ports.js';
import { RetellApi } from '../../../control-plane/src/retell/api.js';
import { RetellError } from '../../../control-plane/src/retell/errors.js';
import { eventually } from '../../harness/await.js';
import { type Active, API_KEY, configWith, startRetell } from '../retell-fixture.js';

type Observed = [endpoint: string, outcome: string, status: number | undefined];

/** A client of the API at this address, and what it told its observer. */
function apiOf(t: Test, base_url: string, retell: Record<string, unknown> = {}) {
  const observed: Observed[] = [];
  const config: Active = { current: configWith({ retell: { base_url, ...retell } }) };
  const api = new RetellApi({
    config,
    observe: (endpoint, outcome, seconds, status) => {
      t.ok(seconds >= 0);
      observed.push([endpoint, outcome, status]);
    },
  });
  t.teardown(() => api.close());
  return { api, config, observed };
}

/** Where a server answers as told. */
async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function errorOf(promise: Promise<unknown>): Promise<RetellError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RetellError)) throw new Error(`no RetellError but ${String(error)}`);
  return error;
}

t.test('a registered call is one that Retell knows, with all that was said of it', async (t) => {
  const simulator = await startRetell(t);
  const { api, observed } = apiOf(t, simulator.http.url);
  const { callId } = await api.registerPhoneCall({
    agent_id: 'agent_one',
    direction: 'inbound',
    to_number: '+14155550101',
    metadata: { call_ref: 'ref-1' },
    retell_llm_dynamic_variables: { tier: 'gold' },
  });
  t.match(simulator.calls.get(callId)?.call, {
    agent_id: 'agent_one',
    call_status: 'registered',
    to_number: '+14155550101',
    metadata: { call_ref: 'ref-1' },
    retell_llm_dynamic_variables: { tier: 'gold' },
  });
  t.same(observed, [['register-phone-call', 'ok', undefined]]);
});

t.test('a call is found by our id in its metadata, in whatever state it is', async (t) => {
  const simulator = await startRetell(t);
  const { api, observed } = apiOf(t, simulator.http.url);
  const numbers = { from_number: '+14155550101', to_number: '+14155550177' };
  for (const call_ref of ['ref-1', 'ref-2']) {
    const metadata = { call_ref };
    simulator.calls.create({ agent_id: 'agent_one', direction: 'outbound', ...numbers, metadata });
  }
  t.match(await api.findByCallRef('ref-1'), { call_status: 'registered', metadata: { call_ref: 'ref-1' } });
  t.equal(await api.findByCallRef('ref-3'), undefined);
  t.match(observed, [
    ['list-calls', 'ok'],
    ['list-calls', 'ok'],
  ]);
});

t.test('the concurrency is told as Retell tells it', async (t) => {
  const simulator = await startRetell(t, { concurrencyLimit: 7 });
  const { api } = apiOf(t, simulator.http.url);
  t.match(await api.getConcurrency(), { concurrency_limit: 7, current_concurrency: 0 });
});

for (const status of [400, 401, 402, 422, 429, 500, 503]) {
  t.test(`a ${status} is a refusal, and asked for once`, async (t) => {
    const simulator = await startRetell(t);
    simulator.addFault({ endpoint: '*', status });
    const { api, observed } = apiOf(t, simulator.http.url);
    t.match(await errorOf(api.registerPhoneCall({ agent_id: 'agent_one' })), { code: 'refused', status });
    t.equal(simulator.requests.items.length, 1);
    t.same(observed, [['register-phone-call', 'refused', status]]);
  });
}

t.test('an error holds neither the key nor the id of a call', async (t) => {
  const simulator = await startRetell(t);
  const message = `no call_a4441234567890777c4a4a123e6 for ${API_KEY}\r\nand key_other`;
  simulator.addFault({ endpoint: 'stop-call', status: 422, message });
  const { api } = apiOf(t, simulator.http.url);
  const error = await errorOf(api.stopCall('call_a4441234567890777c4a4a123e6'));
  t.equal(error.message, 'stop-call: 422 no call_[redacted] for [redacted] and key_[redacted]');
  t.equal(error.cause, undefined);
});

t.test('no answer in time is a timeout', async (t) => {
  const simulator = await startRetell(t);
  simulator.addFault({ endpoint: '*', delay_ms: 60_000 });
  const { api } = apiOf(t, simulator.http.url);
  const error = await errorOf(api.registerPhoneCall({ agent_id: 'agent_one' }, { timeoutMs: 50 }));
  t.match(error, { code: 'timeout', message: 'register-phone-call: no answer in 50 ms' });
});

t.test('an answer that begins in time and does not end is a timeout too', async (t) => {
  const url = await serve(t, (_request, reply) => {
    reply.writeHead(201, { 'content-type': 'application/json' }).write('{"call_id":');
  });
  const { api } = apiOf(t, url);
  const error = await errorOf(api.registerPhoneCall({ agent_id: 'agent_one' }, { timeoutMs: 200 }));
  t.equal(error.code, 'timeout');
});

t.test('a request that is given up is aborted', async (t) => {
  const simulator = await startRetell(t);
  simulator.addFault({ endpoint: '*', delay_ms: 60_000 });
  const { api } = apiOf(t, simulator.http.url);
  const abort = new AbortController();
  const failed = errorOf(api.registerPhoneCall({ agent_id: 'agent_one' }, { signal: abort.signal }));
  await eventually('the request has arrived', () => simulator.requests.items.length === 1);
  abort.abort();
  t.equal((await failed).code, 'aborted');
  t.equal(
    (await errorOf(api.getConcurrency({ signal: abort.signal }))).code,
    'aborted',
    'also from the start',
  );
});

t.test('nobody there and a connection that breaks are unreachable', async (t) => {
  const { api } = apiOf(t, `http://127.0.0.1:${await freePort()}`);
  t.match(await errorOf(api.getConcurrency()), {
    code: 'unreachable',
    message: 'get-concurrency: ECONNREFUSED',
  });
  const broken = apiOf(t, await serve(t, (request) => request.destroy()));
  t.equal((await errorOf(broken.api.registerPhoneCall({ agent_id: 'agent_one' }))).code, 'unreachable');
});

for (const [name, type, body] of [
  ['no call id', 'application/json', '{"call_status":"registered"}'],
  ['a call id that would break out of a SIP URI', 'application/json', '{"call_id":"call_1@example.com;x="}'],
  ['a page that is no JSON', 'text/html', '<html></html>'],
  ['broken JSON', 'application/json', '{"call_id'],
  ['nothing', 'application/json', ''],
] as const) {
  t.test(`a 201 with ${name} is no success`, async (t) => {
    const url = await serve(t, (_request, reply) => {
      reply.writeHead(201, { 'content-type': type }).end(body);
    });
    const { api } = apiOf(t, url);
    t.equal((await errorOf(api.registerPhoneCall({ agent_id: 'agent_one' }))).code, 'protocol');
  });
}

t.test('requests one after the other use connections again', async (t) => {
  const sockets = new Set<unknown>();
  const url = await serve(t, (request, reply) => {
    sockets.add(request.socket);
    reply.writeHead(201, { 'content-type': 'application/json' }).end('{"call_id":"call_1"}');
  });
  const { api } = apiOf(t, url);
  for (let i = 0; i < 20; i += 1) await api.registerPhoneCall({ agent_id: 'agent_one' });
  t.ok(sockets.size < 10, `${sockets.size} connections for 20 requests`);
});

t.test('a slow answer holds up no other request', async (t) => {
  const simulator = await startRetell(t);
  simulator.addFault({ endpoint: 'register-phone-call', delay_ms: 60_000, times: 20 });
  const { api } = apiOf(t, simulator.http.url);
  const abort = new AbortController();
  const slow = Array.from({ length: 20 }, () =>
    errorOf(api.registerPhoneCall({ agent_id: 'agent_slow' }, { signal: abort.signal, timeoutMs: 60_000 })),
  );
  await eventually('twenty requests wait', () => simulator.requests.items.length === 20);
  t.ok((await api.registerPhoneCall({ agent_id: 'agent_one' })).callId);
  abort.abort();
  await Promise.all(slow);
});

t.test('a new key and a new address hold for the next request', async (t) => {
  const first = await startRetell(t);
  const second = await startRetell(t, { apiKey: 'key_second_0123456789' });
  const { api, config } = apiOf(t, first.http.url);
  await api.getConcurrency();
  config.current = configWith({ retell: { base_url: second.http.url } });
  t.equal((await errorOf(api.getConcurrency())).status, 401, 'the old key at the new address');
  config.current = configWith({ retell: { base_url: second.http.url, api_key: 'key_second_0123456789' } });
  t.ok(await api.getConcurrency());
  t.equal(first.requests.items.length, 1);
});

t.test('without a key nothing is asked', async (t) => {
  const config = configWith({ numbers: [] });
  delete config.retell.api_key;
  const api = new RetellApi({ config: { current: config } });
  t.teardown(() => api.close());
  t.equal((await errorOf(api.getConcurrency())).code, 'not_configured');
});
