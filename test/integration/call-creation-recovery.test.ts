import t from 'tap';
import { eventually } from '../harness/await.js';
import {
  atRetell,
  create,
  DIGEST,
  holdDialling,
  inState,
  lookNow,
  newKey,
  startCreationScene,
} from '../harness/creating.js';
import { asked } from '../harness/register-scene.js';
import { recordOf } from '../harness/scene.js';

t.test('calls that Retell is asked for, by a control plane that dies, through two nodes', async (t) => {
  const scene = await startCreationScene(t, { controlPlane: 'process', nodes: 2 });
  const { stack, simulator } = scene;
  const { controlPlane } = stack.parts;

  await t.test('killed while it waits for Retell: the key leads to the one call', async (t) => {
    simulator.addFault({ endpoint: 'create-phone-call', delay_ms: 60_000, times: 1 });
    const key = newKey();
    const cut = create(scene, {}, key).catch(() => 'cut');
    const entry = await eventually('Retell dials', () => simulator.calls.all().find(({ sip }) => sip));
    await controlPlane?.kill();
    t.equal(await cut, 'cut');
    await controlPlane?.start();
    const again = await create(scene, {}, key);
    const id = String(entry.call.metadata?.call_ref);
    t.match(again, { status: 200, headers: { 'idempotent-replayed': 'true' }, body: { id } });
    t.match(await inState(scene, id, 'answered'), { sip_call_id: entry.sip?.callId });
    t.equal(asked(scene, 'create-phone-call').length, 1);
    await stack.api.post(`/v1/calls/${id}/hangup`);
    await inState(scene, id, 'ended');
  });

  await t.test('killed, and the call never comes: its record ends all the same', async (t) => {
    holdDialling(t, scene);
    const { body } = await create(scene);
    await controlPlane?.kill();
    const [entry] = atRetell(scene, body.id);
    if (entry) simulator.calls.ended(entry, 'dial_failed');
    await lookNow(scene, body.id);
    await controlPlane?.start();
    t.match(await inState(scene, body.id, 'ended'), { reason: 'retell ended it: dial_failed' });
  });

  await t.test('once it has come to one node, the other takes its id for no call either', async (t) => {
    const { body } = await create(scene);
    await inState(scene, body.id, 'answered');
    const [, node2] = stack.nodes;
    const expects = async () =>
      (await node2?.rpc.call('htable.get', ['created', body.id]).catch(() => undefined)) !== undefined;
    await eventually('the other node has forgotten it', async () => !(await expects()));
    const { udp } = simulator.sip;
    const replay = udp.invite({
      to: `sip:+14155550177@${node2?.sip.host}:${node2?.sip.port}`,
      from: udp.uri('+14155550100'),
      via: { host: node2?.sip.host ?? '', port: node2?.sip.port ?? 0, transport: 'udp' },
      headers: [['X-Call-Ref', body.id]],
      digest: DIGEST,
    });
    await replay.answered();
    const own = await recordOf(stack, replay.callId, 'answered');
    t.not(own.id, body.id);
    t.equal(own.node, 'node2');
    await replay.bye();
    await stack.api.post(`/v1/calls/${body.id}/hangup`);
    await inState(scene, body.id, 'ended');
  });

  await t.test('a node that is down is done without, all of them are not', async (t) => {
    const [node1, node2] = stack.nodes;
    await node2?.part.stop();
    const { status, body } = await create(scene);
    t.equal(status, 201);
    await inState(scene, body.id, 'answered');
    await stack.api.post(`/v1/calls/${body.id}/hangup`);
    await inState(scene, body.id, 'ended');

    await node1.part.stop();
    const before = asked(scene, 'create-phone-call').length;
    const refused = await create(scene);
    t.match(refused, { status: 503, body: { code: 'node_unavailable', call_id: String } });
    t.match(await inState(scene, refused.body.call_id, 'ended'), { reason: 'no node could be told' });
    t.equal(asked(scene, 'create-phone-call').length, before, 'Retell was not asked');
  });
});
