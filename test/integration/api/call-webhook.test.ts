import t from 'tap';
import { eventually } from '../../harness/await.js';
import { callUp, recordNow } from '../../harness/reaper-scene.js';
import { startRegisterScene } from '../../harness/register-scene.js';
import { recordOf } from '../../harness/scene.js';

// What Retell's webhooks about calls tell goes into the records of calls whose id at Retell nobody has told before.

for (const headerNames of ['prefixed', 'stripped'] as const) {
  t.test(
    `a call by trunk gets Retell's id and its end from webhooks, header names ${headerNames}`,
    async (t) => {
      const scene = await startRegisterScene(t, { method: 'trunk', simulator: { headerNames } });
      scene.simulator.setWebhooks({ url: `${scene.stack.api.url}/webhooks/retell`, retries: 0 });
      const { caller, entry, record } = await callUp(scene);
      const retellCallId = entry.call.call_id;
      const started = await eventually('the record is found by the id of Retell', async () => {
        const { status, body } = await scene.stack.api.get(`/v1/calls/retell:${retellCallId}`);
        return status === 200 && body;
      });
      t.match(started, {
        id: record.id,
        state: 'answered',
        retell_call_id: retellCallId,
        agent_id: entry.call.agent_id,
        retell_ended_at: null,
      });

      scene.simulator.hangUp(entry, 'agent_hangup');
      t.equal(await caller.ended, 'remote');
      await recordOf(scene.stack, caller.callId, 'ended');
      const ended = await eventually('all three webhooks are in the record', async () => {
        const now = await recordNow(scene, record.id);
        const types = now.timeline.map(({ type }: { type: string }) => type);
        return types.filter((type: string) => type.startsWith('retell_call_')).length === 3 && now;
      });
      t.match(ended, {
        ended_by: 'retell',
        retell_disconnection_reason: 'agent_hangup',
        retell_ended_at: new Date(entry.call.end_timestamp ?? 0).toISOString(),
        retell_stopped_at: null,
      });
      await eventually('every webhook is answered', () => scene.simulator.webhooks.pending === 0);
      t.same(
        scene.simulator.webhooks.deliveries.items.map(({ event, status }) => `${event} ${status}`).sort(),
        ['call_analyzed 204', 'call_ended 204', 'call_started 204'],
      );
      const metrics = (await scene.stack.api.get('/metrics')).body;
      t.match(metrics, /retell_proxy_webhook_seconds_count\{outcome="stored"\} 3/);
      t.match(metrics, /retell_proxy_call_webhooks_total\{event="call_ended",outcome="written"\} 1/);
    },
  );
}

t.test('of two calls to one number each gets its own id', async (t) => {
  const scene = await startRegisterScene(t, { method: 'trunk' });
  scene.simulator.setWebhooks({ url: `${scene.stack.api.url}/webhooks/retell`, retries: 0 });
  const [one, two] = [await callUp(scene), await callUp(scene)];
  const ids = await eventually('both records have an id', async () => {
    const records = await Promise.all([one, two].map(({ record }) => recordNow(scene, record.id)));
    const found = records.map(({ retell_call_id }) => retell_call_id);
    return found.every((id) => id !== null) && found;
  });
  for (const [i, { caller }] of [one, two].entries()) {
    const entry = scene.simulator.calls.get(ids[i]);
    t.equal(entry?.sip?.callId, caller.callId);
  }
});
