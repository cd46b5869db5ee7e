import t, { type Test } from 'tap';
import { OpenRecords } from '../../../control-plane/src/calls/open-records.js';
import { Findings } from '../../../control-plane/src/calls/reconciler/findings.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { connectRedis } from '../../../control-plane/src/redis.js';
import type { RetellCall } from '../../../control-plane/src/retell/api.js';
import { RetellError } from '../../../control-plane/src/retell/errors.js';
import type { ReapOutcome } from '../../../control-plane/src/retell/reaper.js';
import { RetellReconciler } from '../../../control-plane/src/retell/reconciler.js';
import { startRedis } from '../retell-fixture.js';

const NUMBER = '+14155550100';
const MINUTE = 60_000;

interface Options {
  configured?: boolean;
  outcome?: ReapOutcome | Error;
  listed?: () => RetellCall[];
}

/** A reconciler of records in a Redis of its own with what Retell lists, and a reaper that only tells what it is asked. */
async function retellOf(t: Test, { configured = true, outcome = 'ended', listed }: Options = {}) {
  const { url } = await startRedis(t);
  const redis = connectRedis(url, () => {});
  t.teardown(() => redis.disconnect());
  await redis.connect();
  const store = new CallStore(redis, 3600);
  const ongoing: RetellCall[] = [];
  const asked: string[] = [];
  const answer = async (what: string) => {
    asked.push(what);
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  const reconciler = new RetellReconciler({
    configured: () => configured,
    api: { listOngoingCalls: async () => (listed ?? (() => ongoing))() },
    store,
    records: new OpenRecords(redis),
    reaper: {
      checkRetell: (id, by) => answer(`retell ${id} ${by}`),
      checkHere: (id, by) => answer(`here ${id} ${by}`),
    },
    graceMs: () => 10_000,
  });
  return {
    redis,
    store,
    asked,
    /** A call that was answered a while ago, with other fields where wanted. */
    record: async (id: string, fields: Record<string, string | number> = {}) => {
      const atMs = Date.now() - 2 * MINUTE;
      const all = {
        direction: 'inbound',
        node: 'node1',
        number: NUMBER,
        created_at: atMs,
        answered_at: atMs + 5000,
        ...fields,
      };
      const entries = Object.entries(all).map(([name, value]) => [name, String(value)]);
      await store.merge([{ id, atMs, fields: Object.fromEntries(entries) }]);
    },
    list: (call_id: string, more: Partial<RetellCall> = {}) =>
      ongoing.push({ call_id, call_status: 'ongoing', to_number: NUMBER, ...more }),
    run: async () => {
      const findings = new Findings();
      const report = await reconciler.run(findings, new AbortController().signal);
      return { report, findings: findings.listed };
    },
  };
}

const withRef = (ref: string) => ({ custom_sip_headers: { 'X-Call-Ref': ref } });

t.test('calls that are up on both sides are left alone, and those of others are only counted', async (t) => {
  const { record, list, run, asked } = await retellOf(t);
  await record('up', { retell_call_id: 'call_up' });
  list('call_up');
  list('call_of_others');
  list('call_of_a_stranger', withRef('nobody'));
  const { report, findings } = await run();
  t.same(report, { ongoing: 3, ours: 1, skipped: null, error: null });
  t.same(findings, []);
  t.same(asked, []);
});

t.test('a call that has ended here and goes on at Retell is looked into after its grace', async (t) => {
  const { record, list, run, asked } = await retellOf(t);
  await record('long', { retell_call_id: 'call_long', ended_at: Date.now() - MINUTE });
  await record('just', { retell_call_id: 'call_just', ended_at: Date.now() - 1000 });
  list('call_long');
  list('call_just');
  const { findings, report } = await run();
  t.same(asked, ['retell long reconciler']);
  t.match(findings, [{ kind: 'retell_lingers', call_id: 'long', node: 'node1', action: 'healed' }]);
  t.equal(report.ours, 2);
});

t.test('a call that is up here and not at Retell is looked into', async (t) => {
  const { record, list, run, asked } = await retellOf(t);
  await record('over', { retell_call_id: 'call_over' });
  await record('new', { retell_call_id: 'call_new', answered_at: Date.now() });
  await record('unknown');
  await record('fallback', { retell_call_id: 'call_fallback', 't:1:fallback': '{}' });
  await record('up', { retell_call_id: 'call_up' });
  list('call_up');
  const { findings } = await run();
  t.same(asked, ['here over reconciler']);
  t.match(findings, [{ kind: 'retell_over', call_id: 'over', action: 'healed' }]);
});

t.test('what the reaper made of it is told', async (t) => {
  for (const [outcome, action] of [
    ['observed', 'observed'],
    ['failed', 'failed'],
    ['off', 'reported'],
    ['clean', undefined],
    [new Error('no answer'), 'failed'],
  ] as const) {
    const { record, run } = await retellOf(t, { outcome });
    await record('over', { retell_call_id: 'call_over' });
    t.equal((await run()).findings[0]?.action, action, String(outcome));
  }
});

t.test("a call that carries our id teaches its record Retell's, where it fits", async (t) => {
  const { record, list, run, redis } = await retellOf(t);
  await record('ours');
  await record('ended', { ended_at: Date.now() - MINUTE });
  await record('other_number', { number: '+14155550101' });
  await record('known', { retell_call_id: 'call_known' });
  for (const ref of ['ours', 'ended', 'other_number']) list(`call_${ref}`, withRef(ref));
  list('call_false', withRef('known'));
  list('call_known');
  const { report } = await run();
  t.equal(await redis.hget('call:ours', 'retell_call_id'), 'call_ours');
  t.equal(await redis.hget('call:ended', 'retell_call_id'), 'call_ended');
  t.equal(await redis.hget('call:other_number', 'retell_call_id'), null);
  t.equal(await redis.hget('call:known', 'retell_call_id'), 'call_known');
  t.match(report, { ongoing: 5, ours: 3 });
});

t.test('without a key Retell is not asked, and without an answer nothing is concluded', async (t) => {
  const skipped = await retellOf(t, { configured: false });
  await skipped.record('over', { retell_call_id: 'call_over' });
  t.match(await skipped.run(), {
    report: { ongoing: null, skipped: 'retell.api_key is not set' },
    findings: [],
  });

  const listed = () => {
    throw new RetellError('timeout', 'list-calls', 'no answer');
  };
  const silent = await retellOf(t, { listed });
  await silent.record('over', { retell_call_id: 'call_over' });
  t.match(await silent.run(), { report: { ongoing: null, error: 'list-calls: no answer' }, findings: [] });
  t.same(silent.asked, []);
});

t.test('a list that was cut says nothing of the calls that are not in it', async (t) => {
  const many = Array.from({ length: 10_000 }, (_, i) => ({ call_id: `call_${i}`, call_status: 'ongoing' }));
  const { record, run, asked } = await retellOf(t, { listed: () => many });
  await record('over', { retell_call_id: 'call_over' });
  t.equal((await run()).report.ongoing, 10_000);
  t.same(asked, []);
});
