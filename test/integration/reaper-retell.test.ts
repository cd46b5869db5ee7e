import t from 'tap';
import { eventually } from '../harness/await.js';
import { byesTo, callUp, nothingDue, recordNow, startReaperScene, told } from '../harness/reaper-scene.js';
import { asked } from '../harness/register-scene.js';
import { noDialogLeft, recordOf } from '../harness/scene.js';

// Calls that have ended here and go on at Retell: it answers the BYE and forgets it.

for (const [name, by] of [
  ['an API hangup', 'api'],
  ["the carrier's BYE", 'carrier'],
] as const) {
  t.test(`after ${name} a call that goes on at Retell is stopped there, once`, async (t) => {
    const scene = await startReaperScene(t, 'on', { behaviour: { forgets_bye: true } });
    const { caller, callee, entry, record } = await callUp(scene);
    if (by === 'carrier') await caller.bye();
    else await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
    t.equal(await callee.ended, 'remote');

    await told(scene, record.id, 'retell_stopped');
    await nothingDue(scene);
    await noDialogLeft(scene.stack);
    t.equal(entry.call.call_status, 'ended');
    t.match(
      asked(scene, 'stop-call').map(({ url, status }) => [url, status]),
      [[`/v2/stop-call/${entry.call.call_id}`, 204]],
    );
    const now = await recordNow(scene, record.id);
    t.match(now, { ended_by: by, retell_stopped_at: String });
    await eventually('its end at Retell is in the record', async () => {
      return (await recordNow(scene, record.id)).retell_disconnection_reason === 'manual_stopped';
    });
    t.equal(byesTo(scene.retell, caller.callId), 1);
    t.match(
      (await scene.stack.api.get('/metrics')).body,
      'retell_proxy_zombies_ended_total{side="retell",outcome="ended"} 1',
    );
  });

  t.test(`after ${name} a call that is over at Retell too is left alone`, async (t) => {
    const scene = await startReaperScene(t, 'on');
    // Without its webhooks Retell has to be asked.
    scene.simulator.setWebhooks({ drop: ['*'] });
    const { caller, record } = await callUp(scene);
    if (by === 'carrier') await caller.bye();
    else await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
    await recordOf(scene.stack, caller.callId, 'ended');
    await nothingDue(scene);
    t.equal(asked(scene, 'get-call').length, 1);
    t.equal(asked(scene, 'stop-call').length, 0);
    t.match(await recordNow(scene, record.id), {
      retell_disconnection_reason: 'user_hangup',
      retell_stopped_at: null,
    });
  });
}

t.test('in observe it goes on, and the record says so', async (t) => {
  const scene = await startReaperScene(t, 'observe', { behaviour: { forgets_bye: true } });
  const { caller, entry, record } = await callUp(scene);
  await caller.bye();
  await told(scene, record.id, 'retell_lingers');
  await nothingDue(scene);
  t.equal(entry.call.call_status, 'ongoing');
  t.equal(asked(scene, 'stop-call').length, 0);
  t.match(
    (await scene.stack.api.get('/metrics')).body,
    'retell_proxy_zombies_found_total{side="retell",by="call_end"} 1',
  );
});

t.test('switched off, Retell is not asked', async (t) => {
  const scene = await startReaperScene(t, 'off', { behaviour: { forgets_bye: true } });
  const { caller } = await callUp(scene);
  await caller.bye();
  await recordOf(scene.stack, caller.callId, 'ended');
  await nothingDue(scene);
  t.equal(asked(scene, 'get-call').length + asked(scene, 'stop-call').length, 0);
});

t.test('a call that Retell hung up is not asked for', async (t) => {
  const scene = await startReaperScene(t, 'on');
  const { caller, entry } = await callUp(scene);
  scene.simulator.hangUp(entry, 'agent_hangup');
  t.equal(await caller.ended, 'remote');
  await recordOf(scene.stack, caller.callId, 'ended');
  await nothingDue(scene);
  t.equal(asked(scene, 'get-call').length, 0);
});

t.test('a stop-call that fails is tried again', async (t) => {
  const scene = await startReaperScene(t, 'on', { behaviour: { forgets_bye: true } });
  scene.simulator.addFault({ endpoint: 'stop-call', status: 500, times: 1 });
  const { caller, entry, record } = await callUp(scene);
  await caller.bye();
  await told(scene, record.id, 'retell_stopped');
  t.same(
    asked(scene, 'stop-call').map(({ status }) => status),
    [500, 204],
  );
  t.equal(entry.call.call_status, 'ended');
});

t.test('a stop survives a control plane that dies in between', async (t) => {
  const scene = await startReaperScene(t, 'on', {
    behaviour: { forgets_bye: true },
    grace_s: 2,
    controlPlane: 'process',
  });
  const { caller, entry, record } = await callUp(scene);
  await caller.bye();
  await eventually('it is scheduled', async () =>
    scene.stack.redis.zscore('calls:due:retell_lingers', record.id),
  );
  await scene.stack.parts.controlPlane?.kill();
  await scene.stack.parts.controlPlane?.start();
  await told(scene, record.id, 'retell_stopped');
  t.equal(entry.call.call_status, 'ended');
  t.equal(asked(scene, 'stop-call').length, 1);
});
