import t from 'tap';
import { eventually } from '../../harness/await.js';
import { byesTo, callUp, nothingDue, recordNow, startReaperScene, told } from '../../harness/reaper-scene.js';
import { dial, noDialogLeft, recordOf } from '../../harness/scene.js';

// Calls that Retell ended and that are still up here: Retell forgets its BYE and sends the webhook of the end.

for (const [name, webhooks] of [
  ['once', {}],
  ['three times', { duplicates: 2 }],
  ['in the wrong order', { shuffle_within_ms: 100 }],
] as const) {
  t.test(`a call that Retell ended without a BYE is hung up, the webhook sent ${name}`, async (t) => {
    const scene = await startReaperScene(t, 'on', { behaviour: { omits_bye: true } });
    scene.simulator.setWebhooks(webhooks);
    const { caller, callee, entry, record } = await callUp(scene);
    scene.simulator.hangUp(entry, 'agent_hangup');

    t.equal(await caller.ended, 'remote');
    t.equal(await callee.ended, 'remote');
    const ended = await recordOf(scene.stack, caller.callId, 'ended');
    t.match(ended, {
      id: record.id,
      ended_by: 'reaper',
      retell_call_id: entry.call.call_id,
      retell_disconnection_reason: 'agent_hangup',
    });
    await eventually('every webhook is delivered', () => scene.simulator.webhooks.pending === 0);
    await nothingDue(scene);
    await noDialogLeft(scene.stack);
    t.equal(byesTo(scene.carrier, caller.callId), 1);
    t.equal(byesTo(scene.retell, caller.callId), 1);
    const types = await told(scene, record.id, 'dialog_lingers');
    for (const type of ['retell_call_started', 'retell_call_ended', 'retell_call_analyzed', 'dialog_lingers'])
      t.equal(types.filter((each) => each === type).length, 1, type);
    const metrics = (await scene.stack.api.get('/metrics')).body;
    t.match(metrics, 'retell_proxy_zombies_found_total{side="here",by="webhook"} 1');
    t.match(metrics, 'retell_proxy_zombies_ended_total{side="here",outcome="ended"} 1');
  });
}

t.test('in observe nothing is sent, and the record says what would have been done', async (t) => {
  const scene = await startReaperScene(t, 'observe', { behaviour: { omits_bye: true } });
  const { caller, entry, record } = await callUp(scene);
  scene.simulator.hangUp(entry, 'agent_hangup');
  await told(scene, record.id, 'dialog_lingers');
  await nothingDue(scene);
  const now = await recordNow(scene, record.id);
  t.match(now, { state: 'answered', retell_disconnection_reason: 'agent_hangup' });
  t.match(
    now.timeline.find(({ type }: { type: string }) => type === 'dialog_lingers'),
    { by: 'webhook', mode: 'observe' },
  );
  t.equal(byesTo(scene.carrier, caller.callId), 0);
  t.equal(byesTo(scene.retell, caller.callId), 0);
  t.match(
    (await scene.stack.api.get('/metrics')).body,
    'retell_proxy_zombies_ended_total{side="here",outcome="observed"} 1',
  );
  t.match(await scene.stack.api.post(`/v1/calls/${record.id}/hangup`), { body: { outcome: 'ended' } });
});

t.test('switched off, nobody looks', async (t) => {
  const scene = await startReaperScene(t, 'off', { behaviour: { omits_bye: true } });
  const { caller, entry, record } = await callUp(scene);
  scene.simulator.hangUp(entry, 'agent_hangup');
  await told(scene, record.id, 'retell_call_ended');
  await nothingDue(scene);
  t.equal((await recordNow(scene, record.id)).state, 'answered');
  t.equal(byesTo(scene.carrier, caller.callId), 0);
  await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
});

t.test('the grace time lets Retell send its BYE: the call is not touched', async (t) => {
  const scene = await startReaperScene(t, 'on', { grace_s: 3600 });
  const { caller, entry, record } = await callUp(scene);
  scene.simulator.hangUp(entry, 'agent_hangup');
  t.equal(await caller.ended, 'remote');
  const ended = await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(ended.ended_by, 'retell');
  await told(scene, record.id, 'retell_call_ended');
  t.equal(byesTo(scene.retell, caller.callId), 0);
});

t.test('a call that Retell transferred and left goes on', async (t) => {
  const scene = await startReaperScene(t, 'on', { behaviour: { omits_bye: true } });
  const { caller, entry, record } = await callUp(scene);
  scene.simulator.hangUp(entry, 'call_transfer');
  await told(scene, record.id, 'retell_call_ended');
  await nothingDue(scene);
  t.match(await recordNow(scene, record.id), {
    state: 'answered',
    retell_disconnection_reason: 'call_transfer',
  });
  t.equal(byesTo(scene.carrier, caller.callId), 0);
  await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
});

for (const answers of [true, false]) {
  t.test(`an end that comes before the 200, which ${answers ? 'follows' : 'never comes'}`, async (t) => {
    const scene = await startReaperScene(t, 'on', {
      // Where the 200 is to come, nobody looks before it.
      grace_s: answers ? 1 : 0,
    });
    const other = await callUp(scene);
    scene.simulator.setNumber('*', { omits_bye: true, answer_after_ms: answers ? 300 : null });
    const caller = dial(scene);
    await caller.response(180);
    const [entry] = scene.simulator.calls.all().filter(({ call }) => call.call_status === 'registered');
    if (entry === undefined) throw new Error('Retell has no call that rings');
    scene.simulator.hangUp(entry, 'error_unknown');
    if (answers) {
      await caller.answered();
      t.equal(await caller.ended, 'remote');
      t.equal(await scene.atRetell.at(-1)?.ended, 'remote');
      t.equal(byesTo(scene.carrier, caller.callId), 1);
      t.equal(byesTo(scene.retell, caller.callId), 1);
    } else {
      t.ok((await caller.finalResponse()).status >= 400);
      t.equal(byesTo(scene.carrier, caller.callId), 0);
    }
    const ended = await recordOf(scene.stack, caller.callId, 'ended');
    t.match(ended, { ended_by: 'reaper', retell_call_id: entry.call.call_id });
    await nothingDue(scene);
    t.equal((await recordNow(scene, other.record.id)).state, 'answered', 'the other call is up');
    t.match(await scene.stack.api.post(`/v1/calls/${other.record.id}/hangup`), {
      body: { outcome: 'ended' },
    });
    await noDialogLeft(scene.stack);
  });
}
