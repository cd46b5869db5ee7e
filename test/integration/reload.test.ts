import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t from 'tap';
import { parse, stringify } from 'yaml';
import { eventually } from '../harness/await.js';
import { dial, establish, type Scene, startScene } from '../harness/scene.js';
import { CARRIER_HOST, NUMBER, type Stack } from '../harness/stack.js';

const OTHER_NUMBER = '+14155550101';

/** Writes the configuration file of the stack anew, without putting it in force. */
async function rewrite(stack: Stack, change: (config: Record<string, unknown>) => unknown): Promise<void> {
  const directory = dirname(stack.config.kamailio.nodes[0]?.data_directory ?? '');
  const file = join(directory, 'config.yaml');
  const config = parse(await readFile(file, 'utf8'));
  change(config);
  await writeFile(file, stringify(config));
}

/** The numbers that the file has from now on. */
const withNumbers =
  (...numbers: string[]) =>
  (config: Record<string, unknown>) => {
    config.numbers = numbers.map((number) => ({ number }));
  };

/** A scene whose control plane reads its configuration from a file. */
async function sceneForReload(t: Parameters<typeof startScene>[0]): Promise<Scene> {
  return startScene(t, { controlPlane: 'process' });
}

async function statusOf(scene: Scene, number: string): Promise<number> {
  return (await dial(scene, number).finalResponse()).status;
}

t.test('a number that is added takes the next call, and one that goes takes none', async (t) => {
  const scene = await sceneForReload(t);
  const { api } = scene.stack;
  const { caller, callee } = await establish(scene);
  scene.retell.onInvite = (call) => call.refuse(486);
  t.equal(await statusOf(scene, OTHER_NUMBER), 404);

  await rewrite(scene.stack, withNumbers(OTHER_NUMBER));
  const { status, body } = await api.post('/v1/config/reload');
  t.equal(status, 200);
  t.match(body, {
    outcome: 'applied',
    changes: {
      numbers: {
        added: { count: 1, names: [OTHER_NUMBER] },
        removed: { count: 1, names: [NUMBER] },
        changed: { count: 0, names: [] },
      },
      keys: [],
    },
    requires_restart: [],
    nodes: [{ name: 'node1', applied: true, detail: 'read anew: numbers' }],
  });
  t.equal(await statusOf(scene, OTHER_NUMBER), 486);
  t.equal(await statusOf(scene, NUMBER), 404);
  t.equal((await callee.request('INFO')).status, 200, 'the call that is up goes on');
  t.equal((await caller.bye()).status, 200);
});

t.test('a second reload within the same second is read too', async (t) => {
  const scene = await sceneForReload(t);
  scene.retell.onInvite = (call) => call.refuse(486);
  for (const number of [OTHER_NUMBER, NUMBER, OTHER_NUMBER]) {
    await rewrite(scene.stack, withNumbers(number));
    t.equal((await scene.stack.api.post('/v1/config/reload')).body.outcome, 'applied');
    t.equal(await statusOf(scene, number), 486);
  }
});

t.test('a wrong file changes nothing, and everything wrong is named with its path', async (t) => {
  const scene = await sceneForReload(t);
  scene.retell.onInvite = (call) => call.refuse(486);
  await rewrite(scene.stack, (config: Record<string, unknown>) => {
    config.colour = 'red';
    config.numbers = [{ number: OTHER_NUMBER }, { number: OTHER_NUMBER }];
    config.carriers = [
      { name: 'acme', networks: ['198.51.100.0/33'], gateways: [{ uri: 'sip:198.51.100.10' }] },
      { name: 'globex', networks: ['192.0.2.0/25'] },
    ];
  });
  const { status, body } = await scene.stack.api.post('/v1/config/reload');
  t.equal(status, 422);
  t.equal(body.code, 'config_invalid');
  t.same(body.problems.map(({ path }: { path: string }) => path).sort(), [
    'carriers[0].networks[0]',
    'carriers[1].gateways',
    'colour',
    'numbers[1].number',
  ]);
  t.equal(await statusOf(scene, NUMBER), 486);
  t.equal(await statusOf(scene, OTHER_NUMBER), 404);
});

t.test("a carrier's networks and a new carrier are taken over", async (t) => {
  const scene = await sceneForReload(t);
  const { api } = scene.stack;
  scene.retell.onInvite = (call) => call.refuse(486);
  await rewrite(scene.stack, (config: Record<string, unknown>) => {
    config.carriers = [
      {
        name: 'globex',
        networks: [CARRIER_HOST, '2001:db8:1::/48', '2001:DB8:2::1'],
        gateways: [{ uri: 'sip:192.0.2.10' }],
        prefixes: ['+44'],
        probe: false,
        digest: { username: 'user', password: 'with:colon-and-\\' },
      },
    ];
  });
  t.match((await api.post('/v1/config/reload')).body, {
    outcome: 'applied',
    changes: { carriers: { added: { names: ['globex'] }, removed: { names: ['acme'] } } },
  });
  const call = dial(scene);
  t.equal((await call.finalResponse()).status, 486);
  const { body } = await eventually('the record', async () => {
    const found = await api.get(`/v1/calls/sip:${encodeURIComponent(call.callId)}`);
    return found.status === 200 && found;
  });
  t.equal(body.carrier, 'globex');
  t.same(
    (await api.get('/v1/carriers')).body.items.map(({ name }: { name: string }) => name),
    ['globex'],
  );
});

t.test('what needs a restart is named and stays as it was', async (t) => {
  const scene = await sceneForReload(t);
  scene.retell.onInvite = (call) => call.refuse(486);
  await rewrite(scene.stack, (config: Record<string, unknown>) => {
    withNumbers(OTHER_NUMBER)(config);
    config.log = { level: 'error' };
    Object.assign(config.calls as object, { ring_timeout_s: 60 });
  });
  t.match((await scene.stack.api.post('/v1/config/reload')).body, {
    outcome: 'applied',
    requires_restart: ['calls.ring_timeout_s', 'log.level'],
  });
  t.equal(await statusOf(scene, OTHER_NUMBER), 486);
});

t.test('SIGHUP reloads too', async (t) => {
  const scene = await sceneForReload(t);
  scene.retell.onInvite = (call) => call.refuse(486);
  await rewrite(scene.stack, withNumbers(OTHER_NUMBER));
  const pid = scene.stack.parts.controlPlane?.pid;
  t.ok(pid);
  process.kill(pid ?? 0, 'SIGHUP');
  await eventually('the number takes calls', async () => (await statusOf(scene, OTHER_NUMBER)) === 486);
});

t.test('a node that is dead holds the configuration when it is back', async (t) => {
  const scene = await sceneForReload(t);
  const { api, parts } = scene.stack;
  scene.retell.onInvite = (call) => call.refuse(486);
  await parts.kamailio.kill();
  await rewrite(scene.stack, withNumbers(OTHER_NUMBER));
  const { status, body } = await api.post('/v1/config/reload');
  t.equal(status, 200);
  t.match(body, { outcome: 'incomplete', nodes: [{ name: 'node1', applied: false, detail: /node1/ }] });
  await parts.kamailio.start();
  t.equal(await statusOf(scene, OTHER_NUMBER), 486);
  await eventually(
    'nothing is left to do',
    async () => (await api.post('/v1/config/reload')).body.outcome === 'applied',
  );
});

t.test('reloads while calls come in lose none of them', async (t) => {
  const scene = await sceneForReload(t);
  const { api } = scene.stack;
  scene.retell.onInvite = (call) => call.refuse(486);
  const statuses: Promise<number>[] = [];
  // Two hundred a second: so that calls are in every phase while the tables change, and CPUs are left for the reload.
  const calls = setInterval(() => statuses.push(statusOf(scene, NUMBER)), 5);
  t.teardown(() => clearInterval(calls));
  for (const change of [
    withNumbers(NUMBER, OTHER_NUMBER),
    (config: Record<string, unknown>) => {
      config.retell = {
        ...(config.retell as object),
        gateways: [
          ...(config.retell as { gateways: object[] }).gateways,
          { uri: 'sip:192.0.2.99', priority: 9 },
        ],
      };
    },
    withNumbers(NUMBER),
  ]) {
    await rewrite(scene.stack, change);
    t.equal((await api.post('/v1/config/reload')).body.outcome, 'applied');
  }
  clearInterval(calls);
  const all = await Promise.all(statuses);
  t.ok(all.length > 0);
  t.same([...new Set(all)], [486], `${all.length} calls`);
});

t.test('a reload needs the scope admin and no body', async (t) => {
  const { stack } = await sceneForReload(t);
  const forbidden = await stack.api.post('/v1/config/reload', undefined, 'reader');
  t.equal(forbidden.status, 403);
  t.match(forbidden.body, { code: 'forbidden', required_scope: 'admin' });
  t.equal((await stack.api.post('/v1/config/reload', { force: true })).status, 400);
});
