import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { ActiveConfig } from '../../../control-plane/src/config/active.js';
import { Carriers } from '../../../control-plane/src/routing/carriers.js';
import { Drains } from '../../../control-plane/src/routing/drains.js';
import { RetellSlots } from '../../../control-plane/src/routing/slots.js';
import { startRedis } from '../retell-fixture.js';
import { ACME, acme, configOf, GLOBEX, globex, RETELL, retell, startNodes } from '../routing-fixture.js';

async function carriersOf(t: Test, names?: string[]) {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const config = configOf({
    retell: retell({ api_key: 'key_0123456789abcdef' }),
    carriers: [
      acme({
        gateways: [{ uri: ACME, weight: 3, priority: 2 }],
        limits: { concurrent_calls: 200 },
        digest: { username: 'user', password: 'secret' },
        register: { registrar: 'sip:198.51.100.10' },
      }),
      globex({ probe: false, prefixes: ['+44'] }),
    ],
  });
  const active = new ActiveConfig(config);
  const { fakes, nodes } = await startNodes(t, config, names);
  const drains = new Drains({ config: active, redis, nodes, observer: { drainsNotApplied: () => {} } });
  const slots = new RetellSlots({
    config: active,
    nodes,
    getConcurrency: async () => ({ concurrency_limit: 20, current_concurrency: 3 }),
    observer: { concurrencyRead: () => {}, concurrencyFailed: () => {}, slotsNotSet: () => {} },
  });
  t.teardown(() => slots.stop());
  const carriers = new Carriers({ config: active, nodes, drains, slots });
  return { carriers, drains, slots, fakes, fake: fakes[0] as (typeof fakes)[number] };
}

t.test('a carrier shows its settings, calls, registration and gateways', async (t) => {
  const { carriers, fake } = await carriersOf(t);
  fake.profiles.set('carrier acme', 3).set(`gateway ${ACME}`, 2);
  t.same(await carriers.get('acme'), {
    name: 'acme',
    drained: false,
    calls: 3,
    limits: { concurrent_calls: 200, calls_per_second: null },
    prefixes: ['+1'],
    registration: { registrar: 'sip:198.51.100.10', registered: true },
    gateways: [
      {
        uri: ACME,
        state: 'up',
        latency_ms: 12,
        calls: 2,
        weight: 3,
        priority: 2,
        nodes: { node1: { state: 'up', latency_ms: 12, calls: 2 } },
      },
    ],
    nodes: { node1: { calls: 3, drained: false, registered: true } },
  });
  t.same(
    (await carriers.list()).map(({ name, registration }) => [name, registration === null]),
    [
      ['acme', false],
      ['globex', true],
    ],
  );
  t.equal(await carriers.get('nobody'), undefined);
});

t.test("a gateway's state says up, down, drained, or unknown where nobody asks it", async (t) => {
  const { carriers, drains, fake } = await carriersOf(t);
  const stateOf = async (name: string) => (await carriers.get(name))?.gateways[0]?.state;
  const set = (uri: string, flags: string) => {
    for (const [key, gateway] of fake.gateways) if (key.endsWith(uri)) gateway.flags = flags;
  };
  t.equal(await stateOf('globex'), 'unknown');
  t.equal(await stateOf('acme'), 'up');
  set(ACME, 'TP');
  t.equal(await stateOf('acme'), 'up', 'one reply missed');
  set(ACME, 'IP');
  t.equal(await stateOf('acme'), 'down');
  await drains.drain({ gateway: ACME });
  t.equal(await stateOf('acme'), 'drained');
});

t.test('a drained carrier says so, on every node', async (t) => {
  const { carriers, drains } = await carriersOf(t);
  await drains.drain({ carrier: 'globex' });
  t.match(await carriers.get('globex'), { drained: true, nodes: { node1: { drained: true } } });
});

t.test('over several nodes calls add up and the worst state shows', async (t) => {
  const { carriers, fakes } = await carriersOf(t, ['node1', 'node2']);
  for (const [i, fake] of fakes.entries()) fake.profiles.set('carrier acme', i + 1);
  for (const [key, gateway] of fakes[1]?.gateways ?? []) if (key.endsWith(ACME)) gateway.flags = 'IP';
  t.match(await carriers.get('acme'), {
    calls: 3,
    gateways: [{ state: 'down', nodes: { node1: { state: 'up' }, node2: { state: 'down' } } }],
  });
});

t.test('a node that does not answer is null, and the rest is there', async (t) => {
  const { carriers, fakes } = await carriersOf(t, ['node1', 'node2']);
  for (const fake of fakes) fake.profiles.set('carrier acme', 1);
  const away = fakes[1];
  if (away) away.up = false;
  t.match(await carriers.get('acme'), {
    calls: 1,
    nodes: { node1: { calls: 1 }, node2: null },
    gateways: [{ state: 'up', nodes: { node1: { state: 'up' }, node2: null } }],
  });
  for (const fake of fakes) fake.up = false;
  t.match(await carriers.get('acme'), {
    calls: null,
    registration: { registered: null },
    nodes: { node1: null, node2: null },
    gateways: [{ state: 'unknown', calls: null, latency_ms: null }],
  });
});

t.test('Retell shows its gateways, calls and the last answer about its concurrency', async (t) => {
  const { carriers, slots, fake } = await carriersOf(t);
  fake.profiles.set('retell', 2).set(`gateway ${RETELL}`, 2);
  t.match(await carriers.retell(), {
    calls: 2,
    concurrency: null,
    gateways: [{ uri: RETELL, state: 'up', calls: 2, weight: 1, priority: 1 }],
    nodes: { node1: { calls: 2 } },
  });
  await slots.poll();
  t.match((await carriers.retell()).concurrency, { limit: 20, current: 3, ours: 2, allowed: 19 });
});

t.test('gateways of one carrier do not show another one', async (t) => {
  const { carriers } = await carriersOf(t);
  t.same(
    (await carriers.get('globex'))?.gateways.map(({ uri }) => uri),
    [GLOBEX],
  );
});
