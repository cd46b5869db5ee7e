import t, { type Test } from 'tap';
import { hangUp, inboundBurst, limitedScene } from '../harness/bursts.js';
import { answering } from '../harness/outbound.js';
import { noDialogLeft, recordOf, type Scene } from '../harness/scene.js';

const FIVE = { concurrent_calls: 5 };

/** Five calls of a burst get up. */
async function fiveUp(t: Test, scene: Scene) {
  answering(scene.retell);
  const { up, refused } = await inboundBurst(scene, 20);
  t.equal(up.length, 5);
  t.equal(refused.length, 15);
  return up;
}

t.test('a control plane that is killed leaves no place taken', async (t) => {
  const scene = await limitedScene(t, FIVE, { controlPlane: 'process' });
  const before = await fiveUp(t, scene);
  await scene.stack.parts.controlPlane?.kill();
  await hangUp(before);
  const meanwhile = await fiveUp(t, scene);
  await scene.stack.parts.controlPlane?.start();
  await Promise.all(before.map(({ callId }) => recordOf(scene.stack, callId, 'ended')));
  for (const { callId } of meanwhile) {
    const { id } = await recordOf(scene.stack, callId, 'answered');
    t.equal((await scene.stack.api.post(`/v1/calls/${id}/hangup`)).body.outcome, 'ended');
  }
  await hangUp(await fiveUp(t, scene));
  await noDialogLeft(scene.stack);
});

t.test('a Kamailio that is killed leaves no place taken, and the calls that were up can end', async (t) => {
  const scene = await limitedScene(t, FIVE);
  const before = await fiveUp(t, scene);
  await Promise.all(before.map(({ callId }) => recordOf(scene.stack, callId, 'answered')));
  await scene.stack.parts.kamailio.kill();
  await scene.stack.parts.kamailio.start();
  const after = await fiveUp(t, scene);
  await hangUp(before);
  for (const { callId } of before)
    t.equal((await recordOf(scene.stack, callId, 'ended')).ended_by, 'carrier');
  t.equal(await scene.stack.rpc.call('dlg.profile_get_size', ['carrier', 'acme']), 5);
  await hangUp(after);
  await hangUp(await fiveUp(t, scene));
  await noDialogLeft(scene.stack);
});
