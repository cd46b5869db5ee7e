import t, { type Test } from 'tap';
import { age, type ReconcilingOptions, reconciling } from '../../harness/reconciling.js';
import { establish, noDialogLeft, recordOf, startScene } from '../../harness/scene.js';

/** A call that has ended by its record, long ago, and whose dialog is up. */
async function zombie(t: Test, options: ReconcilingOptions) {
  const scene = await startScene(t);
  const call = await establish(scene);
  const { id } = call.record;
  const parts = await reconciling(t, scene.stack, options);
  const now = Date.now();
  await parts.store.merge([{ id, atMs: now, fields: { ended_at: String(now), ended_by: 'retell' } }]);
  return { ...scene, ...call, ...parts, id, bury: () => age(scene.stack, id, 30_000, ['ended_at']) };
}

t.test('a dialog that outlives its record is left alone for a while', async (t) => {
  const { run, zombies, carrier } = await zombie(t, { mode: 'on' });
  const result = await run();
  t.match(result.nodes, [{ drift: 1, compared: true }]);
  t.equal(result.total, 0);
  t.same(zombies, []);
  t.equal(carrier.count('BYE'), 0);
});

t.test(
  'where zombies are observed, one is told of in each run, counted as found once, and not ended',
  async (t) => {
    const { run, zombies, findingOf, id, bury, carrier, stack, caller } = await zombie(t, {
      mode: 'observe',
    });
    await bury();
    t.match(findingOf(await run(), id), { kind: 'zombie', action: 'observed', node: 'node1' });
    t.match(findingOf(await run(), id), { kind: 'zombie', action: 'observed' });
    t.same(
      zombies.filter((told) => told.startsWith('found')),
      ['found here by reconciler'],
    );
    const { timeline } = await recordOf(stack, caller.callId, 'ended');
    t.equal(timeline.filter(({ type }: { type: string }) => type === 'zombie_found').length, 1);
    t.equal(carrier.count('BYE'), 0);
  },
);

t.test('where zombies are ended, each leg gets a BYE, and the dialog is gone', async (t) => {
  const { run, zombies, findingOf, id, bury, caller, callee, stack } = await zombie(t, { mode: 'on' });
  await bury();
  t.match(findingOf(await run(), id), { kind: 'zombie', action: 'healed' });
  t.match((await caller.next('BYE')).message.get('reason'), 'the call had ended');
  t.match((await callee.next('BYE')).message.get('reason'), 'the call had ended');
  t.same(zombies, ['found here by reconciler', 'ended here']);
  const record = await recordOf(stack, caller.callId, 'ended');
  t.equal(record.ended_by, 'retell', 'the record keeps who ended the call');
  await noDialogLeft(stack);
  t.equal((await run()).total, 0);
});

t.test('a zombie with a leg that does not answer its BYE is no success', async (t) => {
  const { run, zombies, findingOf, id, bury, callee, stack } = await zombie(t, { mode: 'on' });
  callee.on('BYE', () => {});
  await bury();
  t.match(findingOf(await run(), id), { kind: 'zombie', action: 'failed' });
  t.same(zombies, ['found here by reconciler', 'failed here']);
  await noDialogLeft(stack);
});

t.test('where zombies are off, one is reported and not ended', async (t) => {
  const { run, zombies, findingOf, id, bury, carrier } = await zombie(t, { mode: 'off' });
  await bury();
  t.match(findingOf(await run(), id), { kind: 'zombie', action: 'reported' });
  t.same(zombies, ['found here by reconciler']);
  t.equal(carrier.count('BYE'), 0);
});
