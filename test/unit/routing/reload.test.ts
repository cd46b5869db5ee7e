import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { ActiveConfig } from '../../../control-plane/src/config/active.js';
import { ConfigError } from '../../../control-plane/src/config/errors.js';
import type { Config } from '../../../control-plane/src/config/schema.js';
import { Drains } from '../../../control-plane/src/routing/drains.js';
import type { NodeApplied } from '../../../control-plane/src/routing/node-sync.js';
import { Reload } from '../../../control-plane/src/routing/reload.js';
import { eventually } from '../../harness/await.js';
import { endpoint } from '../../harness/configurations.js';
import { startRedis } from '../retell-fixture.js';
import { ACME, acme, configOf, GLOBEX, globex, RETELL, retell, startNodes } from '../routing-fixture.js';

const REDIS = startRedis(t);

async function reloadOf(t: Test, config = configOf(), names?: string[]) {
  const { url } = await REDIS;
  const redis = new Redis(url);
  await redis.del('drains');
  t.teardown(() => redis.disconnect());
  const { fakes, nodes, directory } = await startNodes(t, config, names);
  const active = new ActiveConfig(config);
  const drains = new Drains({ config: active, redis, nodes, observer: { drainsNotApplied: () => {} } });
  const outcomes: string[] = [];
  const told: NodeApplied[] = [];
  let file: () => Config = () => config;
  const reload = new Reload({
    config: active,
    load: async () => file(),
    nodes,
    drains,
    dataDirectory: directory,
    observer: {
      reloadDone: (outcome) => outcomes.push(outcome),
      nodeApplied: (node) => told.push(node),
    },
    retryMs: 20,
  });
  t.teardown(() => reload.stop());
  return {
    reload,
    active,
    drains,
    fakes,
    fake: fakes[0] as (typeof fakes)[number],
    directory,
    outcomes,
    told,
    write: (config: Config | (() => Config)) => {
      file = typeof config === 'function' ? config : () => config;
    },
  };
}

t.test('a file that did not change changes nothing and has nothing read anew', async (t) => {
  const { reload, fake, outcomes } = await reloadOf(t);
  t.match(await reload.run(), {
    outcome: 'applied',
    changes: { carriers: { added: { count: 0 } }, numbers: { changed: { count: 0 } }, keys: [] },
    requires_restart: [],
    nodes: [{ name: 'node1', applied: true, detail: 'nothing to read anew' }],
  });
  t.same(fake.commands, []);
  t.same(outcomes, ['applied']);
});

t.test('a wrong file changes nothing', async (t) => {
  const { reload, active, fake, write, outcomes } = await reloadOf(t);
  const before = active.current;
  write(() => configOf({ carriers: [acme(), acme()] }));
  const error = await reload.run().then(
    () => undefined,
    (reason) => reason,
  );
  t.type(error, ConfigError);
  t.match((error as ConfigError).problems, [{ path: /carriers/ }]);
  t.equal(active.current, before);
  t.same(fake.commands, []);
  t.same(outcomes, ['invalid']);
});

t.test('only the tables that changed are read anew, and the answer names what changed', async (t) => {
  const { reload, active, fake, write } = await reloadOf(t);
  write(
    configOf({
      numbers: [
        { number: '+14155550101' },
        { number: '+14155550102', fallback: 'sip:+14155550199@198.51.100.10' },
      ],
      calls: { limits: { concurrent_calls: 5 } },
      webhooks: [endpoint({})],
    }),
  );
  const result = await reload.run();
  t.match(result, {
    outcome: 'applied',
    changes: {
      carriers: { added: { count: 0 }, removed: { count: 0 }, changed: { count: 0 } },
      numbers: {
        added: { count: 2, names: ['+14155550101', '+14155550102'] },
        removed: { count: 1, names: ['+14155550100'] },
        changed: { count: 0 },
      },
      webhooks: { added: { count: 1, names: ['crm'] }, removed: { count: 0 }, changed: { count: 0 } },
      keys: ['calls.limits'],
    },
  });
  t.same(fake.commands, ['htable.reload numbers', 'htable.reload fallbacks', 'htable.reload limits']);
  t.same([...(fake.tables.get('numbers')?.keys() ?? [])], ['+14155550101', '+14155550102']);
  t.equal(active.current.numbers.length, 2);
});

t.test('keys that need a restart are named and keep their old value; the rest is applied', async (t) => {
  const api_key = 'key_0123456789abcdef';
  const { reload, active, write } = await reloadOf(t, configOf({ retell: retell({ api_key }) }));
  write(
    configOf({
      sip: { listen: ['udp:192.0.2.200:5070'] },
      calls: { max_duration_s: 60, ring_timeout_s: 30, limits: { calls_per_second: 3 } },
      retell: retell({ api_key, register_timeout_ms: 500, reserved_inbound: 2 }),
      redis: { url: 'redis://192.0.2.9' },
      log: { level: 'debug' },
    }),
  );
  const result = await reload.run();
  t.same(result.requires_restart, [
    'calls.ring_timeout_s',
    'log.level',
    'redis.url',
    'retell.register_timeout_ms',
    'sip.listen',
  ]);
  t.same(result.changes.keys, ['calls.limits', 'calls.max_duration_s', 'retell.reserved_inbound']);
  const { sip, calls, retell: now, redis, log } = active.current;
  t.same(sip.listen, ['udp:192.0.2.200:5060', 'tcp:192.0.2.200:5060']);
  t.equal(calls.max_duration_s, 60);
  t.equal(calls.ring_timeout_s, 120);
  t.same(calls.limits, { calls_per_second: 3 });
  t.equal(now.register_timeout_ms, 2000);
  t.equal(now.reserved_inbound, 2);
  t.equal(redis, undefined);
  t.equal(log.level, 'info');
});

t.test('a file that fits only after a restart is refused, and says so', async (t) => {
  const { reload, active, write } = await reloadOf(
    t,
    configOf({ sip: { listen: ['udp:192.0.2.200:5060'] } }),
  );
  const before = active.current;
  write(
    configOf({
      sip: { listen: ['udp:192.0.2.200:5060', 'tcp:192.0.2.200:5060'] },
      carriers: [acme({ gateways: [{ uri: `${ACME};transport=tcp` }] })],
    }),
  );
  const error = await reload.run().then(
    () => undefined,
    (reason) => reason,
  );
  t.match((error as ConfigError).problems, [
    { path: 'carriers[0].gateways[0].uri', message: /sip\.listen need a restart/ },
  ]);
  t.equal(active.current, before);
});

t.test('gateways that were down or drained are so again after the list was read anew', async (t) => {
  const config = configOf({ carriers: [acme(), globex({ prefixes: ['+44'] })] });
  const { reload, drains, fake, write } = await reloadOf(t, config);
  await drains.drain({ gateway: ACME });
  const down = [...fake.gateways].find(([key]) => key.endsWith(RETELL));
  t.ok(down);
  if (down) down[1].flags = 'IP';
  const seen: string[] = [];
  fake.onCommand = (command) => seen.push(command);
  write(
    configOf({
      carriers: [acme(), globex({ prefixes: ['+44'], gateways: [{ uri: 'sip:192.0.2.11:5060' }] })],
    }),
  );
  t.equal((await reload.run()).outcome, 'applied');
  const flags = (uri: string) =>
    [...fake.gateways].filter(([key]) => key.endsWith(uri)).map(([, gateway]) => gateway.flags);
  t.same(flags(ACME), ['DX']);
  t.same(flags(RETELL), ['IP']);
  t.same(flags('sip:192.0.2.11:5060'), ['AP']);
  t.same(flags(GLOBEX), []);
  t.equal(
    seen.findIndex((command) => command.startsWith('dispatcher.set_state dx')),
    1,
    'drained at once',
  );
});

t.test('a set that goes stays until nothing leads to it any more', async (t) => {
  const config = configOf({ carriers: [acme(), globex({ prefixes: ['+44'] })] });
  const { reload, fake, write } = await reloadOf(t, config);
  let held: boolean | undefined;
  fake.onCommand = (command) => {
    if (command === 'htable.reload prefixes')
      held = [...fake.gateways.keys()].some((key) => key.endsWith(GLOBEX));
  };
  write(configOf({ carriers: [acme()] }));
  t.equal((await reload.run()).outcome, 'applied');
  t.equal(held, true, 'while the prefixes were read');
  t.notOk([...fake.gateways.keys()].some((key) => key.endsWith(GLOBEX)));
});

t.test('a node that is away gets the configuration when it is back', async (t) => {
  const { reload, active, fakes, write, outcomes } = await reloadOf(t, configOf(), ['node1', 'node2']);
  const [first, second] = fakes as [(typeof fakes)[number], (typeof fakes)[number]];
  reload.start();
  second.up = false;
  write(configOf({ numbers: [{ number: '+14155550101' }] }));
  const { outcome, nodes } = await reload.run();
  t.equal(outcome, 'incomplete');
  t.match(nodes, [
    { name: 'node1', applied: true },
    { name: 'node2', applied: false, detail: /node2/ },
  ]);
  t.same(outcomes, ['incomplete']);
  t.equal(active.current.numbers[0]?.number, '+14155550101');
  t.same([...(first.tables.get('numbers')?.keys() ?? [])], ['+14155550101']);
  second.up = true;
  await eventually('node2 has the number', () => second.tables.get('numbers')?.has('+14155550101'));
});

t.test('a table that Kamailio will not read yet is told and tried again', async (t) => {
  const { reload, fake, write } = await reloadOf(t);
  reload.start();
  fake.faults.set('uac.reg_reload', 500);
  write(
    configOf({
      carriers: [
        acme({
          digest: { username: 'user', password: 'secret' },
          register: { registrar: 'sip:198.51.100.10' },
        }),
      ],
    }),
  );
  const { outcome, nodes } = await reload.run();
  t.equal(outcome, 'incomplete');
  t.match(nodes, [{ applied: false, detail: /^uacreg: .*told to fail/ }]);
  fake.faults.clear();
  await eventually('the registration is there', () => fake.registrations.includes('acme'));
});

t.test(
  'what a node holds otherwise than its files say is put right, and told where that fails',
  async (t) => {
    const { reload, fake } = await reloadOf(t);
    fake.tables.get('numbers')?.set('+14155550199', 'trunk');
    fake.networks.push('1 192.0.2.99 32 0 stranger');
    t.match(await reload.run(), {
      outcome: 'applied',
      nodes: [{ detail: 'read anew: address.list, numbers' }],
    });
    t.notOk(fake.tables.get('numbers')?.has('+14155550199'));

    fake.onCommand = (command) => {
      if (command === 'dispatcher.reload') fake.gateways.delete([...fake.gateways.keys()][0] ?? '');
    };
    fake.gateways.clear();
    t.match(await reload.run(), {
      outcome: 'incomplete',
      nodes: [{ applied: false, detail: /gateways that Kamailio does not hold .*203\.0\.113\.10/ }],
    });
  },
);

t.test('a control plane that starts brings nodes to its configuration', async (t) => {
  const { reload, fake, directory } = await reloadOf(t);
  fake.tables.get('numbers')?.clear();
  reload.start();
  await eventually('the number is there', () => fake.tables.get('numbers')?.has('+14155550100'));
  t.match(await readFile(join(directory('node1'), 'numbers'), 'utf8'), '+14155550100');
});

t.test('reloads run one after the other, and those that wait share the next one', async (t) => {
  const { reload, write } = await reloadOf(t);
  let loads = 0;
  write(() => {
    loads += 1;
    return configOf();
  });
  const first = reload.run();
  await eventually('the first has begun', () => loads === 1);
  const [second, third] = [reload.run(), reload.run()];
  t.equal(await second, await third);
  t.not(await first, await second);
  t.equal(loads, 2);
});

t.test('who is drained and not configured any more is forgotten', async (t) => {
  const { reload, drains, write } = await reloadOf(t, configOf({ carriers: [acme(), globex()] }));
  await drains.drain({ carrier: 'globex' });
  await drains.drain({ carrier: 'acme' });
  await drains.drain({ gateway: GLOBEX });
  write(configOf());
  await reload.run();
  t.same(await drains.current(), { carriers: new Set(['acme']), gateways: new Set() });
});

// db_text looks at whole seconds, and would take such a file for the one that it has read.
t.test('a file that changes again within a second is a second newer each time', async (t) => {
  const { reload, directory, write } = await reloadOf(t);
  const timeOf = async () => Math.floor((await stat(join(directory('node1'), 'numbers'))).mtimeMs / 1000);
  let last = await timeOf();
  for (const number of ['+14155550101', '+14155550102', '+14155550103']) {
    // In between, one in which this file stays the same.
    write(configOf({ numbers: [{ number }] }));
    await reload.run();
    await reload.run();
    const now = await timeOf();
    t.ok(now > last);
    last = now;
  }
});
