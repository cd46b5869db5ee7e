import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Retell from 'retell-sdk';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { until } from '../../harness/call-pair.js';
import { SipPeer } from '../../harness/sip-peer.js';
import { WebhookSink } from '../../harness/webhook-sink.js';
import { RetellSimulator, type SimulatorOptions } from '../../retell-simulator/simulator.js';

const KEY = 'key_test';

async function start(t: Test, options: SimulatorOptions = {}) {
  const sink = await WebhookSink.start();
  t.teardown(() => sink.stop());
  const webhooks = { url: sink.url, retry_delay_ms: 1, ...options.webhooks };
  const simulator = await RetellSimulator.start({ apiKey: KEY, ...options, webhooks });
  t.teardown(() => simulator.stop());
  const peer = await SipPeer.start();
  t.teardown(() => peer.stop());
  const client = new Retell({ apiKey: KEY, baseURL: simulator.http.url, maxRetries: 0 });
  const dial = (user: string) => peer.invite({ to: `sip:${user}@sip.retellai.com`, via: simulator.sip });
  return { sink, simulator, peer, client, dial };
}

const events = (sink: WebhookSink) => sink.received.map((webhook) => webhook.event);

t.test('a connected call sends started, ended and analyzed, signed', async (t) => {
  const { sink, dial } = await start(t);
  const call = dial('+14155550100');
  await call.answered();
  const started = await sink.next('call_started');
  t.match(started.call, { call_status: 'ongoing', to_number: '+14155550100', start_timestamp: Number });
  t.equal(started.call.disconnection_reason, undefined);
  await call.bye();
  t.match((await sink.next('call_ended')).call, { disconnection_reason: 'user_hangup', duration_ms: Number });
  const analyzed = await sink.next('call_analyzed');
  t.match(analyzed.call, { call_analysis: { call_successful: true } });
  for (const { raw, headers } of sink.received) {
    const signature = String(headers['x-retell-signature']);
    t.equal(await Retell.verify(raw, KEY, signature), true);
    t.equal(await Retell.verify(`${raw} `, KEY, signature), false);
  }
});

t.test('the signature is the published one', async (t) => {
  const body = '{"event":"call_started","call":{"call_id":"call_test"}}';
  const clock = Date.now;
  t.teardown(() => {
    Date.now = clock;
  });
  Date.now = () => 1780012672105;
  t.equal(
    await Retell.sign(body, 'key_test_secret'),
    'v=1780012672105,d=917fe1b812be68628a11544c4c89dfbf5c66aa5682be05fa84478bb1572ed3e9',
  );
});

t.test('a call that never connects sends no call_started', async (t) => {
  const { sink, client } = await start(t, { registrationTtlMs: 5 });
  await client.call.registerPhoneCall({ agent_id: 'agent_x' });
  t.match((await sink.next('call_ended')).call, { disconnection_reason: 'registered_call_timeout' });
  await sink.next('call_analyzed');
  t.strictSame(events(sink).sort(), ['call_analyzed', 'call_ended']);
});

t.test('a webhook that is refused is repeated up to three times, the others do not wait', async (t) => {
  const { sink, simulator, dial } = await start(t);
  sink.statuses.push(500, 404, 301, 500);
  await dial('+14155550100').answered();
  await until(() => sink.received.length === 4 && simulator.webhooks.pending === 0);
  t.strictSame(new Set(events(sink)), new Set(['call_started']));
  t.strictSame(
    simulator.webhooks.deliveries.items.map(({ attempt, status }) => [attempt, status]),
    [
      [1, 500],
      [2, 404],
      [3, 301],
      [4, 500],
    ],
  );
});

t.test('a webhook is repeated when no answer comes in time', async (t) => {
  const { sink, simulator } = await start(t, { webhooks: { timeout_ms: 50, url: 'http://127.0.0.1:1/' } });
  simulator.webhooks.send('call_started', 'call_x', { event: 'call_started' });
  await until(() => simulator.webhooks.pending === 0);
  t.equal(simulator.webhooks.deliveries.items.length, 4);
  t.equal(sink.received.length, 0);
});

t.test('duplicates are sent, dropped events are not, and shuffled ones all arrive', async (t) => {
  const { sink, simulator, dial } = await start(t, { webhooks: { duplicates: 1, drop: ['call_started'] } });
  const call = dial('+14155550100');
  await call.answered();
  await call.bye();
  await until(() => simulator.webhooks.pending === 0 && sink.received.length > 0);
  t.strictSame(events(sink).sort(), ['call_analyzed', 'call_analyzed', 'call_ended', 'call_ended']);

  simulator.setWebhooks({ duplicates: 0, drop: [], shuffle_within_ms: 20 });
  sink.received.length = 0;
  for (const event of ['call_started', 'call_ended']) simulator.webhooks.send(event, 'call_x', { event });
  await until(() => sink.received.length === 2);
  t.strictSame(events(sink).sort(), ['call_ended', 'call_started']);
});

t.test("a call's own webhook settings come first", async (t) => {
  const { sink, simulator, client, dial } = await start(t, { webhooks: { url: 'http://127.0.0.1:1/' } });
  const { call_id } = await client.call.registerPhoneCall({
    agent_id: 'agent_x',
    agent_override: { agent: { webhook_url: sink.url, webhook_events: ['call_started'] } },
  });
  const call = dial(call_id);
  await call.answered();
  t.equal((await sink.next('call_started')).call.call_id, call_id);
  await call.bye();
  await until(() => simulator.calls.get(call_id)?.call.call_status === 'ended');
  t.strictSame(events(sink), ['call_started']);
});

t.test('the inbound webhook chooses the agent or rejects the call', async (t) => {
  const { sink, simulator, dial } = await start(t);
  simulator.setWebhooks({ inbound_url: sink.url });
  sink.answer = {
    call_inbound: {
      override_agent_id: 'agent_b',
      dynamic_variables: { name: 'Ann' },
      metadata: { ref: 'm' },
    },
  };
  await dial('+14155550100').answered();
  t.match((await sink.next('call_inbound')).payload, { call_inbound: { to_number: '+14155550100' } });
  t.match((await sink.next('call_started')).call, {
    agent_id: 'agent_b',
    metadata: { ref: 'm' },
    retell_llm_dynamic_variables: { name: 'Ann' },
  });
  sink.answer = { call_inbound: { reject: true } };
  t.equal((await dial('+14155550101').finalResponse()).status, 403);
  t.equal(simulator.calls.all().length, 1, 'a rejected call leaves no record');
});

t.test('a transfer by REFER follows its NOTIFY and tells of it', async (t) => {
  const events = ['call_ended', 'transfer_started', 'transfer_bridged', 'transfer_cancelled'];
  const { sink, simulator, dial } = await start(t, { webhooks: { events } });
  const notify = (status: string) => ({
    headers: [
      ['Event', 'refer'],
      ['Content-Type', 'message/sipfrag'],
    ] as const,
    body: `SIP/2.0 ${status}\r\n`,
  });
  for (const [answer, final, outcome] of [
    ['100 Trying', '486 Busy Here', 'transfer_cancelled'],
    ['180 Ringing', '200 OK', 'transfer_bridged'],
  ] as const) {
    const call = dial('+14155550100');
    call.on('REFER', (refer) => refer.reply(202));
    await call.answered();
    await until(() =>
      simulator.calls.all().some((entry) => entry.sip?.callId === call.callId && entry.call.start_timestamp),
    );
    const entry = simulator.calls.all().find(({ sip }) => sip?.callId === call.callId);
    if (!entry) throw new Error('the call is not known');
    const status = simulator.transfer(entry, 'tel:+15105550100', [['X-Case', '1']]);
    const refer = (await call.next('REFER')).message;
    t.equal(refer.get('refer-to'), 'tel:+15105550100');
    t.equal(refer.get('x-case'), '1');
    await call.request('NOTIFY', notify(answer));
    await call.request('NOTIFY', notify(final));
    t.equal(await status, Number(final.slice(0, 3)));
    t.match((await sink.next('transfer_started')).payload, { transfer_destination: { number: /510/ } });
    await sink.next(outcome);
    if (outcome === 'transfer_bridged') t.equal(entry.call.disconnection_reason, 'call_transfer');
    else t.equal(entry.call.call_status, 'ongoing');
  }
});

t.test('an agent calls a custom function with its call and a signature', async (t) => {
  const { sink, simulator, dial } = await start(t);
  await dial('+14155550100').answered();
  await sink.next('call_started');
  sink.answer = { result: 'done' };
  const [entry] = simulator.calls.all();
  if (!entry) throw new Error('no call');
  const answer = await simulator.callFunction(entry, { url: sink.url, name: 'end_call', args: { why: 'x' } });
  t.strictSame(answer, { status: 200, body: '{"result":"done"}' });
  const last = sink.received.at(-1);
  t.match(last?.payload, { name: 'end_call', args: { why: 'x' }, call: { call_id: entry.call.call_id } });
  t.equal(await Retell.verify(last?.raw ?? '', KEY, String(last?.headers['x-retell-signature'])), true);
});

t.test('the knobs work over HTTP, and reset puts them back', async (t) => {
  const { simulator, client, dial } = await start(t);
  const set = async (method: 'PUT' | 'PATCH' | 'POST', path: string, body?: object) => {
    const answer = await request(`${simulator.http.url}/simulator${path}`, {
      method,
      ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
    });
    return answer.body.text().then((text) => [answer.statusCode, text] as const);
  };
  await set('PUT', '/numbers/+14155550100', { refuse: 503 });
  t.equal((await dial('+14155550100').finalResponse()).status, 503);
  await set('PATCH', '/webhooks', { duplicates: 2 });
  t.equal(simulator.webhooks.behaviour.duplicates, 2);
  await set('POST', '/faults', { endpoint: 'get-concurrency', status: 503, times: 1, delay_ms: 1 });
  await t.rejects(client.concurrency.retrieve(), { message: /^503/ });
  t.equal((await client.concurrency.retrieve()).current_concurrency, 0, 'the fault was for one request');
  t.match(simulator.requests.items, [
    { endpoint: 'get-concurrency', status: 503 },
    { endpoint: 'get-concurrency', status: 200 },
  ]);
  t.equal((await set('POST', '/faults', { endpoint: 'nonsense' }))[0], 400);
  t.equal((await set('PUT', '/numbers/1', { answer_after: 1 }))[0], 400, 'a misspelt knob is refused');
  t.equal((await set('PATCH', '/termination', { uri: 'tel:+1@' }))[0], 400);
  await set('POST', '/reset');
  t.equal(simulator.webhooks.behaviour.duplicates, 0);
  t.equal(simulator.requests.items.length, 0);
  await dial('+14155550100').answered();
});

t.test('an answer can be held back after the request took effect', async (t) => {
  const { simulator, client } = await start(t);
  simulator.addFault({ endpoint: 'register-phone-call', delay_ms: 60_000, times: 1 });
  const slow = client.call.registerPhoneCall({ agent_id: 'agent_x' }, { timeout: 200 });
  await t.rejects(slow, { message: 'Request timed out.' });
  await until(() => simulator.calls.all().length === 1);
});

t.test('as a process it says where it listens and ends on SIGTERM', async (t) => {
  const main = fileURLToPath(new URL('../../retell-simulator/main.js', import.meta.url));
  const child = spawn(process.execPath, [main, '--api-key', KEY], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const url = /HTTP (\S+)$/.exec(line)?.[1] ?? '';
  t.match(line, /^retell-simulator: SIP 127\.0\.0\.1:\d+ \(UDP, TCP\), HTTP http:/);
  const client = new Retell({ apiKey: KEY, baseURL: url });
  t.equal((await client.concurrency.retrieve()).concurrency_limit, 20);
  child.kill('SIGTERM');
  t.strictSame(await exited, [0, null]);
});
