import t from 'tap';
import { eventually } from '../../harness/await.js';
import { oneCarrier } from '../../harness/outbound.js';
import { nothingLeft } from '../../harness/scene.js';
import { received, Stage } from '../../harness/staged-calls.js';
import { begin, endOf, inState, nextRefer, notify, sidesOf, TARGET } from '../../harness/transfers.js';

t.test('a transfer that cannot be is refused with the reason, and nothing is sent', async (t) => {
  const stage = new Stage(
    await oneCarrier(t, {
      first: { transfer: { refer: 'unsupported' } },
      config: { transfers: { deny: ['+1809'], hosts: ['pbx.example.com'] } },
    }),
  );
  const { stack, carrier } = stage.scene;
  const call = await stage.answered();
  const post = (body: unknown, id = call.id, token?: string) =>
    stack.api.post(`/v1/calls/${id}/transfers`, body, token);
  const field = (name: string, message: RegExp) => ({
    status: 400,
    body: { code: 'validation_failed', errors: [{ field: name, message }] },
  });
  t.match(await post({}), field('body.to', /required/));
  t.match(await post({ to: TARGET, when: 'now' }), field('body.when', /additional/));
  t.match(await post({ to: 17, on_failure: 'cry' }), field('body.on_failure', /equal/));
  t.match(await post({ to: '' }), field('body.to', /is empty/));
  t.match(await post({ to: '4155550188' }), field('body.to', /no \+ and country code/));
  t.match(await post({ to: `${TARGET}\r\nX-Evil: 1` }), field('body.to', /line end/));
  t.match(
    await post({ to: TARGET, headers: { 'X-A': 'one\r\nX-B: two' } }),
    field('body.headers.X-A', /line ends/),
  );
  t.match(
    await post({ to: TARGET, headers: { Route: '<sip:evil@example.com>' } }),
    field('body.headers', /name that is not sent/),
  );
  t.match(await post({ to: TARGET, referred_by: 'nobody' }), field('body.referred_by', /number or URI/));
  t.match(await post({ to: '+18095550188' }), { status: 403, body: { code: 'destination_not_allowed' } });
  t.match(await post({ to: '+19005550188' }), { status: 403, body: { code: 'destination_not_allowed' } });
  t.match(await post({ to: 'sip:200@elsewhere.example.com' }), {
    status: 403,
    body: { code: 'destination_not_allowed' },
  });
  t.match(await post({ to: TARGET }), {
    status: 422,
    body: { code: 'transfer_unsupported', detail: /sip_invite/ },
  });
  t.match(await post({ to: TARGET }, 'nobody'), { status: 404, body: { code: 'call_not_found' } });
  t.match(await post({ to: TARGET }, 'sip:nobody'), { status: 404, body: { code: 'call_not_found' } });
  t.match(await post({ to: TARGET }, call.id, 'none'), { status: 401 });
  t.match(await post({ to: TARGET }, call.id, 'reader'), {
    status: 403,
    body: { required_scope: 'control' },
  });
  t.match(await stack.api.get(`/v1/calls/${call.id}/transfers/nothing`), {
    status: 404,
    body: { code: 'transfer_not_found' },
  });
  t.equal(received(carrier, 'REFER', call.caller), 0);
  t.same((await stack.api.get(`/v1/calls/${call.id}`)).body.transfers, []);
  await call.caller.bye();
});

t.test('a call that still rings cannot be transferred', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const call = await stage.ringing();
  t.match(await stage.scene.stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET }), {
    status: 409,
    body: { code: 'call_not_answered' },
  });
  await call.caller.cancel();
});

t.test('one transfer at a time', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const { stack, carrier: peer } = stage.scene;
  const call = await stage.answered();
  const { carrier } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const replies = await Promise.all(
    [1, 2, 3, 4, 5].map(() => stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET })),
  );
  const begun = replies.filter(({ status }) => status === 202);
  t.equal(begun.length, 1);
  for (const { status, body } of replies.filter((reply) => reply.status !== 202)) {
    t.match({ status, body }, { status: 409, body: { code: 'transfer_in_progress' } });
  }
  (await arrived).reply(202);
  const id = begun[0]?.body.id;
  await inState(stack, call.id, id, 'accepted');
  t.match(await stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET }), { status: 409 });
  await notify(carrier, 480);
  await endOf(stack, call.id, id);
  const again = nextRefer(carrier);
  const next = await begin(stack, call.id);
  (await again).reply(603);
  t.match(await endOf(stack, call.id, next.id), { state: 'rejected' });
  t.equal(received(peer, 'REFER', call.caller), 2);
  await carrier.bye();
});

t.test('Prefer: wait answers with the outcome, or with how far it is', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier } = sidesOf(call, 'inbound');
  const waiting = (prefer: string) =>
    stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET }, 'all', { prefer });
  const arrived = nextRefer(carrier);
  const done = waiting('respond-async, wait=20');
  (await arrived).reply(202);
  await notify(carrier, 486);
  const reply = await done;
  t.match(reply, {
    status: 200,
    headers: { 'preference-applied': 'wait=20' },
    body: { state: 'failed', status: 486 },
  });
  t.equal(reply.headers.location, `/v1/calls/${call.id}/transfers/${reply.body.id}`);
  const second = nextRefer(carrier);
  const early = waiting('wait=0');
  const refer = await second;
  t.match(await early, { status: 202, body: { state: 'requested' } });
  refer.reply(202);
  await carrier.bye();
});

t.test('a call is transferred by any of its names, and the answer says where to look', async (t) => {
  const stage = new Stage(await oneCarrier(t, { first: { transfer: { headers: 'dropped' } } }));
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const name = `sip:${encodeURIComponent(call.caller.callId)}`;
  const reply = await stack.api.post(`/v1/calls/${name}/transfers`, {
    to: 'tel:+1-415-555-0188',
    headers: { 'X-Case': '17' },
  });
  t.match(reply, {
    status: 202,
    body: {
      state: 'requested',
      to: 'tel:+1-415-555-0188',
      warnings: ['X-Case is not sent: the carrier first does not hand it on.'],
    },
  });
  const refer = await arrived;
  t.equal(refer.message.get('x-case'), undefined);
  t.match(await stack.api.get(String(reply.headers.location)), { status: 200, body: { id: reply.body.id } });
  refer.reply(603);
  await endOf(stack, call.id, reply.body.id);
  const { body } = await stack.api.get(`/v1/calls/${call.id}`);
  t.match(body.transfers, [{ id: reply.body.id, state: 'rejected', status: 603 }]);
  await carrier.bye();
});

t.test('a node begins no more transfers in a minute than it may', async (t) => {
  const stage = new Stage(await oneCarrier(t, { config: { transfers: { per_minute: 3 } } }));
  const { stack, carrier: peer } = stage.scene;
  const calls = await Promise.all([1, 2, 3, 4, 5].map(() => stage.answered()));
  for (const { caller } of calls) caller.on('REFER', (refer) => refer.reply(603));
  const minute = () => Math.floor(Date.now() / 60_000);
  // Where the minute ends in between, once more.
  let replies: Awaited<ReturnType<typeof stack.api.post>>[];
  let began: number;
  do {
    began = minute();
    replies = [];
    for (const { id } of calls) {
      replies.push(
        await stack.api.post(`/v1/calls/${id}/transfers`, { to: TARGET }, 'all', { prefer: 'wait=10' }),
      );
    }
  } while (minute() !== began);
  const limited = replies.filter(({ status }) => status === 429);
  t.ok(limited.length >= 2, 'those over the limit');
  t.match(limited[0], { headers: { 'retry-after': /^\d+$/ }, body: { code: 'transfers_limited' } });
  const refers = calls.map(({ caller }) => received(peer, 'REFER', caller)).reduce((a, b) => a + b, 0);
  t.ok(refers >= 3);
  const last = (await stack.api.get(`/v1/calls/${calls.at(-1)?.id}`)).body;
  t.match(last.transfers.at(-1), { state: 'failed', reason: /^not sent: as many/ });
  await Promise.all(calls.map(({ caller }) => caller.bye()));
});

t.test('a node that does not answer', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const { stack } = stage.scene;
  const call = await stage.answered();
  await stack.parts.kamailio.kill();
  t.match(await stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET }), {
    status: 503,
    body: { code: 'node_unavailable' },
  });
  t.match((await stack.api.get(`/v1/calls/${call.id}`)).body.transfers, [
    { state: 'failed', reason: /^not sent/ },
  ]);
});

t.test('a node that hangs is waited for once, and what it does later counts', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier } = sidesOf(call, 'inbound');
  const group = stack.parts.kamailio.pid ?? 0;
  process.kill(-group, 'SIGSTOP');
  t.teardown(() => process.kill(-group, 'SIGCONT'));
  t.match(await stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET }), {
    status: 503,
    headers: { 'retry-after': '2' },
    body: { code: 'node_unavailable' },
  });
  const [transfer] = (await stack.api.get(`/v1/calls/${call.id}`)).body.transfers;
  t.match(transfer, { state: 'requested' });
  const arrived = nextRefer(carrier);
  process.kill(-group, 'SIGCONT');
  (await arrived).reply(603);
  t.match(await endOf(stack, call.id, transfer.id), { state: 'rejected', status: 603 });
  await carrier.bye();
});

t.test('stages and outcomes are counted, each once', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const { id } = await begin(stack, call.id);
  (await arrived).reply(202);
  for (const status of [100, 100, 180, 180, 200]) await notify(carrier, status);
  await endOf(stack, call.id, id);
  await carrier.ended;
  const metrics: string = await eventually('the call is over in the metrics', async () => {
    const { body } = await stack.api.get('/metrics');
    return /retell_proxy_calls_ended_total\{.*ended_by="api"\} 1/.test(body) ? body : undefined;
  });
  for (const line of [
    'retell_proxy_transfer_stages_total{stage="requested"} 1',
    'retell_proxy_transfer_stages_total{stage="accepted"} 1',
    'retell_proxy_transfer_stages_total{stage="trying"} 1',
    'retell_proxy_transfer_stages_total{stage="ringing"} 1',
    'retell_proxy_transfers_total{source="api",outcome="succeeded"} 1',
    'retell_proxy_transfer_seconds_count{outcome="succeeded"} 1',
  ]) {
    t.ok(metrics.includes(`${line}\n`), line);
  }
  await nothingLeft(t, stage.scene);
});

t.test('a SIP address and who refers to it are sent as they were asked for', async (t) => {
  const stage = new Stage(await oneCarrier(t, { config: { transfers: { hosts: ['pbx.example.com'] } } }));
  const { stack } = stage.scene;
  const call = await stage.answered('outbound');
  const { carrier } = sidesOf(call, 'outbound');
  const arrived = nextRefer(carrier);
  await begin(stack, call.id, { to: 'sip:200@pbx.example.com;transport=tcp', referred_by: '+14155550101' });
  const refer = await arrived;
  t.equal(refer.message.get('refer-to'), '<sip:200@pbx.example.com;transport=tcp>');
  t.match(refer.message.get('referred-by'), '<sip:+14155550101@');
  refer.reply(603);
  await carrier.bye();
});
