import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { eventually } from '../../harness/await.js';
import { type ConfigSections, configWith, TRUNK } from '../retell-fixture.js';
import { CALLER, webhookScene } from './webhook-fixture.js';

const SETTINGS = {
  number: TRUNK,
  agent_id: 'agent_trunk',
  agent_version: 'latest',
  dynamic_variables: { tier: 'gold' },
  metadata: { department: 'sales' },
};

async function scene(t: Test, sections: ConfigSections = { numbers: [SETTINGS] }) {
  return webhookScene(t, sections);
}

t.test("the answer is the number's settings and our id, and the record gets Retell's", async (t) => {
  const s = await scene(t);
  const id = await s.call();
  const { status, body } = await s.ask({ call_id: 'call_1', custom_sip_headers: { 'x-call-ref': id } });
  t.equal(status, 200);
  t.strictSame(body, {
    call_inbound: {
      override_agent_id: 'agent_trunk',
      override_agent_version: 'latest',
      dynamic_variables: { tier: 'gold' },
      metadata: { department: 'sales', call_ref: id },
    },
  });
  await eventually('the record is written', async () => (await s.recordOf(id)).retell_call_id === 'call_1');
  const record = await s.recordOf(id);
  t.equal(record.agent_id, 'agent_trunk');
  t.match(record.timeline, [{ type: 'inbound_webhook', answer: 'accepted' }]);
  t.equal(await s.store.idOfRetellCallId('call_1'), id);
  t.same(s.correlated, ['header']);
  t.same(s.outcomes, ['accepted']);
});

t.test('a number version stays a number, and settings that are not there are left out', async (t) => {
  const s = await scene(t, { numbers: [{ number: TRUNK, agent_id: 'agent_trunk', agent_version: 3 }] });
  const answer = (await s.ask({ custom_sip_headers: { 'x-call-ref': 'ref-1' } })).body;
  t.strictSame(answer, {
    call_inbound: {
      override_agent_id: 'agent_trunk',
      override_agent_version: 3,
      metadata: { call_ref: 'ref-1' },
    },
  });
});

t.test('our header is known under each of its names', async (t) => {
  const s = await scene(t);
  for (const name of ['x-call-ref', 'X-Call-Ref', 'call-ref', 'CALL-REF']) {
    const { body } = await s.ask({ custom_sip_headers: { other: '1', [name]: 'ref-1' } });
    t.equal(body.call_inbound.metadata.call_ref, 'ref-1', name);
  }
});

t.test('a header that cannot be an id of ours is none', async (t) => {
  const s = await scene(t);
  for (const value of ['', 'a b', 'x'.repeat(65), 7, null, '<script>']) {
    const { status, body } = await s.ask({
      from_number: '+14155550188',
      custom_sip_headers: { 'x-call-ref': value },
    });
    t.equal(status, 200);
    t.notOk(Object.hasOwn(body.call_inbound.metadata, 'call_ref'), String(value));
  }
});

t.test('a number that rejects answers reject alone', async (t) => {
  const s = await scene(t, { numbers: [{ ...SETTINGS, reject: true }] });
  const id = await s.call();
  const { body } = await s.ask({ call_id: 'call_1', custom_sip_headers: { 'x-call-ref': id } });
  t.strictSame(body, { call_inbound: { reject: true } });
  await eventually('the record is written', async () => (await s.recordOf(id)).timeline.length > 0);
  const record = await s.recordOf(id);
  t.match(record.timeline, [{ type: 'inbound_webhook', answer: 'rejected' }]);
  t.equal(record.agent_id, undefined);
  t.same(s.outcomes, ['rejected']);
});

t.test('a number that is none of ours leaves everything as Retell has it', async (t) => {
  const s = await scene(t);
  t.strictSame((await s.ask({ to_number: '+14155550188' })).body, { call_inbound: {} });
  t.strictSame((await s.ask({ to_number: undefined })).body, { call_inbound: {} });
  t.same(s.outcomes, ['unknown_number', 'unknown_number']);
});

t.test('without settings of its own a number keeps the agent that Retell has bound', async (t) => {
  const s = await scene(t, { numbers: [{ number: TRUNK }] });
  const id = await s.call();
  const { body } = await s.ask({ custom_sip_headers: { 'x-call-ref': id } });
  t.strictSame(body, { call_inbound: { metadata: { call_ref: id } } });
  await eventually('the record is written', async () => (await s.recordOf(id)).agent_id === 'agent_bound');
  t.equal((await s.recordOf(id)).retell_call_id, undefined);
});

t.test('without our header the one call between the numbers is it', async (t) => {
  const s = await scene(t);
  await s.call({ from: '+14155550188' });
  await s.call({ number: '+14155550102' });
  await s.call({ direction: 'outbound' });
  await s.call({ ended_at: String(Date.now()) });
  await s.call({}, Date.now() - 120_000);
  const id = await s.call({ from: '14155550123' });
  const { body } = await s.ask({ call_id: 'call_1' });
  t.equal(body.call_inbound.metadata.call_ref, id);
  await eventually('the record is written', async () => (await s.recordOf(id)).retell_call_id === 'call_1');
  t.same(s.correlated, ['numbers']);
});

t.test('of two calls between the same numbers none is taken', async (t) => {
  const s = await scene(t);
  const ids = [await s.call(), await s.call()];
  const { body } = await s.ask({ call_id: 'call_1' });
  t.strictSame(body.call_inbound.metadata, { department: 'sales' });
  for (const id of ids) t.equal((await s.recordOf(id)).retell_call_id, undefined);
});

t.test("a second call between the same numbers is told apart by the first one's id", async (t) => {
  const s = await scene(t);
  const first = await s.call();
  await s.ask({ call_id: 'call_1' });
  await eventually('the first is known', async () => (await s.recordOf(first)).retell_call_id === 'call_1');
  const second = await s.call();
  t.equal((await s.ask({ call_id: 'call_2' })).body.call_inbound.metadata.call_ref, second);
  t.equal((await s.ask({ call_id: 'call_1' })).body.call_inbound.metadata.call_ref, first);
});

t.test('a repeated webhook gets the same answer and changes nothing', async (t) => {
  const s = await scene(t);
  const id = await s.call();
  const inbound = { call_id: 'call_1', custom_sip_headers: { 'x-call-ref': id } };
  const [first, second] = await Promise.all([s.ask(inbound), s.ask(inbound)]);
  await eventually('both are matched', () => s.correlated.length === 2);
  await eventually('it is written', async () => (await s.recordOf(id)).retell_call_id === 'call_1');
  const before = await s.redis.hgetall(`call:${id}`);
  const third = await s.ask(inbound);
  await eventually('the third is matched', () => s.correlated.length === 3);
  t.strictSame(second, first);
  t.strictSame(third, first);
  t.strictSame(await s.redis.hgetall(`call:${id}`), before);
});

t.test('a webhook that overtakes the event of its INVITE is written when that has come', async (t) => {
  const s = await scene(t);
  const id = randomUUID();
  const { body } = await s.ask({ call_id: 'call_1', custom_sip_headers: { 'x-call-ref': id } });
  t.equal(body.call_inbound.metadata.call_ref, id);
  t.equal(await s.store.get(id), undefined, 'no record comes of a header alone');
  const record = { direction: 'inbound', number: TRUNK, from: CALLER, created_at: String(Date.now()) };
  await s.store.merge([{ id, atMs: Date.now(), fields: record }]);
  await eventually('the record is written', async () => (await s.recordOf(id)).retell_call_id === 'call_1');
});

t.test("a header that names another number's call changes no record", async (t) => {
  const s = await scene(t);
  const id = await s.call({ number: '+14155550102' });
  t.equal((await s.ask({ call_id: 'call_1', custom_sip_headers: { 'x-call-ref': id } })).status, 200);
  await eventually('the search is over', () => s.correlated.includes('none'));
  t.equal((await s.recordOf(id)).retell_call_id, undefined);
});

t.test('without Redis the answer comes all the same', async (t) => {
  const s = await scene(t);
  await s.part.kill();
  t.strictSame((await s.ask()).body.call_inbound.metadata, { department: 'sales' });
  const { status, body } = await s.ask({ call_id: 'call_9', custom_sip_headers: { 'x-call-ref': 'ref-1' } });
  t.equal(status, 200);
  t.equal(body.call_inbound.metadata.call_ref, 'ref-1');
  await eventually('the trouble is told', () => s.warnings.length === 2);
  t.notMatch(JSON.stringify(s.warnings), 'call_9');
});

t.test('what is no call_inbound event is 400', async (t) => {
  const s = await scene(t);
  for (const body of [
    {},
    [],
    'text',
    null,
    { event: 'call_started', call: {} },
    { event: 'call_inbound' },
    { event: 'call_inbound', call_inbound: 'x' },
  ]) {
    const { status, body: problem } = await s.post(body);
    t.equal(status, 400, JSON.stringify(body));
    t.equal(problem.code, 'validation_failed');
  }
  t.ok(s.outcomes.every((outcome) => outcome === 'malformed'));
});

t.test('members that are not what they should be are left out', async (t) => {
  const s = await scene(t);
  const inbound = { call_id: 7, agent_id: null, from_number: {}, custom_sip_headers: 'x' };
  const { status, body } = await s.ask(inbound);
  t.equal(status, 200);
  t.equal(body.call_inbound.override_agent_id, 'agent_trunk');
});

t.test('a body over 64 KiB is 413', async (t) => {
  const s = await scene(t);
  const { status, body } = await s.ask({ custom_sip_headers: { 'x-long': 'x'.repeat(70_000) } });
  t.equal(status, 413);
  t.equal(body.code, 'payload_too_large');
});

t.test('the keys are those of the configuration in force, and the API key only without any', async (t) => {
  const s = await scene(t);
  t.equal((await s.ask()).status, 200);
  s.config.replace(configWith({ retell: { webhook_keys: ['key_hook_0123456789'] }, numbers: [SETTINGS] }));
  t.equal((await s.ask()).status, 401);
  t.equal((await s.ask({}, 'key_hook_0123456789')).status, 200);
  t.same(s.outcomes, ['accepted', 'invalid_signature', 'accepted']);
});
