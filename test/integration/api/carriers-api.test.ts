import t from 'tap';
import { eventually } from '../../harness/await.js';
import {
  dial,
  dialOut,
  establish,
  noDialogLeft,
  type Scene,
  startPeer,
  startScene,
} from '../../harness/scene.js';
import type { SipPeer } from '../../harness/sip-peer.js';
import { CARRIER_HOST, RETELL_HOST, type TestLike } from '../../harness/stack.js';

/** A carrier that takes every destination, at the scripted carrier. */
async function sceneWithCarrier(t: TestLike): Promise<Scene & { gateway: string }> {
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      carriers: [
        {
          name: 'acme',
          networks: [CARRIER_HOST],
          gateways: [{ uri: `sip:${carrier.host}:${carrier.port}` }],
          prefixes: ['+'],
          limits: { concurrent_calls: 10 },
        },
      ],
    }),
  });
  return { ...scene, gateway: `sip:${scene.carrier.host}:${scene.carrier.port}` };
}

function answering(peer: SipPeer): void {
  peer.onInvite = (call) => {
    call.ring();
    call.answer();
  };
}

const pathOf = (owner: string, gateway: string) => `/v1/${owner}/gateways/${encodeURIComponent(gateway)}`;

t.test('a carrier shows its gateways, and the calls that are up', async (t) => {
  const scene = await sceneWithCarrier(t);
  const { api } = scene.stack;
  const { caller } = await establish(scene);
  const { status, body } = await api.get('/v1/carriers', 'reader');
  t.equal(status, 200);
  t.match(body.items, [
    {
      name: 'acme',
      drained: false,
      calls: 1,
      limits: { concurrent_calls: 10, calls_per_second: null },
      prefixes: ['+'],
      registration: null,
      gateways: [{ uri: scene.gateway, state: 'up', calls: 0, weight: 1, priority: 1 }],
      nodes: { node1: { calls: 1, drained: false, registered: null } },
    },
  ]);
  t.same((await api.get('/v1/carriers/acme')).body, body.items[0]);
  t.match((await api.get('/v1/retell')).body, {
    calls: 1,
    concurrency: null,
    gateways: [{ uri: `sip:${RETELL_HOST}:${scene.retell.port};transport=udp`, state: 'up', calls: 1 }],
  });
  await caller.bye();
  await noDialogLeft(scene.stack);
  await eventually('no call is counted', async () => (await api.get('/v1/carriers/acme')).body.calls === 0);
});

t.test('a drained carrier gets no new calls either way, and keeps the one that is up', async (t) => {
  const scene = await sceneWithCarrier(t);
  const { api } = scene.stack;
  const { caller, callee } = await establish(scene);
  const drained = await api.post('/v1/carriers/acme/drain');
  t.equal(drained.status, 200);
  t.match(drained.body, { name: 'acme', drained: true, nodes: { node1: { drained: true } } });

  const inbound = await dial(scene).finalResponse();
  t.equal(inbound.status, 503);
  t.ok(inbound.get('retry-after'));
  t.equal((await dialOut(scene).finalResponse()).status, 503);
  t.equal((await callee.request('INFO')).status, 200, 'the call that is up goes on');

  t.match((await api.post('/v1/carriers/acme/resume')).body, { drained: false });
  answering(scene.retell);
  await dial(scene).answered();
  answering(scene.carrier);
  await dialOut(scene).answered();
  t.equal((await caller.bye()).status, 200);
});

t.test('a drained gateway of Retell is left out, and all of them drained is a 503', async (t) => {
  const second = await startPeer(t, { host: RETELL_HOST });
  const scene = await startScene(t, {
    gateways: (first) => [
      { uri: `sip:${RETELL_HOST}:${first.port}`, priority: 1 },
      { uri: `sip:${RETELL_HOST}:${second.port}`, priority: 2 },
    ],
  });
  const { api } = scene.stack;
  scene.retell.onInvite = (call) => call.refuse(486);
  second.onInvite = (call) => call.refuse(603);
  t.equal((await dial(scene).finalResponse()).status, 486);

  const path = pathOf('retell', `sip:${RETELL_HOST}:${scene.retell.port}`);
  t.match((await api.post(`${path}/drain`)).body.gateways, [{ state: 'drained' }, { state: 'up' }]);
  t.equal((await dial(scene).finalResponse()).status, 603);
  await api.post(`${pathOf('retell', `sip:${RETELL_HOST}:${second.port}`)}/drain`);
  t.equal((await dial(scene).finalResponse()).status, 503);
  await api.post(`${path}/resume`);
  t.equal((await dial(scene).finalResponse()).status, 486);
});

t.test("a carrier's only gateway drained refuses outbound calls, and takes inbound ones", async (t) => {
  const scene = await sceneWithCarrier(t);
  const { api } = scene.stack;
  const path = pathOf('carriers/acme', scene.gateway);
  t.match((await api.post(`${path}/drain`)).body, { drained: false, gateways: [{ state: 'drained' }] });
  t.equal((await dialOut(scene).finalResponse()).status, 503);
  const { caller } = await establish(scene);
  t.equal((await caller.bye()).status, 200);
  t.match((await api.post(`${path}/resume`)).body, { gateways: [{ state: 'up' }] });
});

t.test('what is drained is so again after Kamailio was killed, and a dead node is null', async (t) => {
  const scene = await sceneWithCarrier(t);
  const { api, parts } = scene.stack;
  await api.post('/v1/carriers/acme/drain');
  await parts.kamailio.kill();
  t.match((await api.get('/v1/carriers/acme')).body, {
    drained: true,
    calls: null,
    nodes: { node1: null },
    gateways: [{ calls: null, latency_ms: null, nodes: { node1: null } }],
  });
  t.equal((await api.post(`${pathOf('carriers/acme', scene.gateway)}/drain`)).status, 200);
  await parts.kamailio.start();
  await eventually(
    'the node is drained again',
    async () => (await api.get('/v1/carriers/acme')).body.nodes.node1?.drained,
  );
  t.equal((await dial(scene).finalResponse()).status, 503);
});

t.test('unknown names, missing scopes and bodies are refused', async (t) => {
  const scene = await sceneWithCarrier(t);
  const { api } = scene.stack;
  const own = encodeURIComponent(scene.gateway);
  const cases = [
    [await api.get('/v1/carriers/nobody'), 404, 'carrier_not_found'],
    [await api.post('/v1/carriers/nobody/drain'), 404, 'carrier_not_found'],
    [await api.post(`/v1/carriers/nobody/gateways/${own}/drain`), 404, 'carrier_not_found'],
    [await api.post('/v1/carriers/acme/gateways/sip:192.0.2.99/drain'), 404, 'gateway_not_found'],
    [await api.post(`/v1/retell/gateways/${own}/resume`), 404, 'gateway_not_found'],
    [await api.post('/v1/carriers/acme/drain', { soon: true }), 400, 'validation_failed'],
    [await api.post('/v1/carriers/acme/drain', undefined, 'reader'), 403, 'forbidden'],
    [await api.post(`/v1/retell/gateways/${own}/drain`, undefined, 'reader'), 403, 'forbidden'],
    [await api.get('/v1/carriers', 'none'), 401, 'unauthorized'],
    [await api.get('/v1/retell', 'none'), 401, 'unauthorized'],
  ] as const;
  for (const [{ status, body }, wanted, code] of cases) {
    t.equal(status, wanted, code);
    t.equal(body.code, code);
  }
  t.equal((await api.get('/v1/carriers/acme')).body.drained, false);
});
