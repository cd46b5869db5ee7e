import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { eventually } from '../harness/await.js';
import {
  atRetell,
  create,
  DIGEST,
  holdDialling,
  inState,
  lookNow,
  newKey,
  ORDER,
  startCreationScene,
  typesOf,
} from '../harness/creating.js';
import { invitesOf } from '../harness/outbound.js';
import { age, reconciling } from '../harness/reconciling.js';
import { asked, type RegisterScene } from '../harness/register-scene.js';
import { DESTINATION, dial, dialOut, nothingLeft, recordOf } from '../harness/scene.js';
import { NUMBER } from '../harness/stack.js';

async function hangUp(scene: RegisterScene, id: string): Promise<void> {
  await scene.stack.api.post(`/v1/calls/${id}/hangup`);
  await inState(scene, id, 'ended');
}

function creationsAsked(scene: RegisterScene): number {
  return asked(scene, 'create-phone-call').length;
}

t.test('calls that Retell is asked for', async (t) => {
  const scene = await startCreationScene(t);
  const { stack, simulator, carrier } = scene;

  await t.test('the INVITE comes before the answer: one record has all of it', async (t) => {
    simulator.addFault({ endpoint: 'create-phone-call', delay_ms: 400, times: 1 });
    const { status, headers, body } = await create(scene, {
      agent_id: 'agent_sales',
      agent_version: 3,
      dynamic_variables: { name: 'Ann' },
      metadata: { order: 7 },
      headers: { 'X-Campaign': 'spring' },
    });
    t.equal(status, 201);
    t.equal(headers.location, `/v1/calls/${body.id}`);
    t.equal(headers['idempotent-replayed'], undefined);
    t.match(asked(scene, 'create-phone-call').at(-1)?.body, {
      from_number: NUMBER,
      to_number: DESTINATION,
      override_agent_id: 'agent_sales',
      override_agent_version: 3,
      retell_llm_dynamic_variables: { name: 'Ann' },
      metadata: { order: 7, call_ref: body.id },
      custom_sip_headers: { 'X-Campaign': 'spring', 'X-Call-Ref': body.id },
    });
    const record = await inState(scene, body.id, 'answered');
    const [entry] = atRetell(scene, body.id);
    t.match(record, {
      direction: 'outbound',
      from: NUMBER,
      to: DESTINATION,
      number: NUMBER,
      carrier: 'first',
      node: 'node1',
      sip_call_id: entry?.sip?.callId,
      retell_call_id: entry?.call.call_id,
      agent_id: 'agent_sales',
    });
    t.ok(record.invited_at >= record.created_at);
    t.same(typesOf(record), ['requested', 'invite', 'answered', 'created']);
    t.match(record.timeline[0], { by: 'all', at: record.created_at });
    const [invite] = invitesOf(carrier, { callId: record.sip_call_id });
    t.equal(invite?.get('x-campaign'), 'spring');
    t.equal(invite?.get('x-call-ref'), undefined);
    await hangUp(scene, body.id);
  });

  await t.test('the answer comes before the INVITE, which is written into the same record', async (t) => {
    const dialNow = holdDialling(t, scene);
    const { status, body } = await create(scene);
    t.equal(status, 201);
    t.match(body, { state: 'routing', node: null, sip_call_id: null, invited_at: null });
    const [entry] = atRetell(scene, body.id);
    t.equal(body.retell_call_id, entry?.call.call_id);
    dialNow();
    const record = await inState(scene, body.id, 'answered');
    t.same(typesOf(record), ['requested', 'created', 'invite', 'answered']);
    t.ok(record.invited_at > record.created_at);
    await hangUp(scene, body.id);
  });

  await t.test(
    'no answer in time: the outcome is unknown, and the call is matched all the same',
    async (t) => {
      simulator.setWebhooks({ url: `${stack.api.url}/webhooks/retell` });
      simulator.addFault({ endpoint: 'create-phone-call', delay_ms: 12_000, times: 1 });
      const { status, body } = await create(scene);
      t.match({ status, body }, { status: 504, body: { code: 'retell_unknown_outcome', call_id: String } });
      const record = await inState(scene, body.call_id, 'answered');
      t.match(record.timeline.at(-1), { type: 'create_failed', reason: 'retell did not answer in time' });
      const [entry] = atRetell(scene, body.call_id);
      await eventually('the webhook has told its id', async () => {
        const { retell_call_id } = (await stack.api.get(`/v1/calls/${body.call_id}`)).body;
        return retell_call_id === entry?.call.call_id;
      });
      await hangUp(scene, body.call_id);
      simulator.setWebhooks({ url: '' });
    },
  );

  for (const [status, answer, code] of [
    [400, 502, 'retell_refused'],
    [401, 502, 'retell_refused'],
    [402, 502, 'retell_refused'],
    [422, 502, 'retell_refused'],
    [429, 429, 'retell_limited'],
    [500, 502, 'retell_refused'],
    [503, 502, 'retell_refused'],
  ] as const) {
    await t.test(`a ${status} of Retell's ends the record and is told`, async (t) => {
      const before = creationsAsked(scene);
      simulator.addFault({
        endpoint: 'create-phone-call',
        status,
        times: 1,
        message: 'no call_1234 for you',
      });
      const reply = await create(scene);
      t.match(reply, { status: answer, body: { code, retell_status: status, call_id: String } });
      t.match(reply.body.detail, 'no call_[redacted] for you');
      t.equal(creationsAsked(scene), before + 1, 'asked once');
      const { body } = await stack.api.get(`/v1/calls/${reply.body.call_id}`);
      t.match(body, { state: 'ended', ended_by: 'failure', reason: `retell refused: ${status}` });
      t.equal(await stack.redis.zscore('calls:due:created_call', body.id), null);
    });
  }

  await t.test('a 504 of something before Retell says nothing about the call', async (t) => {
    simulator.addFault({ endpoint: 'create-phone-call', status: 504, times: 1 });
    const reply = await create(scene);
    t.match(reply, { status: 504, body: { code: 'retell_unknown_outcome', retell_status: 504 } });
    const id = reply.body.call_id;
    await inState(scene, id, 'routing');
    await lookNow(scene, id, true);
    const record = await inState(scene, id, 'ended');
    t.match(record, { ended_by: 'failure', reason: 'no INVITE came', retell_call_id: null });
    t.match(asked(scene, 'list-calls').at(-1)?.body, {
      filter_criteria: { metadata: [{ key: 'call_ref', value: id }] },
    });
  });

  await t.test('the same key again, and with another body', async (t) => {
    const before = creationsAsked(scene);
    const key = newKey();
    const first = await create(scene, { metadata: { n: 1 } }, key);
    t.equal(first.status, 201);
    await inState(scene, first.body.id, 'answered');
    const again = await create(scene, { metadata: { n: 1 } }, key);
    t.match(again, {
      status: 200,
      headers: { 'idempotent-replayed': 'true', location: `/v1/calls/${first.body.id}` },
      body: { id: first.body.id, state: 'answered' },
    });
    const other = await create(scene, { metadata: { n: 2 } }, key);
    t.match(other, { status: 422, body: { code: 'idempotency_key_reused' } });
    t.equal(creationsAsked(scene), before + 1);
    await hangUp(scene, first.body.id);
  });

  await t.test('ten at once with one key are one call', async (t) => {
    const before = creationsAsked(scene);
    simulator.addFault({ endpoint: 'create-phone-call', delay_ms: 200, times: 1 });
    const key = newKey();
    const replies = await Promise.all(Array.from({ length: 10 }, () => create(scene, {}, key)));
    t.same(replies.map(({ status }) => status).sort(), [...Array(9).fill(200), 201]);
    t.equal(new Set(replies.map(({ body }) => body.id)).size, 1);
    t.equal(creationsAsked(scene), before + 1);
    const id = replies[0]?.body.id;
    t.equal(atRetell(scene, id).length, 1);
    const record = await inState(scene, id, 'answered');
    t.equal(typesOf(record).filter((type) => type === 'requested').length, 1);
    await hangUp(scene, id);
  });

  await t.test("a stranger's X-Call-Ref leads to no record but its own", async (t) => {
    const { body } = await create(scene);
    const before = await inState(scene, body.id, 'answered');
    for (const [what, ref] of [
      ['of a call that is up', body.id],
      ['of no call', randomUUID()],
      ['of no form', `x'"$var(id)=>{} ${'y'.repeat(300)}`],
      ['that is empty', ''],
    ]) {
      const caller = dialOut(scene, { headers: [['X-Call-Ref', ref]], digest: DIGEST });
      await caller.answered();
      const own = await recordOf(stack, caller.callId, 'answered');
      t.not(own.id, ref, what);
      t.match(own.id, /^[0-9a-f-]{36}$/);
      t.equal((await caller.bye()).status, 200);
      await recordOf(stack, caller.callId, 'ended');
    }
    t.same((await stack.api.get(`/v1/calls/${body.id}`)).body, before);
    await hangUp(scene, body.id);
  });

  await t.test('an expected id is for one call, and for whoever proves to be Retell', async (t) => {
    const dialNow = holdDialling(t, scene);
    const { body } = await create(scene);
    const stranger = dialOut(scene, { headers: [['X-Call-Ref', body.id]] });
    t.equal((await stranger.finalResponse()).status, 407);
    dialNow();
    await inState(scene, body.id, 'answered');
    const second = dialOut(scene, { headers: [['X-Call-Ref', body.id]], digest: DIGEST });
    await second.answered();
    t.not((await recordOf(stack, second.callId, 'answered')).id, body.id);
    t.equal((await second.bye()).status, 200);
    await recordOf(stack, second.callId, 'ended');
    await hangUp(scene, body.id);
  });

  await t.test('a call that is over at Retell without an INVITE ends with its reason', async (t) => {
    holdDialling(t, scene);
    const { body } = await create(scene);
    await lookNow(scene, body.id);
    await eventually('it is looked into and still on its way', async () => {
      return (await stack.redis.hget('calls:due-tries', `created_call:${body.id}`)) === '1';
    });
    await inState(scene, body.id, 'routing');
    const [entry] = atRetell(scene, body.id);
    if (entry) simulator.calls.ended(entry, 'dial_failed');
    t.match(await inState(scene, body.id, 'ended'), {
      ended_by: 'failure',
      reason: 'retell ended it: dial_failed',
      retell_disconnection_reason: 'dial_failed',
      invited_at: null,
    });
  });

  await t.test('while its INVITE is awaited it is no finding of the reconciler', async (t) => {
    const dialNow = holdDialling(t, scene);
    const { body } = await create(scene);
    await age(stack, body.id, 20_000, []);
    const { run } = await reconciling(t, stack);
    t.match(await run(), { total: 0, nodes: [{ drift: 0 }] });
    dialNow();
    await inState(scene, body.id, 'answered');
    t.match(await run(), { total: 0, nodes: [{ drift: 0 }] });
    await hangUp(scene, body.id);
  });

  await t.test('a challenged INVITE with a header that is too long has one record', async (t) => {
    const caller = dialOut(scene, { headers: [['X-Long', 'x'.repeat(1100)]], digest: DIGEST });
    await caller.answered();
    const record = await recordOf(stack, caller.callId, 'answered');
    t.same(typesOf(record), ['header_dropped', 'invite', 'answered']);
    t.equal(await stack.redis.zcard('calls:open'), 1);
    t.equal((await caller.bye()).status, 200);
    await recordOf(stack, caller.callId, 'ended');
  });

  await t.test('it passes for no transfer of the one call that is up to its number', async (t) => {
    const caller = dial(scene);
    await caller.answered();
    const { id } = await recordOf(stack, caller.callId, 'answered');
    const untied = (await create(scene)).body.id;
    const tied = (await create(scene, { headers: { 'X-Transferred-From': id } })).body.id;
    for (const one of [untied, tied]) {
      await inState(scene, one, 'answered');
      await hangUp(scene, one);
    }
    t.equal((await inState(scene, untied, 'ended')).transferred_from, null);
    t.match((await inState(scene, tied, 'ended')).transferred_from, { call_id: id, by: 'header' });
    await hangUp(scene, id);
  });

  await t.test("Retell's webhook of its end ends it soon", async (t) => {
    simulator.setWebhooks({ url: `${stack.api.url}/webhooks/retell` });
    holdDialling(t, scene);
    simulator.addFault({ endpoint: 'create-phone-call', delay_ms: 5000, times: 1 });
    const unanswered = create(scene);
    const entry = await eventually('Retell has it', () =>
      simulator.calls.all().find(({ call }) => call.call_status === 'registered'),
    );
    simulator.calls.ended(entry, 'telephony_provider_permission_denied');
    const id = String(entry.call.metadata?.call_ref);
    t.match(await inState(scene, id, 'ended'), {
      ended_by: 'failure',
      reason: 'retell ended it: telephony_provider_permission_denied',
      retell_call_id: entry.call.call_id,
    });
    t.match(await unanswered, { status: 201, body: { id, state: 'ended' } });
    simulator.setWebhooks({ url: '' });
  });

  await t.test(
    'one that never comes is given up, and an INVITE after that is a call of its own',
    async (t) => {
      const dialNow = holdDialling(t, scene);
      const { body } = await create(scene);
      await lookNow(scene, body.id, true);
      const closed = await inState(scene, body.id, 'ended');
      t.match(closed, { ended_by: 'failure', reason: 'no INVITE came', node: null });
      dialNow();
      const [entry] = atRetell(scene, body.id);
      const late = await eventually('it is dialled', () => entry?.sip);
      const record = await recordOf(stack, late.callId, 'answered');
      t.not(record.id, body.id);
      t.same((await stack.api.get(`/v1/calls/${body.id}`)).body, closed);
      await hangUp(scene, record.id);
    },
  );

  await t.test('a hangup before the INVITE ends it when it comes', async (t) => {
    const dialNow = holdDialling(t, scene);
    carrier.onInvite = (call) => call.ring();
    const { body } = await create(scene);
    const hangup = stack.api.post(`/v1/calls/${body.id}/hangup`);
    await eventually('the hangup has begun', async () => {
      return (await stack.api.get(`/v1/calls/${body.id}`)).body.timeline.length > 2;
    });
    dialNow();
    t.match((await hangup).body, { outcome: 'ended' });
    t.match(await inState(scene, body.id, 'ended'), { ended_by: 'api', sip_status: 480 });
  });

  await badInput(t, scene);

  await t.test('every request was counted, nothing is left', async (t) => {
    const { body } = await stack.api.get('/metrics');
    for (const outcome of ['created', 'replayed', 'refused', 'limited', 'unknown_outcome', 'key_reused'])
      t.match(
        body,
        new RegExp(`^retell_proxy_calls_created_total{outcome="${outcome}"} [1-9]`, 'm'),
        outcome,
      );
    t.match(body, /^retell_proxy_calls_total{direction="outbound",carrier=""} [1-9]/m);
    t.match(body, 'retell_proxy_calls_unplaced_total{outcome="ended_at_retell"} 2');
    t.match(body, 'retell_proxy_calls_unplaced_total{outcome="no_invite"} 2');
    await nothingLeft(t, scene);

    // The reconciler lists calls too, those that are ongoing: a look lists the one that bears our id.
    const listed = () =>
      asked(scene, 'list-calls').filter(({ body }) => JSON.stringify(body).includes('call_ref'));
    const asks = () => asked(scene, 'get-call').length + listed().length;
    const before = asks();
    const pieces = await stack.redis.zrange('calls:due:created_call', '0', '-1');
    for (const id of pieces) await lookNow(scene, id);
    await eventually('all are looked into', async () => {
      return (await stack.redis.zcard('calls:due:created_call')) === 0;
    });
    t.equal(asks(), before, 'Retell is not asked for calls that came');
  });
});

async function badInput(t: Test, scene: RegisterScene): Promise<void> {
  await t.test('what cannot be is refused with the name of the member', async (t) => {
    const before = creationsAsked(scene);
    for (const [order, field] of [
      [{ from: undefined }, 'body.from'],
      [{ from: '+14155559999' }, 'body.from'],
      [{ from: 14155550100 }, 'body.from'],
      [{ to: undefined }, 'body.to'],
      [{ to: '4155550177' }, 'body.to'],
      [{ to: 'sip:x@example.com' }, 'body.to'],
      [{ agent_id: '' }, 'body.agent_id'],
      [{ agent_id: null }, 'body.agent_id'],
      [{ agent_version: null }, 'body.agent_version'],
      [{ agent_version: 1.5 }, 'body.agent_version'],
      [{ dynamic_variables: ['x'] }, 'body.dynamic_variables'],
      [{ dynamic_variables: { name: null } }, 'body.dynamic_variables.name'],
      [{ metadata: 'x' }, 'body.metadata'],
      [{ metadata: { call_ref: 'x' } }, 'body.metadata.call_ref'],
      [{ headers: { From: 'x' } }, 'body.headers.From'],
      [{ headers: { 'X-Bad Name': 'x' } }, 'body.headers.X-Bad Name'],
      [{ headers: { 'X-A': 'x\r\nY: z' } }, 'body.headers.X-A'],
      [{ headers: { 'X-A': '' } }, 'body.headers.X-A'],
      [{ headers: { 'X-A': 'x'.repeat(257) } }, 'body.headers.X-A'],
      [{ headers: { 'x-call-ref': 'x' } }, 'body.headers.x-call-ref'],
      [{ headers: { 'X-A': 'x', 'x-a': 'y' } }, 'body.headers.x-a'],
      [{ headers: Object.fromEntries([...Array(11).keys()].map((n) => [`X-${n}a`, 'x'])) }, 'body.headers'],
      [{ other: 1 }, 'body.other'],
    ] as [Record<string, unknown>, string][]) {
      const { status, body } = await create(scene, order);
      t.match({ status, code: body.code }, { status: 400, code: 'validation_failed' }, field);
      t.ok(
        body.errors?.some((error: { field: string }) => error.field === field),
        `${field}: ${body.detail}`,
      );
    }
    for (const key of ['', 'a b', 'x'.repeat(129)]) {
      const { status, body } = await create(scene, {}, key);
      t.match(
        { status, body },
        { status: 400, body: { errors: [{ field: 'headers.idempotency-key' }] } },
        key,
      );
    }
    t.match(await create(scene, { to: '+4930123456' }), {
      status: 403,
      body: { code: 'destination_not_allowed' },
    });
    t.match(await scene.stack.api.post('/v1/calls', ORDER, 'reader'), { status: 403 });
    t.equal(creationsAsked(scene), before, 'Retell was not asked');
  });
}
