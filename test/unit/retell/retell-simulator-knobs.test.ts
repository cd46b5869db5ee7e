import Retell from 'retell-sdk';
import t, { type Test } from 'tap';
import { until } from '../../harness/call-pair.js';
import { makeAuthority } from '../../harness/certificates.js';
import { type IncomingCall, type PeerOptions, SipPeer } from '../../harness/sip-peer.js';
import { WebhookSink } from '../../harness/webhook-sink.js';
import { RetellSimulator, type SimulatorOptions } from '../../retell-simulator/simulator.js';

const KEY = 'key_test';
const NUMBER = '+14155550100';

async function start(t: Test, options: SimulatorOptions = {}) {
  const simulator = await RetellSimulator.start({ apiKey: KEY, ...options });
  t.teardown(() => simulator.stop());
  const client = new Retell({ apiKey: KEY, baseURL: simulator.http.url, maxRetries: 0 });
  return { simulator, client };
}

async function startPeer(t: Test, options: PeerOptions = {}) {
  const peer = await SipPeer.start(options);
  t.teardown(() => peer.stop());
  return peer;
}

function dial(peer: SipPeer, simulator: RetellSimulator, user: string) {
  const { host } = simulator.sip;
  const port = peer.transport === 'tls' ? (simulator.sip.tls?.port ?? 0) : simulator.sip.port;
  return peer.invite({ to: `sip:${user}@sip.retellai.com`, via: { host, port } });
}

/** How a request fails. */
async function failure(request: Promise<unknown>): Promise<InstanceType<typeof Retell.APIError>> {
  const error = await request.catch((reason: unknown) => reason);
  if (error instanceof Retell.APIError) return error;
  throw new Error(`expected an API error, got ${String(error)}`);
}

/** POST to a knob. */
async function turn(simulator: RetellSimulator, method: string, knob: string, body: object) {
  const headers = { 'content-type': 'application/json' };
  const url = `${simulator.http.url}/simulator/${knob}`;
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.text() };
}

t.test('a registration keeps what it was given, and shows what it was asked', async (t) => {
  const { simulator, client } = await start(t);
  const body = {
    agent_id: 'agent_x',
    agent_version: 3,
    direction: 'outbound',
    from_number: '+14155550123',
    to_number: NUMBER,
    metadata: { call_ref: 'r1', nested: { a: [1] } },
    retell_llm_dynamic_variables: { name: 'Ada' },
  } as const;
  const call = await client.call.registerPhoneCall(body);
  t.match(call, { ...body, call_type: 'phone_call', call_status: 'registered' });
  t.match(call.call_id, /^call_[0-9a-f]{27}$/);
  t.match(simulator.requests.items, [{ endpoint: 'register-phone-call', status: 201, body }]);
  const asked = { ...body, agent_version: 'latest', custom_sip_headers: { 'X-A': '1' } };
  const other = await client.call.registerPhoneCall(asked);
  t.equal(other.agent_version, 0, 'a version by name is answered by number');
  t.equal(other.custom_sip_headers, undefined, 'Retell takes none here');
});

t.test('a fault answers with its status and message, and does nothing', async (t) => {
  const { simulator, client } = await start(t);
  for (const status of [400, 401, 402, 422, 429, 500]) {
    simulator.addFault({ endpoint: 'register-phone-call', status, message: `no ${status}`, times: 1 });
    const error = await failure(client.call.registerPhoneCall({ agent_id: 'agent_x' }));
    t.equal(error.status, status);
    t.strictSame(error.error, { status: 'error', message: `no ${status}` });
  }
  t.strictSame(simulator.calls.all(), []);
  t.equal((await client.call.registerPhoneCall({ agent_id: 'agent_x' })).call_status, 'registered');
});

t.test('an answer that comes too late has registered a call all the same', async (t) => {
  const { simulator, client } = await start(t, {
    faults: [{ endpoint: 'register-phone-call', delay_ms: 60_000 }],
  });
  const request = client.call.registerPhoneCall({ agent_id: 'agent_x' }, { timeout: 100 });
  t.ok((await failure(request)) instanceof Retell.APIConnectionTimeoutError);
  t.equal(simulator.calls.all().length, 1);
});

t.test('stop-call refuses a registered call, which can still be dialled', async (t) => {
  const { simulator, client } = await start(t);
  const { call_id } = await client.call.registerPhoneCall({ agent_id: 'agent_x' });
  t.equal((await failure(client.call.stop(call_id))).status, 422);
  await dial(await startPeer(t), simulator, call_id).answered();
});

t.test('told so, stop-call ends a registered call, which cannot be dialled any more', async (t) => {
  const { simulator, client } = await start(t, { stopUnanswered: 'end' });
  const { call_id } = await client.call.registerPhoneCall({ agent_id: 'agent_x' });
  await client.call.stop(call_id);
  await until(() => simulator.calls.get(call_id)?.call.disconnection_reason === 'manual_stopped');
  t.equal((await dial(await startPeer(t), simulator, call_id).finalResponse()).status, 404);
  t.equal(simulator.concurrency, 0);
});

t.test('told so, stop-call ends calls that ring, in both directions', async (t) => {
  const peer = await startPeer(t);
  const incoming = new Promise<IncomingCall>((resolve) => {
    peer.onInvite = (call) => {
      call.ring();
      resolve(call);
    };
  });
  const { simulator, client } = await start(t, {
    terminationUri: `127.0.0.1:${peer.port};transport=udp`,
    numbers: { '*': { answer_after_ms: null } },
  });
  t.equal((await turn(simulator, 'PATCH', 'stop-unanswered', { mode: 'end' })).status, 200);

  const inbound = dial(peer, simulator, NUMBER);
  await inbound.response(180);
  await client.call.stop(simulator.calls.all()[0]?.call.call_id ?? '');
  t.equal((await inbound.finalResponse()).status, 480);

  const { call_id } = await client.call.createPhoneCall({ from_number: NUMBER, to_number: '+14155550123' });
  const outbound = await incoming;
  await client.call.stop(call_id);
  await outbound.canceled;
  t.equal((await client.call.retrieve(call_id)).disconnection_reason, 'manual_stopped');
  t.equal(simulator.concurrency, 0);
});

t.test('a closed HTTP side refuses connections while SIP goes on, and comes back where it was', async (t) => {
  const { simulator, client } = await start(t);
  const { url } = simulator.http;
  await client.concurrency.retrieve();
  await simulator.closeHttp();
  await simulator.closeHttp();
  t.equal(simulator.http.url, url);
  const error = await failure(client.concurrency.retrieve());
  t.ok(error instanceof Retell.APIConnectionError);
  t.match(error.cause, { cause: { code: 'ECONNREFUSED' } });
  await dial(await startPeer(t), simulator, NUMBER).answered();
  await simulator.openHttp();
  await simulator.openHttp();
  t.equal((await client.concurrency.retrieve()).current_concurrency, 1);
});

t.test('a simulator with a closed HTTP side stops, and stays so', async (t) => {
  const { simulator, client } = await start(t);
  await simulator.closeHttp();
  await simulator.stop();
  await simulator.openHttp();
  t.ok((await failure(client.concurrency.retrieve())) instanceof Retell.APIConnectionError);
});

t.test('an outage that was asked for by HTTP ends by itself', async (t) => {
  const { simulator, client } = await start(t);
  t.equal((await turn(simulator, 'POST', 'outage', { duration_ms: 50 })).status, 202);
  let refused = 0;
  for (;;) {
    const answer = await client.concurrency.retrieve().catch(() => undefined);
    if (answer && refused > 0) break;
    if (!answer) refused += 1;
  }
  t.ok(refused > 0);
});

t.test("the Contact of an answer holds the dialled user, the call's id, or no user", async (t) => {
  const peer = await startPeer(t);
  const userOf = async (options: SimulatorOptions) => {
    const { simulator } = await start(t, options);
    const answer = await dial(peer, simulator, NUMBER).answered();
    const contact = answer.get('contact') ?? '';
    return { contact, callId: simulator.calls.all()[0]?.call.call_id };
  };
  t.match((await userOf({})).contact, `<sip:${NUMBER}@`);
  const { contact, callId } = await userOf({ contactUser: 'call_id' });
  t.match(contact, `<sip:${callId}@`);
  t.match((await userOf({ contactUser: 'none' })).contact, /^<sip:127\.0\.0\.1:/);
});

t.test('tls: calls come in and go out', async (t) => {
  const ca = await makeAuthority(t.testdir(), 'Test CA');
  const { pem } = await ca.issue({ name: 'sip.retellai.com', altNames: ['IP:127.0.0.1'] });
  const tls = { ...pem, ca: ca.pem, requestCert: true };
  const peer = await startPeer(t, { transport: 'tls', tls });
  peer.onInvite = (call) => call.answer();
  const terminationUri = `sip:127.0.0.1:${peer.port};transport=tls`;
  const { simulator, client } = await start(t, { tls, terminationUri, trace: true });
  const inbound = dial(peer, simulator, NUMBER);
  await inbound.answered();
  t.equal((await inbound.bye()).status, 200);
  const { call_id } = await client.call.createPhoneCall({ from_number: NUMBER, to_number: '+14155550123' });
  await until(() => simulator.calls.get(call_id)?.call.call_status === 'ongoing');
  t.equal(simulator.sip.tls?.count('INVITE'), 1);
  t.match(peer.peerCertificates, [{ subject: 'CN=sip.retellai.com' }, { subject: 'CN=sip.retellai.com' }]);
  const trace = await fetch(`${simulator.http.url}/simulator/trace/${encodeURIComponent(inbound.callId)}`);
  t.match(await trace.json(), { items: [{ first_line: /^INVITE/ }] });
});

t.test('tls: without TLS a termination URI that wants it fails the call', async (t) => {
  const { simulator, client } = await start(t, { terminationUri: 'sip:127.0.0.1;transport=tls' });
  const { call_id } = await client.call.createPhoneCall({ from_number: NUMBER, to_number: '+14155550123' });
  await until(() => simulator.calls.get(call_id)?.call.disconnection_reason === 'dial_failed');
});

t.test("get-concurrency counts the workspace's other calls too", async (t) => {
  const { simulator, client } = await start(t, { concurrencyLimit: 5, otherCalls: 4 });
  t.match(await client.concurrency.retrieve(), { current_concurrency: 4, concurrency_limit: 5 });
  const turned = await turn(simulator, 'PATCH', 'concurrency', { other_calls: 5 });
  t.match(JSON.parse(turned.body), { limit: 5, other_calls: 5, current: 5 });
  t.equal((await failure(client.call.registerPhoneCall({ agent_id: 'agent_x' }))).status, 429);
  simulator.reset();
  t.equal((await client.concurrency.retrieve()).current_concurrency, 4);
});

t.test('one bad field spoils the whole answer of the inbound webhook', async (t) => {
  const sink = await WebhookSink.start();
  t.teardown(() => sink.stop());
  const { simulator } = await start(t, { webhooks: { inbound_url: sink.url } });
  const peer = await startPeer(t);
  const agentFor = async (call_inbound: object) => {
    sink.answer = { call_inbound };
    const call = dial(peer, simulator, NUMBER);
    const final = await call.finalResponse();
    const entry = simulator.calls.all().at(-1)?.call;
    return final.status === 200 ? `${entry?.agent_id} ${entry?.agent_version}` : final.status;
  };
  const override = { override_agent_id: 'agent_y', override_agent_version: 4 };
  t.equal(await agentFor(override), 'agent_y 4');
  t.equal(await agentFor({ ...override, dynamic_variables: { n: 1 } }), 'agent_simulated 0');
  t.equal(await agentFor({ ...override, metadata: 'text' }), 'agent_simulated 0');
  t.equal(await agentFor({ reject: 'true' }), 'agent_simulated 0');
  t.equal(await agentFor({ reject: true, override_agent_id: 7 }), 'agent_simulated 0');
  t.equal(await agentFor({ reject: true }), 403);
});

t.test('a number without an agent is refused unless the webhook names one', async (t) => {
  const sink = await WebhookSink.start();
  t.teardown(() => sink.stop());
  const { simulator } = await start(t, { inboundAgent: '', webhooks: { inbound_url: sink.url } });
  const peer = await startPeer(t);
  t.equal((await dial(peer, simulator, NUMBER).finalResponse()).status, 480);
  t.strictSame(simulator.calls.all(), []);
  sink.answer = { call_inbound: { override_agent_id: 'agent_y' } };
  await dial(peer, simulator, NUMBER).answered();
});
