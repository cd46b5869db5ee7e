import { randomUUID } from 'node:crypto';
import t from 'tap';
import { eventually } from '../../harness/await.js';
import { REGISTERED, TRUNK } from '../retell-fixture.js';
import { CALLER, webhookScene } from './webhook-fixture.js';

const STARTED_AT = 1_780_012_675_000;
const ENDED_AT = 1_780_012_691_736;

/** A connected call to the trunk number as Retell tells of it, with what the test sets. */
function told(more: Record<string, unknown> = {}) {
  return {
    call_id: 'call_1',
    agent_id: 'agent_one',
    call_status: 'ongoing',
    direction: 'inbound',
    from_number: CALLER,
    to_number: TRUNK,
    start_timestamp: STARTED_AT,
    ...more,
  };
}

const OVER = { call_status: 'ended', end_timestamp: ENDED_AT, disconnection_reason: 'agent_hangup' };

for (const [name, by, where] of [
  ['metadata', 'metadata', (id: string) => ({ metadata: { call_ref: id } })],
  ['a header', 'header', (id: string) => ({ custom_sip_headers: { 'X-Call-Ref': id } })],
  ['a header without x-', 'header', (id: string) => ({ custom_sip_headers: { 'call-ref': id } })],
  [
    'a dynamic variable',
    'dynamic_variable',
    (id: string) => ({ retell_llm_dynamic_variables: { 'x-call-ref': id } }),
  ],
] as const) {
  t.test(`a call that bears our id in ${name} is written to its record`, async (t) => {
    const s = await webhookScene(t);
    const id = await s.call();
    t.equal((await s.tell('call_started', told(where(id)))).status, 204);
    t.match(await s.recordOf(id), {
      retell_call_id: 'call_1',
      retell_matched_by: by,
      agent_id: 'agent_one',
      retell_ended_at: undefined,
    });
    t.equal((await s.tell('call_ended', told({ ...where(id), ...OVER }))).status, 204);
    const record = await s.recordOf(id);
    t.match(record, { retell_ended_at: ENDED_AT, retell_disconnection_reason: 'agent_hangup' });
    t.match(
      record.timeline.map(({ type, reason }) => [type, reason]),
      [
        ['retell_call_started', undefined],
        ['retell_call_ended', 'agent_hangup'],
      ],
    );
    t.same(s.correlated, [by, 'retell_call_id']);
    t.same(s.outcomes, ['stored', 'stored']);
    t.same(s.handled, ['call_started written', 'call_ended written']);
  });
}

t.test('webhooks twice and in any order leave the same record', async (t) => {
  const s = await webhookScene(t);
  const id = await s.call();
  const ref = { metadata: { call_ref: id } };
  const events = [
    ['call_analyzed', told({ ...ref, ...OVER })],
    ['call_ended', told({ ...ref, ...OVER })],
    ['call_started', told(ref)],
  ] as const;
  for (const [event, call] of [...events, ...events]) t.equal((await s.tell(event, call)).status, 204, event);
  await Promise.all(events.map(([event, call]) => s.tell(event, call)));
  const record = await s.recordOf(id);
  t.match(record, { retell_ended_at: ENDED_AT, retell_disconnection_reason: 'agent_hangup' });
  t.same(record.timeline.map(({ type }) => type).sort(), [
    'retell_call_analyzed',
    'retell_call_ended',
    'retell_call_started',
  ]);
});

t.test('a call that Retell ended and that is open here is looked at after the grace time', async (t) => {
  const s = await webhookScene(t);
  const open = await s.call({ retell_call_id: 'call_1' });
  const over = await s.call({ retell_call_id: 'call_2', ended_at: '1780012691000', ended_by: 'carrier' });
  const before = Date.now();
  await s.tell('call_started', told());
  t.same(s.scheduled, []);
  await s.tell('call_ended', told(OVER));
  await s.tell('call_ended', told({ ...OVER, call_id: 'call_2' }));
  t.match(s.scheduled, [['dialog_lingers', open, Number]]);
  t.ok((s.scheduled[0]?.[2] ?? 0) >= before + 10_000);
  t.match(await s.recordOf(over), { retell_ended_at: ENDED_AT });

  s.scheduled.length = 0;
  s.config.current.calls.reaper.end_dialogs = 'off';
  await s.tell('call_ended', told(OVER));
  t.same(s.scheduled, []);
});

for (const [name, fields, call] of [
  ['of another number', {}, { to_number: REGISTERED }],
  ['that Retell knows by another id', { retell_call_id: 'call_other' }, {}],
  ['that is open, where Retell never connected its own', {}, { ...OVER, start_timestamp: undefined }],
] as const) {
  t.test(`a call ${name} is not taken for the one with our id`, async (t) => {
    const s = await webhookScene(t);
    const id = await s.call(fields);
    const event = 'disconnection_reason' in call ? 'call_ended' : 'call_started';
    const { status } = await s.tell(event, told({ ...call, metadata: { call_ref: id } }));
    t.equal(status, 204);
    const record = await s.recordOf(id);
    t.equal(record.retell_call_id, 'retell_call_id' in fields ? 'call_other' : undefined);
    t.same([record.retell_ended_at, record.timeline, s.scheduled], [undefined, [], []]);
    t.same(s.handled, [`${event} unmatched`]);
  });
}

t.test('an outbound call is the one whose caller is our number', async (t) => {
  const s = await webhookScene(t);
  const id = await s.call({ direction: 'outbound', from: TRUNK });
  const ref = { custom_sip_headers: { 'x-call-ref': id } };
  await s.tell('call_started', told({ ...ref, direction: 'outbound' }));
  t.same(s.handled, ['call_started unmatched'], 'our number is called');
  await s.tell('call_started', told({ ...ref, from_number: TRUNK, to_number: CALLER }));
  t.equal((await s.recordOf(id)).retell_call_id, 'call_1');
});

t.test('a webhook that comes before the INVITE is written waits for it', async (t) => {
  const s = await webhookScene(t);
  const id = randomUUID();
  t.equal((await s.tell('call_started', told({ metadata: { call_ref: id } }))).status, 204);
  t.same(s.handled, ['call_started early']);
  const [put = ''] = s.putOff;
  await t.rejects(s.worker.again(put, false), /not known yet/);
  await s.store.merge([
    { id, atMs: Date.now(), fields: { direction: 'inbound', number: TRUNK, from: CALLER } },
  ]);
  await s.worker.again(put, false);
  t.equal((await s.recordOf(id)).retell_call_id, 'call_1');
  t.same(s.handled, ['call_started early', 'call_started written']);
  await s.worker.again(put, true);
  t.equal(s.handled.length, 2, 'once is enough');
});

t.test('a webhook whose call never comes is kept for a human, and can be replayed', async (t) => {
  const s = await webhookScene(t);
  const id = randomUUID();
  await s.tell('call_ended', told({ ...OVER, metadata: { call_ref: id } }));
  await s.worker.again(s.putOff[0] ?? '', true);
  t.same(s.handled, ['call_ended early', 'call_ended dead']);
  const dead = await s.webhooks.dead('given_up', 10);
  t.match(dead, [{ reason: 'unmatched', webhook: { event: 'call_ended', call: { call_id: 'call_1' } } }]);
  t.same(await s.webhooks.dead('given_up', 10, dead[0]?.id), [], 'the page after it');
  await s.store.merge([
    { id, atMs: Date.now(), fields: { direction: 'inbound', number: TRUNK, from: CALLER } },
  ]);
  t.equal(await s.webhooks.replay(dead[0]?.id ?? ''), true);
  await eventually('it is handled anew', () => s.handled.length === 3);
  t.match(await s.recordOf(id), { retell_ended_at: ENDED_AT });
  t.same(await s.webhooks.dead('given_up', 10), []);
  t.equal(await s.webhooks.replay(dead[0]?.id ?? ''), false);
});

t.test('calls of others, and events that nobody knows, are answered and counted', async (t) => {
  const s = await webhookScene(t);
  t.equal((await s.tell('call_started', told({ to_number: '+14155550199' }))).status, 204);
  t.equal((await s.tell('brand_new')).status, 204);
  t.same(s.handled, ['call_started unmatched', 'brand_new unmatched']);
  t.same(s.putOff, []);
  t.same(await s.webhooks.dead('given_up', 10), []);
  const foreign = await s.webhooks.dead('foreign', 10);
  t.match(
    foreign.map(({ reason, webhook }) => [reason, webhook.event]),
    [
      ['foreign', 'brand_new'],
      ['foreign', 'call_started'],
    ],
  );
  t.equal(await s.webhooks.replay(foreign[0]?.id ?? ''), true);
});

t.test('each event about a call of ours leaves its mark, of what was said nothing', async (t) => {
  const s = await webhookScene(t);
  const id = await s.call({ retell_call_id: 'call_1' });
  const transfer = { transfer_destination: { number: '+14155550188' } };
  for (const more of [transfer, transfer, { transfer_destination: { number: '+14155550189' } }]) {
    await s.post({ event: 'transfer_started', call: told(), ...more }, undefined, '/webhooks/retell');
  }
  await s.tell('brand_new', told());
  await s.tell('transcript_updated', told({ transcript: 'Agent: hello', transcript_object: [] }));
  const record = await eventually('all are handled', () => s.handled.length === 5 && s.recordOf(id));
  t.match(record.timeline.map(({ type, to }) => [type, to]).sort(), [
    ['retell_brand_new', undefined],
    ['retell_transfer_started', '+14155550188'],
    ['retell_transfer_started', '+14155550189'],
  ]);
  t.notMatch(JSON.stringify(await s.redis.hgetall(`call:${id}`)), /hello/);
});

t.test('what is not signed is 401, and what is no call 400', async (t) => {
  const s = await webhookScene(t);
  const id = await s.call({ retell_call_id: 'call_1' });
  t.match(await s.tell('call_ended', told(OVER), 'key_other_0123456789'), {
    status: 401,
    body: { code: 'invalid_signature' },
  });
  t.equal((await s.recordOf(id)).retell_ended_at, undefined);
  for (const call of [undefined, {}, { call_id: 7 }, { call_id: 'call_1@example.com' }])
    t.match(await s.tell('call_ended', call), { status: 400, body: { code: 'validation_failed' } });
  t.match(await s.post({ call: told() }, undefined, '/webhooks/retell'), { status: 400 });
});

t.test('a long transcript passes, and 1 MiB is the end', async (t) => {
  const s = await webhookScene(t);
  const id = await s.call({ retell_call_id: 'call_1' });
  const transcript = 'x'.repeat(900_000);
  t.equal((await s.tell('call_ended', told({ ...OVER, transcript }))).status, 204);
  t.equal((await s.recordOf(id)).retell_ended_at, ENDED_AT);
  t.match(await s.tell('call_ended', told({ ...OVER, transcript: transcript + transcript })), {
    status: 413,
  });
});

t.test('without Redis Retell has to send it again', async (t) => {
  const s = await webhookScene(t);
  const id = await s.call({ retell_call_id: 'call_1' });
  await s.part.stop();
  t.match(await s.tell('call_ended', told(OVER)), { status: 503, body: { code: 'redis_unavailable' } });
  t.same(s.scheduled, []);
  t.type(id, 'string');
});
