import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import type { RecordFields } from '../../../control-plane/src/calls/record.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { RetellApi } from '../../../control-plane/src/retell/api.js';
import { Reaper } from '../../../control-plane/src/retell/reaper.js';
import { eventually } from '../../harness/await.js';
import { configWith, startRedis, startRetell, TRUNK } from '../retell-fixture.js';

type Outcome = 'ended' | 'already_ended' | 'partial' | 'failed';

/** A reaper with Redis and a simulated Retell, and with hangups that only say what they are told to. */
async function startReaper(t: Test, mode: 'off' | 'observe' | 'on') {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  const simulator = await startRetell(t);
  const config = { current: configWith({ retell: { base_url: simulator.http.url } }) };
  config.current.calls.reaper.stop_at_retell = mode;
  config.current.calls.reaper.end_dialogs = mode;
  const api = new RetellApi({ config });
  t.teardown(() => api.close());
  const counted: string[] = [];
  const warnings: unknown[] = [];
  const asked: unknown[] = [];
  const hangup: { outcome: Outcome | Error } = { outcome: 'ended' };
  const reaper = new Reaper({
    config,
    api,
    store,
    hangups: {
      hangup: async (...request) => {
        asked.push(request);
        if (hangup.outcome instanceof Error) throw hangup.outcome;
        return { outcome: hangup.outcome };
      },
    },
    observer: {
      zombieFound: (side, by) => counted.push(`found ${side} ${by}`),
      zombieEnded: (side, outcome) => counted.push(`${outcome} ${side}`),
    },
    warn: (detail, message) => warnings.push({ ...detail, message }),
  });
  /** A call that is up at Retell, or only registered there. */
  const atRetell = (up = true) => {
    const entry = simulator.calls.create({
      agent_id: 'agent_one',
      direction: 'inbound',
      from_number: '+14155550123',
      to_number: TRUNK,
    });
    if (up) simulator.calls.connected(entry);
    return entry;
  };
  /** A call of ours that was answered. */
  const here = async (fields: RecordFields) => {
    const id = randomUUID();
    const atMs = Date.now();
    const record = { direction: 'inbound', number: TRUNK, answered_at: String(atMs), ...fields };
    await store.merge([{ id, atMs, fields: record }]);
    return id;
  };
  const timelineOf = async (id: string) => (await store.get(id))?.timeline.map(({ type }) => type);
  const stops = () => simulator.requests.items.filter(({ endpoint }) => endpoint === 'stop-call').length;
  return {
    store,
    simulator,
    config,
    reaper,
    counted,
    warnings,
    asked,
    hangup,
    atRetell,
    here,
    timelineOf,
    stops,
  };
}

const ENDED = { ended_at: '1780012691000', ended_by: 'carrier' };

t.test('a call that has ended here and goes on at Retell is stopped there, once', async (t) => {
  const s = await startReaper(t, 'on');
  const entry = s.atRetell();
  const id = await s.here({ ...ENDED, retell_call_id: entry.call.call_id });
  t.equal(await s.reaper.checkRetell(id), 'ended');
  await eventually('it is over at Retell', () => entry.call.call_status === 'ended');
  t.ok((await s.store.get(id))?.retell_stopped_at);
  t.equal(await s.reaper.checkRetell(id), 'clean');
  t.equal(s.stops(), 1);
  t.same(await s.timelineOf(id), ['retell_lingers', 'retell_stopped']);
  t.same(s.counted, ['found retell call_end', 'ended retell']);
});

t.test('in observe nothing is stopped, and it is told once', async (t) => {
  const s = await startReaper(t, 'observe');
  const { call } = s.atRetell();
  const id = await s.here({ ...ENDED, retell_call_id: call.call_id });
  t.equal(await s.reaper.checkRetell(id), 'observed');
  t.equal(await s.reaper.checkRetell(id, 'reconciler'), 'observed');
  t.equal(s.stops(), 0);
  t.same(await s.timelineOf(id), ['retell_lingers']);
  t.same(s.counted, ['found retell call_end', 'observed retell']);
  t.match(s.warnings, [{ call_id: id, mode: 'observe' }]);
  t.notMatch(JSON.stringify(s.warnings), call.call_id, "Retell's id is in no log");
});

t.test('with off nobody is asked', async (t) => {
  const s = await startReaper(t, 'off');
  const { call } = s.atRetell();
  const retell_call_id = call.call_id;
  t.equal(await s.reaper.checkRetell(await s.here({ ...ENDED, retell_call_id })), 'off');
  t.equal(await s.reaper.checkHere(await s.here({ retell_call_id, retell_ended_at: '1' })), 'off');
  t.same([s.simulator.requests.items, s.asked, s.counted], [[], [], []]);
});

t.test('what is over at Retell, or not over here, is clean', async (t) => {
  const s = await startReaper(t, 'on');
  const over = s.atRetell();
  s.simulator.calls.ended(over, 'user_hangup');
  const id = await s.here({ ...ENDED, retell_call_id: over.call.call_id });
  t.equal(await s.reaper.checkRetell(id), 'clean');
  const record = await s.store.get(id);
  t.equal(record?.retell_disconnection_reason, 'user_hangup', 'its end is in the record now');
  t.equal(record?.retell_ended_at, over.call.end_timestamp);
  const asked = s.simulator.requests.items.length;
  t.equal(await s.reaper.checkRetell(id), 'clean');
  t.equal(s.simulator.requests.items.length, asked, 'and nobody is asked again');

  t.equal(
    await s.reaper.checkRetell(await s.here({ retell_call_id: s.atRetell().call.call_id })),
    'clean',
    'up',
  );
  t.equal(await s.reaper.checkRetell(await s.here(ENDED)), 'clean', 'never at Retell');
  t.equal(await s.reaper.checkRetell(await s.here({ ...ENDED, retell_call_id: 'call_unknown' })), 'clean');
  t.equal(await s.reaper.checkRetell('no-such-call'), 'clean');
  t.equal(s.stops(), 0);
  t.same(s.counted, []);
});

t.test('a stop that Retell refuses because the call has just ended is clean', async (t) => {
  const s = await startReaper(t, 'on');
  const entry = s.atRetell();
  const id = await s.here({ ...ENDED, retell_call_id: entry.call.call_id });
  s.simulator.addFault({ endpoint: 'stop-call', status: 400, times: 1 });
  const { requests } = s.simulator;
  const { push } = requests;
  // The call ends while Retell refuses.
  requests.push = (request) => {
    push.call(requests, request);
    if (request.endpoint === 'stop-call') s.simulator.calls.ended(entry, 'user_hangup');
  };
  t.equal(await s.reaper.checkRetell(id), 'clean');
  t.equal((await s.store.get(id))?.retell_disconnection_reason, 'user_hangup');
});

t.test('a registered call that Retell does not stop is left to end by itself', async (t) => {
  const s = await startReaper(t, 'on');
  const id = await s.here({ ...ENDED, retell_call_id: s.atRetell(false).call.call_id });
  t.equal(await s.reaper.checkRetell(id), 'failed');
  t.same(s.counted, ['found retell call_end', 'failed retell']);
});

for (const endpoint of ['get-call', 'stop-call']) {
  t.test(`${endpoint} that fails is to be tried again, and found once`, async (t) => {
    const s = await startReaper(t, 'on');
    const id = await s.here({ ...ENDED, retell_call_id: s.atRetell().call.call_id });
    s.simulator.addFault({ endpoint, status: 500, times: 1 });
    await t.rejects(s.reaper.checkRetell(id), { code: 'refused', status: 500 });
    t.equal(await s.reaper.checkRetell(id), 'ended');
    t.same(
      s.counted.filter((each) => each.startsWith('found')),
      ['found retell call_end'],
    );
  });
}

t.test('a call that Retell ended and that is up here is hung up', async (t) => {
  const s = await startReaper(t, 'on');
  const id = await s.here({ retell_call_id: 'call_1', retell_ended_at: '1780012691000' });
  t.equal(await s.reaper.checkHere(id), 'ended');
  t.same(s.asked, [[id, { by: 'reaper', endedBy: 'reaper', reason: 'ended at Retell' }]]);
  t.same(await s.timelineOf(id), ['dialog_lingers']);
  t.same(s.counted, ['found here webhook', 'ended here']);
  t.same(s.simulator.requests.items, [], 'the webhook is believed');
});

t.test('in observe it is not', async (t) => {
  const s = await startReaper(t, 'observe');
  const id = await s.here({ retell_call_id: 'call_1', retell_ended_at: '1780012691000' });
  t.equal(await s.reaper.checkHere(id), 'observed');
  t.same(s.asked, []);
  t.same(s.counted, ['found here webhook', 'observed here']);
});

t.test('without a webhook Retell is asked before a call is hung up', async (t) => {
  const s = await startReaper(t, 'on');
  const entry = s.atRetell();
  const id = await s.here({ retell_call_id: entry.call.call_id });
  t.equal(await s.reaper.checkHere(id, 'reconciler'), 'clean', 'it is up there too');
  s.simulator.addFault({ endpoint: 'get-call', status: 503, times: 1 });
  await t.rejects(s.reaper.checkHere(id, 'reconciler'), { code: 'refused', status: 503 });
  t.same(s.asked, []);
  s.simulator.calls.ended(entry, 'agent_hangup');
  t.equal(await s.reaper.checkHere(id, 'reconciler'), 'ended');
  t.equal((await s.store.get(id))?.retell_disconnection_reason, 'agent_hangup');
  const unknown = await s.here({ retell_call_id: 'call_unknown' });
  t.equal(
    await s.reaper.checkHere(unknown, 'reconciler'),
    'clean',
    'what Retell does not know has not ended',
  );
});

for (const reason of ['call_transfer', 'transfer_bridged', 'no_concurrency_fallback', 'call_take_over']) {
  t.test(`a call that Retell left by ${reason} goes on`, async (t) => {
    const s = await startReaper(t, 'on');
    const id = await s.here({
      retell_call_id: 'call_1',
      retell_ended_at: '1780012691000',
      retell_disconnection_reason: reason,
    });
    t.equal(await s.reaper.checkHere(id), 'clean');
    t.same([s.asked, s.counted], [[], []]);
  });
}

t.test('so does one that is at its fallback, and one that has ended', async (t) => {
  const s = await startReaper(t, 'on');
  const retell = { retell_call_id: 'call_1', retell_ended_at: '1780012691000' };
  const fallback = { ...retell, 't:1780012690000000:fallback': '{"gateway":"sip:198.51.100.10"}' };
  t.equal(await s.reaper.checkHere(await s.here(fallback)), 'clean');
  t.equal(await s.reaper.checkHere(await s.here({ ...retell, ...ENDED })), 'clean');
  t.same([s.asked, s.counted], [[], []]);
});

t.test('a hangup that fails is to be tried again; one that was not needed is clean', async (t) => {
  const s = await startReaper(t, 'on');
  const id = await s.here({ retell_call_id: 'call_1', retell_ended_at: '1780012691000' });
  s.hangup.outcome = new Error('the node is away');
  await t.rejects(s.reaper.checkHere(id), { message: 'the node is away' });
  s.hangup.outcome = 'failed';
  await t.rejects(s.reaper.checkHere(id));
  s.hangup.outcome = 'partial';
  t.equal(await s.reaper.checkHere(id), 'failed');
  s.hangup.outcome = 'already_ended';
  t.equal(await s.reaper.checkHere(id), 'clean');
  t.same(s.counted, ['found here webhook', 'failed here', 'failed here', 'failed here']);
});
