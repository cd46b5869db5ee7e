import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { ActiveConfig } from '../../../control-plane/src/config/active.js';
import { connectRedis } from '../../../control-plane/src/redis.js';
import { Drains } from '../../../control-plane/src/routing/drains.js';
import { eventually } from '../../harness/await.js';
import { startRedis } from '../retell-fixture.js';
import { ACME, acme, configOf, GLOBEX, globex, RETELL, startNodes } from '../routing-fixture.js';

async function drainsOf(t: Test, names?: string[]) {
  const { url, part } = await startRedis(t);
  const redis = connectRedis(url, () => {}, 200);
  await redis.connect();
  t.teardown(() => redis.disconnect());
  // globex stands in two sets, as the way to two destinations, and is not probed.
  const config = configOf({
    carriers: [acme(), globex({ prefixes: ['+1', '+44'], probe: false })],
  });
  const { fakes, nodes } = await startNodes(t, config, names);
  const failed: string[] = [];
  const drains = new Drains({
    config: new ActiveConfig(config),
    redis,
    nodes,
    observer: { drainsNotApplied: (node) => failed.push(node) },
    intervalMs: 20,
  });
  t.teardown(() => drains.stop());
  const flags = (uri: string) =>
    fakes.flatMap((fake) =>
      [...fake.gateways].filter(([key]) => key.endsWith(uri)).map(([, gateway]) => gateway.flags),
    );
  return { drains, fakes, fake: fakes[0] as (typeof fakes)[number], flags, failed, url, part };
}

t.test('a drained carrier is drained on every node, and resumed on every node', async (t) => {
  const { drains, fakes } = await drainsOf(t, ['node1', 'node2']);
  await drains.drain({ carrier: 'acme' });
  for (const fake of fakes) t.same([...(fake.tables.get('drained') ?? [])], [['acme', 1]]);
  t.same((await drains.current()).carriers, new Set(['acme']));
  await drains.resume({ carrier: 'acme' });
  for (const fake of fakes) t.same([...(fake.tables.get('drained') ?? [])], []);
});

t.test('a drained gateway is disabled in every set that holds it, and probed again after', async (t) => {
  const { drains, flags } = await drainsOf(t);
  const sets = flags(GLOBEX).length;
  t.ok(sets >= 1);
  await drains.drain({ gateway: GLOBEX });
  await drains.drain({ gateway: RETELL });
  t.same(flags(GLOBEX), Array(sets).fill('DX'));
  t.same(flags(RETELL), ['DX']);
  t.ok(flags(ACME).every((flag) => flag === 'AP'));
  await drains.resume({ gateway: GLOBEX });
  await drains.resume({ gateway: RETELL });
  t.same(flags(GLOBEX), Array(sets).fill('AX'), 'one that is not probed stays so');
  t.same(flags(RETELL), ['AP']);
});

t.test('drain and resume twice is as once', async (t) => {
  const { drains, fake } = await drainsOf(t);
  await drains.drain({ carrier: 'acme' });
  await drains.drain({ gateway: ACME });
  const commands = fake.commands.length;
  await drains.drain({ carrier: 'acme' });
  await drains.drain({ gateway: ACME });
  t.equal(fake.commands.length, commands);
  await drains.resume({ carrier: 'acme' });
  await drains.resume({ carrier: 'acme' });
  await drains.resume({ gateway: ACME });
  await drains.resume({ gateway: ACME });
  t.same(await drains.current(), { carriers: new Set(), gateways: new Set() });
});

t.test('a node that restarted has it again soon', async (t) => {
  const { drains, fake, flags } = await drainsOf(t);
  drains.start();
  await drains.drain({ carrier: 'acme' });
  await drains.drain({ gateway: ACME });
  await fake.restart();
  await eventually('the carrier is drained', () => fake.tables.get('drained')?.has('acme'));
  await eventually('the gateway is drained', () => flags(ACME).every((flag) => flag === 'DX'));
});

t.test('a node that is away holds up no other, and follows when it is back', async (t) => {
  const { drains, fakes, failed } = await drainsOf(t, ['node1', 'node2']);
  const [first, second] = fakes;
  if (second) second.up = false;
  await drains.drain({ carrier: 'acme' });
  t.ok(first?.tables.get('drained')?.has('acme'));
  t.same(failed, ['node2']);
  drains.start();
  if (second) second.up = true;
  await eventually('node2 follows', () => second?.tables.get('drained')?.has('acme'));
});

t.test('without Redis nothing new is drained, and what was drained stays so', async (t) => {
  const { drains, fake, part } = await drainsOf(t);
  drains.start();
  await drains.drain({ carrier: 'acme' });
  await part.stop();
  await t.rejects(drains.drain({ carrier: 'globex' }));
  await fake.restart();
  await eventually('the carrier is drained again', () => fake.tables.get('drained')?.has('acme'));
  t.notOk(fake.tables.get('drained')?.has('globex'));
});

t.test('a new control plane knows from Redis what is drained', async (t) => {
  const { drains, fake, url } = await drainsOf(t);
  const other = new Redis(url);
  t.teardown(() => other.disconnect());
  await other.hset('drains', 'carrier:acme', '1');
  drains.start();
  await eventually('the carrier is drained', () => fake.tables.get('drained')?.has('acme'));
});
