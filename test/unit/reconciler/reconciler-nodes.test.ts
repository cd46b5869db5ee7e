import t, { type Test } from 'tap';
import { OpenRecords } from '../../../control-plane/src/calls/open-records.js';
import { Findings } from '../../../control-plane/src/calls/reconciler/findings.js';
import { NodesReconciler } from '../../../control-plane/src/calls/reconciler/nodes.js';
import { Zombies } from '../../../control-plane/src/calls/reconciler/zombies.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { EventBacklog } from '../../../control-plane/src/kamailio/event-backlog.js';
import { streamOf } from '../../../control-plane/src/kamailio/event-reader.js';
import { KamailioNode } from '../../../control-plane/src/kamailio/node.js';
import type { RpcClient } from '../../../control-plane/src/kamailio/rpc-client.js';
import { connectRedis } from '../../../control-plane/src/redis.js';
import { startRedis } from '../retell-fixture.js';

const MINUTE = 60_000;
const LEG = { tag: 'x', contact: 'sip:x@192.0.2.1', cseq: '1', route_set: '', socket: 'udp:192.0.2.9:5060' };

/** A node with as many dialogs as a test says, and what it was asked. */
class FakeDialogs {
  readonly node = 'node1';
  readonly asked: string[] = [];
  /** Call-IDs of the dialogs that it has. */
  dialogs = new Set<string>();
  /** How many more it says it has. */
  more = 0;
  uptimeS = 86_400;

  async call(method: string, [callId = '']: readonly string[] = []): Promise<unknown> {
    this.asked.push(method);
    const all = this.dialogs.size + this.more;
    switch (method) {
      case 'dlg.stats_active':
        return { starting: 0, connecting: 0, answering: 0, ongoing: all, all };
      case 'dlg.briefing':
        return [...this.dialogs].map((id) => ({ 'call-id': id, state: 4 }));
      case 'core.uptime':
        return { now: new Date().toUTCString().replace(' GMT', ''), uptime: this.uptimeS };
      case 'stats.fetch':
        return {};
    }
    return this.dialogs.has(callId) ? this.#details(callId) : {};
  }

  countOf(method: string): number {
    return this.asked.filter((one) => one === method).length;
  }

  #details(callId: string) {
    const times = { start_ts: 1_795_490_219, init_ts: 1_795_490_217, lifetime: 7200 };
    const uris = { from_uri: 'sip:x@192.0.2.1', to_uri: 'sip:y@192.0.2.9' };
    const key = { h_entry: 1, h_id: 2, 'call-id': callId, state: 4 };
    return {
      ...key,
      ...uris,
      ...times,
      caller: LEG,
      callee: LEG,
      variables: [{ call: `id-${callId}:+14155550100:acme` }],
    };
  }
}

async function nodesOf(t: Test) {
  const { url } = await startRedis(t);
  const redis = connectRedis(url, () => {});
  t.teardown(() => redis.disconnect());
  await redis.connect();
  const store = new CallStore(redis, 3600);
  const fake = new FakeDialogs();
  const reconciler = new NodesReconciler({
    nodes: new Map([['node1', new KamailioNode(fake as unknown as RpcClient)]]),
    store,
    records: new OpenRecords(redis),
    backlog: new EventBacklog(redis, 1500),
    zombies: new Zombies({
      store,
      mode: () => 'off',
      timeoutMs: 1000,
      observer: { zombieFound: () => {}, zombieEnded: () => {} },
    }),
    graceMs: () => 10_000,
    ringTimeoutMs: 2 * MINUTE,
    adopted: async () => {},
  });
  return {
    fake,
    redis,
    /** Writes answered calls, each a little newer than the one before. */
    records: async (callIds: readonly string[]) => {
      const first = Date.now() - 10 * MINUTE;
      await store.merge(
        callIds.map((callId, i) => {
          const at = String(first + i);
          const fields = { node: 'node1', sip_call_id: callId, created_at: at, answered_at: at };
          return { id: `id-${callId}`, atMs: first + i, fields };
        }),
      );
    },
    run: async () => {
      const findings = new Findings();
      const [report] = await reconciler.run(findings, new AbortController().signal);
      return { report, findings };
    },
  };
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `call${i}`);

t.test('more dialogs than can be listed are looked up in turns, the oldest first', async (t) => {
  const { fake, records, run } = await nodesOf(t);
  const callIds = names(1200);
  await records(callIds);
  fake.dialogs = new Set(callIds.filter((id) => id !== 'call700'));
  fake.more = 6000;
  const first = await run();
  t.match(first.report, { drift: 5999, compared: false, postponed: 700 });
  t.equal(first.findings.total, 0);
  const second = await run();
  t.match(second.findings.listed, [{ kind: 'lost_end', call_id: 'id-call700', action: 'healed' }]);
  await run();
  t.equal(fake.countOf('dlg.dlg_list'), 500 + 500 + 200, 'each was looked up once');
  t.equal(fake.countOf('dlg.briefing'), 0);
});

t.test('a node whose events are not in the records is not asked for its dialogs', async (t) => {
  const { fake, records, run, redis } = await nodesOf(t);
  await records(['up']);
  fake.dialogs = new Set(['up', 'other']);
  await redis.xadd(streamOf('node1'), '*', 'events', '[]');
  const { report } = await run();
  t.match(report, { drift: 1, compared: false, error: 'its events are not all written yet' });
  t.equal(fake.countOf('dlg.briefing'), 0);
});

t.test('a node that restarts while it is looked at loses no call', async (t) => {
  const { fake, records, run, redis } = await nodesOf(t);
  await records(['up']);
  const { call } = fake;
  fake.dialogs = new Set(['other', 'another']);
  fake.call = async (method, params) => {
    const answer = await call.call(fake, method, params);
    // It is gone after the list, and back before it is asked for its uptime.
    if (method === 'dlg.briefing') {
      fake.dialogs = new Set();
      fake.uptimeS = 1;
    }
    return answer;
  };
  const { findings } = await run();
  t.match(findings.listed, [{ kind: 'untracked', call_id: 'id-up' }]);
  t.equal(await redis.hget('call:id-up', 'ended_at'), null);
});

t.test('differences that cancel each other out are found where details are looked at anyway', async (t) => {
  const { fake, records, run } = await nodesOf(t);
  await run();
  await records(['lost']);
  fake.dialogs = new Set(['unknown']);
  for (let i = 1; i < 10; i += 1) t.match((await run()).report, { drift: 0, compared: false });
  const { report, findings } = await run();
  t.match(report, { drift: 0, compared: true });
  t.same(findings.listed.map(({ kind }) => kind).sort(), ['lost_end', 'unrecorded']);
});

t.test('a difference that is gone at the second look is none', async (t) => {
  const { fake, run } = await nodesOf(t);
  await run();
  const { call } = fake;
  fake.dialogs = new Set(['passing']);
  fake.call = async (method, params) => {
    const answer = await call.call(fake, method, params);
    fake.dialogs = new Set();
    return answer;
  };
  t.match((await run()).report, { drift: 0, compared: false });
  t.equal(fake.countOf('dlg.briefing'), 1, 'of the first run');
});
