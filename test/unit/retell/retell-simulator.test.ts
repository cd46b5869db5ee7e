import Retell from 'retell-sdk';
import t, { type Test } from 'tap';
import { until } from '../../harness/call-pair.js';
import { type IncomingCall, SipPeer, type TransportKind } from '../../harness/sip-peer.js';
import { RetellSimulator, type SimulatorOptions } from '../../retell-simulator/simulator.js';

const KEY = 'key_test';

async function start(t: Test, options: SimulatorOptions = {}) {
  const simulator = await RetellSimulator.start({ apiKey: KEY, ...options });
  t.teardown(() => simulator.stop());
  const client = new Retell({ apiKey: KEY, baseURL: simulator.http.url, maxRetries: 0 });
  return { simulator, client };
}

async function startPeer(t: Test, transport: TransportKind = 'udp') {
  const peer = await SipPeer.start({ transport });
  t.teardown(() => peer.stop());
  return peer;
}

/** Dials a user part at the simulator. */
function dial(peer: SipPeer, simulator: RetellSimulator, user: string, headers: [string, string][] = []) {
  return peer.invite({ to: `sip:${user}@sip.retellai.com`, via: simulator.sip, headers });
}

/** The status of the error that a request fails with. */
async function statusOf(request: Promise<unknown>): Promise<number | undefined> {
  const error = await request.catch((reason: unknown) => reason);
  return error instanceof Retell.APIError ? error.status : undefined;
}

async function onlyCall(simulator: RetellSimulator) {
  const [entry, ...others] = simulator.calls.all();
  if (!entry || others.length > 0)
    throw new Error(`expected one call, there are ${simulator.calls.all().length}`);
  return entry.call;
}

for (const transport of ['udp', 'tcp'] as const) {
  t.test(`${transport}: a registered call is accepted once at its call id`, async (t) => {
    const { simulator, client } = await start(t);
    const peer = await startPeer(t, transport);
    const registered = await client.call.registerPhoneCall({ agent_id: 'agent_x', metadata: { ref: 'r1' } });
    t.equal(registered.call_status, 'registered');
    const call = dial(peer, simulator, registered.call_id);
    await call.response(180);
    await call.answered();
    await until(() => simulator.calls.get(registered.call_id)?.call.call_status === 'ongoing');
    t.equal((await dial(peer, simulator, registered.call_id).finalResponse()).status, 404);
    await call.bye();
    const ended = await client.call.retrieve(registered.call_id);
    t.match(ended, { call_status: 'ended', disconnection_reason: 'user_hangup', metadata: { ref: 'r1' } });
  });

  t.test(`${transport}: stop-call answers 204 and sends BYE`, async (t) => {
    const { simulator, client } = await start(t);
    const call = dial(await startPeer(t, transport), simulator, '+14155550100');
    await call.answered();
    await until(() => simulator.calls.all()[0]?.call.call_status === 'ongoing');
    const { call_id } = await onlyCall(simulator);
    const { response } = await client.call.stop(call_id).withResponse();
    t.equal(response.status, 204);
    t.equal(await call.ended, 'remote');
    t.equal((await client.call.retrieve(call_id)).disconnection_reason, 'manual_stopped');
    t.equal(await statusOf(client.call.stop(call_id)), 422, 'it is not ongoing any more');
  });

  t.test(`${transport}: create-phone-call dials the termination URI with the custom headers`, async (t) => {
    const peer = await startPeer(t, transport);
    const incoming = new Promise<IncomingCall>((resolve) => {
      peer.onInvite = resolve;
    });
    const terminationUri = `sip:127.0.0.1:${peer.port};transport=${transport}`;
    const { client } = await start(t, { terminationUri });
    const created = await client.call.createPhoneCall({
      from_number: '+14157774444',
      to_number: '+12137774445',
      custom_sip_headers: { 'X-Call-Ref': 'ref-7' },
    });
    t.match(created, { direction: 'outbound', call_status: 'registered' });
    const call = await incoming;
    t.match(call.message.requestUri, /^sip:\+12137774445@/);
    t.match(call.message.get('from'), /\+14157774444@/);
    t.equal(call.message.get('x-call-ref'), 'ref-7');
    call.answer();
    await call.acked;
    t.equal((await client.call.retrieve(created.call_id)).call_status, 'ongoing');
    await call.bye();
    t.match(await client.call.retrieve(created.call_id), {
      call_status: 'ended',
      disconnection_reason: 'user_hangup',
    });
  });
}

t.test('a refused outbound call ends not_connected with the reason of its status', async (t) => {
  const peer = await startPeer(t);
  const { client, simulator } = await start(t, { terminationUri: `127.0.0.1:${peer.port};transport=udp` });
  const reasons = [
    [486, 'dial_busy'],
    [404, 'invalid_destination'],
    [403, 'telephony_provider_permission_denied'],
    [503, 'telephony_provider_unavailable'],
    [603, 'user_declined'],
    [499, 'dial_failed'],
  ] as const;
  for (const [status, reason] of reasons) {
    peer.onInvite = (call) => call.refuse(status);
    const { call_id } = await client.call.createPhoneCall({ from_number: '+1', to_number: '+2' });
    await until(() => simulator.calls.get(call_id)?.call.call_status === 'not_connected');
    t.equal((await client.call.retrieve(call_id)).disconnection_reason, reason);
  }
});

t.test('an outbound call that nobody answers is cancelled after the ring time', async (t) => {
  const peer = await startPeer(t);
  const incoming = new Promise<IncomingCall>((resolve) => {
    peer.onInvite = (call) => {
      call.ring();
      resolve(call);
    };
  });
  const terminationUri = `127.0.0.1:${peer.port};transport=udp`;
  const { client, simulator } = await start(t, { terminationUri, ringDurationMs: 30 });
  const { call_id } = await client.call.createPhoneCall({ from_number: '+1', to_number: '+2' });
  await (await incoming).canceled;
  await until(() => simulator.calls.get(call_id)?.call.disconnection_reason === 'dial_no_answer');
});

t.test('an outbound call answers a digest challenge with its credentials', async (t) => {
  const peer = await startPeer(t);
  const digest = { username: 'retell', password: 'secret' };
  const { client } = await start(t, { terminationUri: `127.0.0.1:${peer.port};transport=udp`, digest });
  const accepted = new Promise<IncomingCall>((resolve) => {
    peer.onInvite = (call) => {
      if (call.message.get('proxy-authorization')) resolve(call);
      else
        call.refuse(407, undefined, [
          ['Proxy-Authenticate', 'Digest realm="proxy", nonce="abc", qop="auth"'],
        ]);
    };
  });
  await client.call.createPhoneCall({ from_number: '+1', to_number: '+2' });
  const call = await accepted;
  t.equal(call.message.cseq, 2);
  t.match(
    call.message.get('proxy-authorization'),
    /^Digest username="retell", realm="proxy", nonce="abc", uri="sip:\+2@.*response="[0-9a-f]{32}", qop=auth/,
  );
});

t.test('each number behaves as it was told', async (t) => {
  const { simulator } = await start(t, {
    trace: true,
    numbers: {
      busy: { refuse: 486 },
      quiet: { ring_after_ms: null, answer_after_ms: 0 },
      silent: { silent: true },
      hangs_up: { answer_after_ms: 0, bye_after_ms: 5 },
      deaf: { answer_after_ms: 0, bye_answer: 'ignore' },
      stubborn: { answer_after_ms: 0, bye_answer: 503 },
      unanswered: { answer_after_ms: null },
    },
  });
  const peer = await SipPeer.start({ timeoutMs: 100, t1Ms: 20 });
  t.teardown(() => peer.stop());
  const call = (user: string) => dial(peer, simulator, user);

  t.equal((await call('busy').finalResponse()).status, 486);

  const quiet = call('quiet');
  await quiet.answered();
  await t.rejects(quiet.response(180, 1), { message: /received:\s+100 Trying.*\s+200 OK/ });

  t.equal((await call('silent').finalResponse()).reason, 'Request Timeout (made up locally)');

  const hangsUp = call('hangs_up');
  await hangsUp.answered();
  t.equal(await hangsUp.ended, 'remote');

  const deaf = call('deaf');
  await deaf.answered();
  t.equal((await deaf.bye()).status, 408);
  t.equal(
    simulator.sip.udp.trace.filter(({ message }) => message.callId === deaf.callId).at(-1)?.direction,
    'in',
  );

  const stubborn = call('stubborn');
  await stubborn.answered();
  t.equal((await stubborn.bye()).status, 503);

  const unanswered = call('unanswered');
  await unanswered.response(180);
  await unanswered.cancel();
  t.equal((await unanswered.finalResponse()).status, 487);
});

t.test('OPTIONS is answered', async (t) => {
  const { simulator } = await start(t);
  const peer = await startPeer(t, 'tcp');
  t.equal(
    (await peer.request('OPTIONS', { to: 'sip:sip@sip.retellai.com', via: simulator.sip })).status,
    200,
  );
});

t.test('a registered call that is not dialled in time expires', async (t) => {
  const { simulator, client } = await start(t, { registrationTtlMs: 20 });
  const { call_id } = await client.call.registerPhoneCall({ agent_id: 'agent_x' });
  await until(() => simulator.calls.get(call_id)?.call.call_status === 'error');
  t.equal((await client.call.retrieve(call_id)).disconnection_reason, 'registered_call_timeout');
  t.equal((await dial(await startPeer(t), simulator, call_id).finalResponse()).status, 404);
});

t.test('custom headers of the INVITE reach the call object', async (t) => {
  const headers: [string, string][] = [
    ['X-Call-Ref', 'r9'],
    ['Diversion', '<sip:+1@h>'],
    ['User-to-User', '61;encoding=hex'],
    ['Subject', 'not passed on'],
  ];
  const { simulator } = await start(t);
  const peer = await startPeer(t);
  await dial(peer, simulator, '+14155550100', headers).answered();
  const passed = { 'x-call-ref': 'r9', diversion: '<sip:+1@h>', 'user-to-user': '61;encoding=hex' };
  const call = await onlyCall(simulator);
  t.strictSame(call.custom_sip_headers, passed);
  t.strictSame(call.retell_llm_dynamic_variables, passed);
  const stripped = await start(t, { headerNames: 'stripped' });
  await dial(peer, stripped.simulator, '+14155550100', headers).answered();
  t.equal((await onlyCall(stripped.simulator)).custom_sip_headers?.['call-ref'], 'r9');
});

t.test('a wrong key is refused with the error body of Retell', async (t) => {
  const { simulator } = await start(t);
  const client = new Retell({ apiKey: 'wrong', baseURL: simulator.http.url, maxRetries: 0 });
  const error = await client.call.retrieve('call_x').catch((reason: unknown) => reason);
  t.ok(error instanceof Retell.AuthenticationError);
  t.match(error, { status: 401, error: { status: 'error', message: /.+/ } });
});

t.test('what Retell would refuse is refused with its status', async (t) => {
  const { client } = await start(t, { agents: ['agent_x'], concurrencyLimit: 0 });
  t.equal(await statusOf(client.call.registerPhoneCall({ agent_id: 'agent_y' })), 422, 'unknown agent');
  t.equal(await statusOf(client.call.registerPhoneCall({ agent_id: 'agent_x' })), 429, 'concurrency');
  t.equal(await statusOf(client.call.registerPhoneCall({} as { agent_id: string })), 400, 'no agent');
  t.equal(await statusOf(client.call.retrieve('call_unknown')), 422, 'unknown call');
  t.equal(await statusOf(client.call.stop('call_unknown')), 422, 'unknown call to stop');
});

t.test('get-concurrency counts the calls that are up', async (t) => {
  const { simulator, client } = await start(t, { concurrencyLimit: 7 });
  t.match(await client.concurrency.retrieve(), { current_concurrency: 0, concurrency_limit: 7 });
  const call = dial(await startPeer(t), simulator, '+14155550100');
  await call.answered();
  t.equal((await client.concurrency.retrieve()).current_concurrency, 1);
  await call.bye();
  t.equal((await client.concurrency.retrieve()).current_concurrency, 0);
});

t.test('list-calls filters by status, id and metadata, and pages', async (t) => {
  const { simulator, client } = await start(t);
  const peer = await startPeer(t);
  const ids: string[] = [];
  for (const ref of ['a', 'b', 'c']) {
    const { call_id } = await client.call.registerPhoneCall({ agent_id: 'agent_x', metadata: { ref } });
    ids.push(call_id);
    await dial(peer, simulator, call_id).answered();
  }
  await until(() => simulator.calls.all().every(({ call }) => call.call_status === 'ongoing'));
  await client.call.registerPhoneCall({ agent_id: 'agent_x' });
  const ongoing: Retell.CallListParams.FilterCriteria = {
    call_status: { type: 'enum', op: 'in', value: ['ongoing'] },
  };
  const found = async (filter_criteria: Retell.CallListParams.FilterCriteria) =>
    (await client.call.list({ filter_criteria })).items.map((call) => call.call_id).sort();
  t.strictSame(await found(ongoing), [...ids].sort());
  t.strictSame(await found({ call_id: { type: 'string', op: 'eq', value: ids[1] ?? '' } }), [ids[1]]);
  t.strictSame(
    await found({ ...ongoing, metadata: [{ key: 'ref', type: 'string', op: 'eq', value: 'c' }] }),
    [ids[2]],
  );
  const first = await client.call.list({ filter_criteria: ongoing, limit: 2, include_total: true });
  t.match(first, { has_more: true, total: 3 });
  const second = await client.call.list({
    filter_criteria: ongoing,
    limit: 2,
    pagination_key: first.pagination_key ?? '',
  });
  t.equal(second.has_more, false);
  t.strictSame([...first.items, ...second.items].map((call) => call.call_id).sort(), [...ids].sort());
});

t.test('update-live-call changes an ongoing call only', async (t) => {
  const { simulator, client } = await start(t);
  const call = dial(await startPeer(t), simulator, '+14155550100');
  await call.answered();
  await until(() => simulator.calls.all()[0]?.call.call_status === 'ongoing');
  const { call_id } = await onlyCall(simulator);
  const change = { fields_to_override: { metadata: { ref: 'new' } } };
  t.equal((await client.call.updateLive(call_id, change)).success, true);
  t.match(await client.call.retrieve(call_id), { metadata: { ref: 'new' } });
  await call.bye();
  t.equal(await statusOf(client.call.updateLive(call_id, change)), 422);
});

t.test('ended calls are forgotten past the bound', async (t) => {
  const { simulator, client } = await start(t, { maxRemembered: 2, registrationTtlMs: 1 });
  for (let n = 0; n < 5; n += 1) await client.call.registerPhoneCall({ agent_id: 'agent_x' });
  await until(() => simulator.calls.all().length === 2);
  t.ok(simulator.calls.all().every(({ call }) => call.call_status === 'error'));
});
