import t from 'tap';
import { eventually } from '../harness/await.js';
import { age, reconciling } from '../harness/reconciling.js';
import { establish, recordOf, startScene } from '../harness/scene.js';

t.test('of two replicas one runs, and the other one goes on where that stops', async (t) => {
  const { stack } = await startScene(t);
  const one = await reconciling(t, stack, { replica: 'one' });
  const other = await reconciling(t, stack, { replica: 'other' });
  await Promise.all([one.reconciler.run(), other.reconciler.run()]);
  t.same([...one.outcomes, ...other.outcomes].sort(), ['complete', 'elsewhere']);
  const [first, second] = one.outcomes[0] === 'complete' ? [one, other] : [other, one];
  t.ok(await first.reconciler.run(), 'it stays with one');
  t.equal(await second.reconciler.run(), undefined);
  await first.reconciler.stop();
  t.ok(await second.reconciler.run());
});

t.test('the lease of a replica that dies passes to another', async (t) => {
  const { stack } = await startScene(t);
  const one = await reconciling(t, stack, { replica: 'one' });
  const other = await reconciling(t, stack, { replica: 'other' });
  await one.run();
  t.equal(await other.reconciler.run(), undefined);
  const ms = await stack.redis.pttl('lock:reconciler');
  t.ok(ms > 0, 'it ends by itself');
  await stack.redis.pexpire('lock:reconciler', 1);
  const result = await eventually('the other one runs', () => other.reconciler.run());
  t.equal(result.replica, 'other');
});

t.test('every replica answers with what the last run found, and 404 before the first', async (t) => {
  const { stack } = await startScene(t);
  const none = await stack.api.get('/v1/reconciliation');
  t.equal(none.status, 404);
  t.equal(none.body.code, 'not_reconciled_yet');
  const { run } = await reconciling(t, stack, { replica: 'another' });
  const { started_at, finished_at } = await run();
  const { status, body } = await stack.api.get('/v1/reconciliation', 'reader');
  t.equal(status, 200);
  t.match(body, {
    started_at: new Date(started_at).toISOString(),
    finished_at: new Date(finished_at).toISOString(),
    replica: 'another',
    nodes: [{ node: 'node1', dialogs: 0, records: 0, drift: 0, error: null }],
    total: 0,
    counts: [],
    findings: [],
  });
  t.equal((await stack.api.get('/v1/reconciliation', 'nobody')).status, 401);
});

t.test('a control plane runs by itself, and its metrics tell of it', async (t) => {
  const { stack } = await startScene(t, { config: { calls: { reconcile_interval_s: 5 } } });
  const { body } = await eventually('a run', async () => {
    const reply = await stack.api.get('/v1/reconciliation');
    return reply.status === 200 ? reply : undefined;
  });
  t.match(body, { nodes: [{ node: 'node1', drift: 0 }] });
  const { body: metrics } = await stack.api.get('/metrics');
  t.match(metrics, 'retell_proxy_reconciliation_runs_total{outcome="complete"} 1');
  t.match(metrics, 'retell_proxy_reconciliation_drift{node="node1"} 0');
  t.match(metrics, /reconciliation_last_run_timestamp_seconds 1[\d.]+/);
});

t.test('a node that hangs is told of, and nothing of it is healed', async (t) => {
  const scene = await startScene(t);
  const { stack } = scene;
  const { record, caller } = await establish(scene);
  await age(stack, record.id, 20_000, ['created_at', 'answered_at']);
  const group = stack.parts.kamailio.pid ?? 0;
  process.kill(-group, 'SIGSTOP');
  t.teardown(() => process.kill(-group, 'SIGCONT'));
  const { run, outcomes } = await reconciling(t, stack);
  const result = await run();
  t.match(result, {
    nodes: [{ node: 'node1', dialogs: null, drift: null, compared: false, records: 1 }],
    total: 0,
  });
  t.match(result.nodes[0]?.error, 'no answer');
  t.same(outcomes, ['incomplete']);
  process.kill(-group, 'SIGCONT');
  t.equal((await recordOf(stack, caller.callId, 'answered')).ended_at, null);
});

t.test('a node that hangs keeps no other node from being compared and healed', async (t) => {
  const scene = await startScene(t, { nodes: 2 });
  const { stack } = scene;
  const [node1, node2] = stack.nodes;
  if (node2 === undefined) throw new Error('there is one node only');
  const { caller, record } = await establish({ ...scene, stack: { ...stack, sip: node2.sip } });
  await stack.redis.flushall();
  const group = node1.part.pid ?? 0;
  process.kill(-group, 'SIGSTOP');
  t.teardown(() => process.kill(-group, 'SIGCONT'));
  const { run, findingOf } = await reconciling(t, stack);
  const result = await run();
  t.match(result.nodes, [
    { node: 'node1', dialogs: null },
    { node: 'node2', dialogs: 1, drift: 1, error: null },
  ]);
  t.match(findingOf(result, record.id), { kind: 'unrecorded', node: 'node2', action: 'healed' });
  t.equal((await recordOf(stack, caller.callId, 'answered')).node, 'node2');
});

t.test('while events wait to be written nothing is judged by what the records do not say', async (t) => {
  const { stack, ...scene } = await startScene(t, { controlPlane: 'process' });
  const { record, caller } = await establish({ stack, ...scene });
  await age(stack, record.id, -15_000, ['answered_at']);
  await stack.redis.zincrby('calls:open', -35_000, record.id);
  await stack.parts.controlPlane?.kill();
  await caller.bye();
  const { run } = await reconciling(t, stack);
  const result = await run();
  t.match(result, { nodes: [{ drift: -1, error: 'its events are not all written yet' }], total: 0 });
  await stack.parts.controlPlane?.start();
  const ended = await recordOf(stack, caller.callId, 'ended');
  t.equal(ended.ended_by, 'carrier', 'the event has the word');
  t.equal((await run()).total, 0);
});

t.test('where Redis is away the run fails, and the next one does not', async (t) => {
  const { stack } = await startScene(t);
  const { reconciler, outcomes } = await reconciling(t, stack);
  await stack.parts.redis.stop();
  t.equal(await reconciler.run(), undefined);
  await stack.parts.redis.start();
  await eventually('a run', () => reconciler.run());
  t.same([outcomes[0], outcomes.at(-1)], ['failed', 'complete']);
});
