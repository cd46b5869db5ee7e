import t, { type Test } from 'tap';
import { CallError } from '../../control-plane/src/calls/errors.js';
import type { HangupRequest } from '../../control-plane/src/calls/hangup/hangup.js';
import type { HangupResult } from '../../control-plane/src/calls/hangup/outcome.js';
import type { HangupJob, JobCallResult } from '../../control-plane/src/calls/hangup-jobs/job.js';
import { HangupJobRun } from '../../control-plane/src/calls/hangup-jobs/run.js';
import type { HangupJobStore } from '../../control-plane/src/calls/hangup-jobs/store.js';
import { eventually } from '../harness/await.js';

const ENDED: HangupResult = {
  outcome: 'ended',
  legs: [
    { leg: 'carrier', method: 'BYE', status: 200, sent: 1 },
    { leg: 'retell', method: 'BYE', status: 200, sent: 1 },
  ],
};
const NOTHING_SENT: HangupResult = {
  outcome: 'failed',
  legs: [
    { leg: 'carrier', method: null, status: null, sent: 0 },
    { leg: 'retell', method: null, status: null, sent: 0 },
  ],
};

/** A job in memory, whose store can be away. */
function jobOf(calls: number) {
  const pending = Array.from({ length: calls }, (_, place) => ({ callId: `call-${place}`, tries: 0 }));
  const results: JobCallResult[] = [];
  const job = { id: 'job', by: 'ops', reason: 'test', rate: 2000, state: 'running' } as HangupJob;
  const state = { away: false, mine: true };
  const answer = async <T>(value: () => T): Promise<T> => {
    if (state.away) throw new Error('Connection is closed.');
    return value();
  };
  const remove = (callId: string) =>
    pending.splice(
      pending.findIndex((call) => call.callId === callId),
      1,
    )[0];
  const store: Partial<HangupJobStore> = {
    get: () => answer(() => job),
    renew: () => answer(() => {}),
    hasPending: () => answer(() => pending.length > 0),
    take: (_id, _worker, tries, most) =>
      answer(() => {
        if (!state.mine) return undefined;
        const taken = pending.filter((call) => call.tries === tries).slice(0, most);
        for (const call of taken) call.tries += 1;
        return taken.map(({ callId }) => callId);
      }),
    record: (_id, result) =>
      answer(() => {
        remove(result.call_id);
        results.push(result);
      }),
    finish: () => answer(() => (pending.length > 0 ? 'pending' : 'finished') as 'pending' | 'finished'),
  };
  return { store: store as HangupJobStore, pending, results, state };
}

function runOf(
  t: Test,
  { store }: ReturnType<typeof jobOf>,
  hangup: (id: string, request: HangupRequest) => Promise<HangupResult>,
) {
  const stopping = new AbortController();
  const told = { done: 0, outcomes: [] as string[] };
  const run = new HangupJobRun({
    id: 'job',
    worker: 'here',
    leaseMs: 5000,
    store,
    hangup: { hangup },
    hangupDone: (outcome) => told.outcomes.push(outcome),
    jobDone: () => {
      told.done += 1;
    },
    warn: () => {},
    retryPausesMs: [10, 10],
  });
  t.teardown(() => stopping.abort());
  return { work: run.work(stopping.signal), stopping, told };
}

t.test('each call is ended once, in the name of who asked', async (t) => {
  const job = jobOf(300);
  const asked: string[] = [];
  const { work, told } = runOf(t, job, async (id, request) => {
    t.same(request, { by: 'ops', reason: 'test' });
    asked.push(id);
    return ENDED;
  });
  await work;
  t.equal(asked.length, 300);
  t.equal(new Set(asked).size, 300);
  t.equal(job.results.length, 300);
  t.equal(told.done, 1);
});

t.test('calls of silent peers make room for others after a while', async (t) => {
  const job = jobOf(200);
  const silent: ((result: HangupResult) => void)[] = [];
  const startedAt: number[] = [];
  const { work } = runOf(t, job, () => {
    startedAt.push(performance.now());
    return new Promise((resolve) => silent.push(resolve));
  });
  await eventually('the others have their turn', () => silent.length === 200);
  const [first = 0, oneMore = 0] = [startedAt[0], startedAt[128]];
  t.ok(oneMore - first >= 990, 'the first 128 had a second to themselves');
  t.equal(job.results.length, 0);
  for (const answer of silent) answer(ENDED);
  await work;
  t.equal(job.results.length, 200);
});

t.test('a call that nothing was sent for is tried again, after the others', async (t) => {
  const job = jobOf(3);
  const asked: string[] = [];
  const { work, told } = runOf(t, job, async (id) => {
    asked.push(id);
    if (id === 'call-2' || asked.filter((each) => each === id).length > 1) return ENDED;
    if (id === 'call-0') throw new CallError('node_unavailable', 'it does not answer');
    return NOTHING_SENT;
  });
  await work;
  t.same(asked, ['call-0', 'call-1', 'call-2', 'call-0', 'call-1']);
  t.same(
    job.results.map(({ call_id, outcome }) => `${call_id} ${outcome}`),
    ['call-2 ended', 'call-0 ended', 'call-1 ended'],
  );
  t.same(told.outcomes, ['refused', 'failed', 'ended', 'ended', 'ended']);
});

t.test('what does not go better after all tries is failed, with the reason', async (t) => {
  const job = jobOf(4);
  const errors: Record<string, Error> = {
    'call-0': new CallError('node_unavailable', 'it does not answer'),
    'call-1': new CallError('node_unknown', 'it is not configured'),
    'call-2': new Error('a fault'),
  };
  const asked: string[] = [];
  const { work } = runOf(t, job, async (id) => {
    asked.push(id);
    if (errors[id] !== undefined) throw errors[id];
    return NOTHING_SENT;
  });
  await work;
  const resultOf = (id: string) => job.results.find(({ call_id }) => call_id === id);
  const triesOf = (id: string) => asked.filter((each) => each === id).length;
  t.match(resultOf('call-0'), { outcome: 'failed', legs: [], code: 'node_unavailable' });
  t.match(resultOf('call-1'), { outcome: 'failed', legs: [], code: 'node_unknown' });
  t.match(resultOf('call-2'), { outcome: 'failed', legs: [], code: 'internal_error' });
  t.same(resultOf('call-3'), { call_id: 'call-3', ...NOTHING_SENT });
  t.same(['call-0', 'call-1', 'call-2', 'call-3'].map(triesOf), [3, 1, 3, 3]);
});

t.test('an outcome that Redis does not take is kept until it does', async (t) => {
  const job = jobOf(1);
  const { work } = runOf(t, job, async () => {
    job.state.away = true;
    setTimeout(() => {
      job.state.away = false;
    }, 100);
    return ENDED;
  });
  await work;
  t.match(job.results, [{ call_id: 'call-0', outcome: 'ended' }]);
});

t.test('a worker that may not go on starts no further call, and does not end the job', async (t) => {
  const job = jobOf(1000);
  let asked = 0;
  const { work, told } = runOf(t, job, async () => {
    asked += 1;
    job.state.mine = false;
    return ENDED;
  });
  await work;
  t.ok(asked < 1000, `${asked} were started`);
  t.equal(job.results.length, asked, 'what was in hand has its outcome');
  t.equal(told.done, 0);
});

t.test('a worker that is stopped waits for the calls in hand, and leaves the others pending', async (t) => {
  const job = jobOf(1000);
  const waiting: ((result: HangupResult) => void)[] = [];
  const { work, stopping, told } = runOf(t, job, () => new Promise((resolve) => waiting.push(resolve)));
  await eventually('some are in hand', () => waiting.length > 0);
  stopping.abort();
  const started = waiting.length;
  for (const answer of waiting) answer(ENDED);
  await t.rejects(work, { name: 'AbortError' });
  t.equal(waiting.length, started);
  t.equal(job.results.length, started);
  t.equal(job.pending.length, 1000 - started);
  t.equal(told.done, 0);
});
