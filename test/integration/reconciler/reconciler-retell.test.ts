import t from 'tap';
import { eventually } from '../../harness/await.js';
import { callUp, recordNow, startReaperScene, told } from '../../harness/reaper-scene.js';
import { asked, type RegisterScene } from '../../harness/register-scene.js';
import { noDialogLeft, recordOf } from '../../harness/scene.js';

// What nobody tells of: no webhook, no work that is due. Only the comparison of all calls finds it.

const calls = { reconcile_interval_s: 5 };

/** The last run that found this call. */
async function foundIn({ stack }: RegisterScene, id: string) {
  return eventually('a run that finds the call', async () => {
    const { status, body } = await stack.api.get('/v1/reconciliation');
    if (status !== 200) return undefined;
    return body.findings.find(({ call_id }: { call_id: string }) => call_id === id);
  });
}

t.test('a call that Retell has ended, and tells nobody of, is hung up', async (t) => {
  const scene = await startReaperScene(t, 'on', { behaviour: { omits_bye: true }, calls });
  const { caller, callee, entry, record } = await callUp(scene);
  await told(scene, record.id, 'retell_call_started');
  scene.simulator.setWebhooks({ drop: ['*'] });
  scene.simulator.hangUp(entry, 'agent_hangup');

  t.equal(await caller.ended, 'remote');
  t.equal(await callee.ended, 'remote');
  t.match(await foundIn(scene, record.id), { kind: 'retell_over', action: 'healed', node: 'node1' });
  t.match(await recordOf(scene.stack, caller.callId, 'ended'), {
    ended_by: 'reaper',
    retell_disconnection_reason: 'agent_hangup',
  });
  await noDialogLeft(scene.stack);
  const { body } = await scene.stack.api.get('/metrics');
  t.match(body, 'retell_proxy_zombies_found_total{side="here",by="reconciler"} 1');
  t.match(body, 'retell_proxy_reconciliation_findings_total{kind="retell_over",action="healed"} 1');
});

t.test('a call that goes on at Retell, and that is due nowhere, is stopped', async (t) => {
  const scene = await startReaperScene(t, 'on', { behaviour: { forgets_bye: true }, grace_s: 5, calls });
  const { caller, entry, record } = await callUp(scene);
  await caller.bye();
  await recordOf(scene.stack, caller.callId, 'ended');
  await eventually('it is due', () => scene.stack.redis.zrem('calls:due:retell_lingers', record.id));

  t.match(await foundIn(scene, record.id), { kind: 'retell_lingers', action: 'healed' });
  t.equal(entry.call.call_status, 'ended');
  t.equal(asked(scene, 'stop-call').length, 1);
  t.match(await recordNow(scene, record.id), { ended_by: 'carrier', retell_stopped_at: String });
});

t.test('calls that are up on both sides, and those of others, are left alone', async (t) => {
  const scene = await startReaperScene(t, 'on', { calls });
  const { caller } = await callUp(scene);
  const others = { agent_id: 'agent_of_others', from_number: '+14155550124', to_number: '+14155550188' };
  scene.simulator.calls.connected(scene.simulator.calls.create({ ...others, direction: 'inbound' }));
  const run = await eventually('a run', async () => {
    const { status, body } = await scene.stack.api.get('/v1/reconciliation');
    return status === 200 && body;
  });
  t.match(run, { retell: { ongoing: 2, ours: 1, skipped: null, error: null }, total: 0 });
  t.equal(asked(scene, 'get-call').length, 0);
  await caller.bye();
});
