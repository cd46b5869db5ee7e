import { Redis } from 'ioredis';
import t from 'tap';
import { digestOf, IdempotencyKeys } from '../../../control-plane/src/calls/idempotency.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import type { CreateParams } from '../../../control-plane/src/retell/api.js';
import { Origination } from '../../../control-plane/src/routing/origination.js';
import { API_KEY, configWith, startRedis, TRUNK } from '../retell-fixture.js';

const ORDER = { from: TRUNK, to: '+14155550177' };

/** An origination on a Redis of the test's own, whose Retell takes every call. */
async function scene(t: Parameters<typeof startRedis>[0], api_key = API_KEY) {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  const config = {
    current: configWith({
      retell: { api_key: api_key || undefined },
      numbers: [{ number: TRUNK }],
      carriers: [
        {
          name: 'acme',
          networks: ['198.51.100.0/24'],
          gateways: [{ uri: 'sip:198.51.100.10' }],
          prefixes: ['+1'],
        },
      ],
    }),
  };
  const asked: CreateParams[] = [];
  const scheduled: string[] = [];
  const keys = new IdempotencyKeys(redis);
  const origination = new Origination({
    config,
    api: {
      createPhoneCall: async (params) => {
        asked.push(params);
        return { call_id: `call_${asked.length}`, call_status: 'registered' };
      },
    },
    store,
    due: { schedule: async (_, id) => void scheduled.push(id), forget: async () => {} },
    keys,
    expected: { tell: async () => 1, forget: async () => {} },
    unplaced: { close: async () => true },
    warn: () => {},
  });
  return { origination, keys, store, config, asked, scheduled };
}

t.test(
  'whoever dies with the key taken and no record has asked nobody: the next one places the call',
  async (t) => {
    const { origination, keys, asked, scheduled } = await scene(t);
    await keys.take('ops', 'k', { id: 'the-id', digest: digestOf(ORDER) });
    const asker = { by: 'ops', idempotencyKey: 'k' };
    const { call, replayed } = await origination.place(ORDER, asker);
    t.match({ call, replayed }, { call: { id: 'the-id', retell_call_id: 'call_1' }, replayed: false });
    t.match(await origination.place(ORDER, asker), { call: { id: 'the-id' }, replayed: true });
    t.equal(asked.length, 1);
    t.same(scheduled, ['the-id']);
  },
);

t.test('keys of other tokens are other keys', async (t) => {
  const { origination, asked } = await scene(t);
  const one = await origination.place(ORDER, { by: 'ops', idempotencyKey: 'k' });
  const other = await origination.place(ORDER, { by: 'crm', idempotencyKey: 'k' });
  t.not(one.call.id, other.call.id);
  t.equal(asked.length, 2);
});

t.test(
  'what was asked for is answered for, also when the configuration does not let it any more',
  async (t) => {
    const { origination, config, asked } = await scene(t);
    const asker = { by: 'ops', idempotencyKey: 'k' };
    const { call } = await origination.place(ORDER, asker);
    config.current = configWith();
    t.match(await origination.place(ORDER, asker), { call: { id: call.id }, replayed: true });
    await t.rejects(origination.place(ORDER, { by: 'ops' }), { code: 'destination_not_allowed' });
    t.equal(asked.length, 1);
  },
);

t.test('without a key for Retell nothing is written', async (t) => {
  const { origination, store, scheduled } = await scene(t, '');
  await t.rejects(origination.place(ORDER, { by: 'ops' }), { code: 'not_configured' });
  t.same((await store.list({}, 10)).items, []);
  t.same(scheduled, []);
});
