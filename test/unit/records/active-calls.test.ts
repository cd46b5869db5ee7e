import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { ActiveCalls, type ActiveCount } from '../../../control-plane/src/calls/active-calls.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { startRedis } from '../retell-fixture.js';

async function activeCalls(t: Test) {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  const active = new ActiveCalls(redis);
  return {
    merge: (id: string, fields: Record<string, string>) =>
      store.merge([{ id, atMs: Date.now(), fields: { direction: 'inbound', ...fields } }]),
    counts: async () => (await active.count()).map(textOf).sort(),
    active,
    redis,
  };
}

function textOf({ direction, carrier, state, calls }: ActiveCount): string {
  return `${direction} ${carrier ?? '-'} ${state} ${calls}`;
}

t.test('a call counts as what it is, at every look anew', async (t) => {
  const { merge, counts } = await activeCalls(t);
  t.same(await counts(), []);
  const fields = { sip_call_id: 'call@192.0.2.1', carrier: 'acme' };
  await merge('one', fields);
  await merge('two', { ...fields, answered_at: '1790000000000' });
  t.same(await counts(), ['inbound acme answered 1', 'inbound acme routing 1']);
  await merge('one', { ringing_at: '1790000000000' });
  t.same(await counts(), ['inbound acme answered 1', 'inbound acme ringing 1']);
  await merge('one', { answered_at: '1790000001000' });
  t.same(await counts(), ['inbound acme answered 2']);
  for (const id of ['one', 'two']) await merge(id, { ended_at: '1790000002000' });
  t.same(await counts(), []);
});

t.test('an outbound call has its carrier once it is chosen', async (t) => {
  const { merge, counts } = await activeCalls(t);
  await merge('one', { direction: 'outbound', sip_call_id: 'call@192.0.2.1' });
  t.same(await counts(), ['outbound - routing 1']);
  await merge('one', { answered_at: '1790000000000', carrier: 'acme' });
  t.same(await counts(), ['outbound acme answered 1']);
});

t.test('a call that Retell was asked for counts from its INVITE on', async (t) => {
  const { merge, counts } = await activeCalls(t);
  await merge('one', { direction: 'outbound', requested_by: 'ops' });
  t.same(await counts(), []);
  await merge('one', { sip_call_id: 'call@192.0.2.1' });
  t.same(await counts(), ['outbound - routing 1']);
});

t.test('the record of an answered call is read once', async (t) => {
  const { merge, counts, active, redis } = await activeCalls(t);
  await merge('one', { sip_call_id: 'call@192.0.2.1', carrier: 'acme', answered_at: '1790000000000' });
  await counts();
  await redis.config('RESETSTAT');
  t.equal((await active.count()).length, 1);
  t.notMatch(await redis.info('commandstats'), 'cmdstat_hmget');
});
