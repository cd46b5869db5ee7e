import t from 'tap';
import {
  CHAOS_LEAST_S,
  chaosEnd,
  faultFigures,
  faultTimes,
  unexplained,
} from '../../../sipp-scenarios/load/chaos.js';
import { rpcWorkers } from '../../../sipp-scenarios/load/faults.js';
import { leakProblems, leaksIn } from '../../../sipp-scenarios/load/leaks.js';
import { machineUse, type Sample } from '../../../sipp-scenarios/load/sampler.js';
import { saturationOf } from '../../../sipp-scenarios/load/saturation.js';
import { trendOf } from '../../../sipp-scenarios/load/trend.js';
import { problemsOf } from '../../../sipp-scenarios/load/verdict.js';

const MIB = 2 ** 20;
const IDLE_REDIS = { opsPerSecond: 0, rawEventsBytes: 0, detailRecordsBytes: 0, detailRecords: 0 };

function second(at: number, started: number, failed = 0) {
  return { at, started, completed: started, failed, srdMs: { p50: 1, p95: 2, p99: at } };
}

function sample(at: number, change: Partial<Sample> = {}): Sample {
  return {
    at,
    parts: { 'control plane': { cpus: 0.2, busiest: 0.2, rssBytes: 100 * MIB } },
    ...{ others: 0, busy: 0.5, stolen: 0, dropped: {} },
    proxy: {
      ...{ dialogs: 100, sharedMemoryUsedBytes: 40 * MIB, sharedMemorySizeBytes: 256 * MIB },
      ...{ privateMemoryFreeMinBytes: 7 * MIB, queuedEvents: 1, eventBatchesWaiting: 0, eventLagS: 0.01 },
      recordsOverdue: 0,
    },
    redis: { ...IDLE_REDIS, usedMemoryBytes: 10 * MIB, keys: 100, records: 50 },
    ...change,
  };
}

const FINE = {
  steady: {
    ...{ seconds: 10, attempts: 1000, attemptsPerSecond: 100, failed: 0, retransmissions: 0 },
    srdMs: { p50: 4, p95: 4, p99: 8 },
  },
  settled: { calls: 1500, records: 1500, dialogsLeft: 0, seconds: 5 },
};
const RATE = { rate: 100, hasRamp: false };
const NONE_FAILED = { maxFailed: 0.001 };

t.test('a run is fine where all calls and records add up', async (t) => {
  t.same(problemsOf(FINE, RATE, { maxFailed: 0, maxSrdP99Ms: 9 }), []);
  const unseen = { ...FINE, settled: { ...FINE.settled, records: null, dialogsLeft: null } };
  t.same(problemsOf(unseen, RATE, NONE_FAILED), [], 'what cannot be seen is no problem');
});

t.test('everything that is not fine is told', async (t) => {
  const run = {
    steady: { ...FINE.steady, attemptsPerSecond: 90, failed: 2 },
    settled: { calls: 1500, records: 1499, dialogsLeft: 3, seconds: 5 },
  };
  t.match(problemsOf(run, RATE, { maxFailed: 0.001, maxSrdP99Ms: 8 }), [
    /^90\.0 calls\/s were placed of 100 /,
    /^0\.2 % of the calls failed \(2\); 0\.1 % may/,
    /^SRD p99 is 8 ms; it has to be under 8 ms/,
    /^1500 calls were placed and 1499 have a record/,
    /^3 dialogs are left/,
  ]);
});

t.test('a run without any response has no SRD that could be fine', async (t) => {
  const run = { ...FINE, steady: { ...FINE.steady, srdMs: null } };
  t.match(problemsOf(run, RATE, { maxFailed: 0.001, maxSrdP99Ms: 8 }), [/there is no SRD/]);
});

t.test('calls that the dead gateway had are its own, other failed calls are not', async (t) => {
  const course = { warmUpS: 0, durationS: CHAOS_LEAST_S };
  const times = faultTimes(course);
  t.equal(times.at(-1)?.until, chaosEnd(course), 'a soak looks at what is behind');
  for (const [i, { from, to, until }] of times.entries()) {
    t.ok(to > from && until > to && from >= (times[i - 1]?.until ?? 0), 'one after the other');
  }
  const seconds = Array.from({ length: CHAOS_LEAST_S }, (_, at) => second(at, 10));
  const gateway = times.find(({ name }) => name === 'Retell gateway dead');
  const killed = times.find(({ name }) => name === 'control plane killed');
  const failing = [
    ...seconds,
    second(Math.ceil(gateway?.to ?? 0), 0, 5),
    second(Math.ceil(killed?.to ?? 0), 0, 1),
  ];
  const figures = faultFigures(times, failing);
  t.match(
    figures.map(({ name, failed }) => [name, failed]),
    [
      ['control plane killed', 1],
      ['Redis paused', 0],
      ['Retell gateway dead', 5],
      ['RPC hung', 0],
    ],
  );
  t.equal(unexplained(6, figures), 1);
  const run = { ...FINE, steady: { ...FINE.steady, failed: 5 } };
  t.same(problemsOf(run, RATE, { maxFailed: 0 }, figures), []);
});

t.test("the workers of Kamailio's RPC socket are told from others", async (t) => {
  const processes = [
    { IDX: 0, PID: 11, DSC: 'udp receiver child=0 sock=127.0.0.1:5060' },
    { IDX: 1, PID: 12, DSC: 'tcp receiver (generic) child=0' },
    { IDX: 2, PID: 13, DSC: 'tcp receiver (tcp:127.0.0.1:8088) child=4' },
    { IDX: 3, PID: 14, DSC: 'tcp main process' },
  ];
  t.same(rpcWorkers(processes, '8088'), [13]);
  t.same(rpcWorkers(processes, '808'), []);
});

t.test("a machine is as busy as its ticks say, and at least as its parts' own time does", async (t) => {
  const before = { all: 1000, busy: 100, stolen: 10 };
  const after = (busy: number, stolen = 10) => ({ all: 1200, busy: 100 + busy, stolen });
  t.same(machineUse(before, after(150), 1, 2), { busy: 0.75, stolen: 0, others: 0.5 });
  t.same(machineUse(before, after(20), 1.2, 2), { busy: 0.6, stolen: 0, others: 0 }, 'ticks saw little');
  t.same(
    machineUse(before, after(100, 60), 1.9, 2),
    { busy: 0.75, stolen: 0.25, others: 0 },
    'not above all',
  );
});

t.test('what was at its limit first comes first, and one moment is none', async (t) => {
  const full = { cpus: 1.2, busiest: 0.99, rssBytes: 0 };
  const samples = [
    sample(1, { busy: 1 }),
    sample(2),
    sample(3, { parts: { Redis: full } }),
    sample(4, { parts: { Redis: full }, busy: 0.97 }),
    sample(5, { busy: 0.9, stolen: 0.08, others: 1.5 }),
    sample(6, { dropped: { 'SIPp callee 1': 3 } }),
    sample(7, { dropped: { 'SIPp callee 1': 3, 'SIPp callee 2': 1 } }),
  ];
  t.match(saturationOf(samples), [
    { at: 3, what: /one core: a process of Redis/ },
    { at: 4, what: /the CPUs of the machine: 97 % busy, most of it by Redis/ },
    { at: 6, what: /dropped UDP datagrams, 3 for SIPp callee/ },
  ]);
  t.same(saturationOf([sample(1), sample(2)]), []);
});

t.test('a line is found by least squares, and how well it explains', async (t) => {
  const line = trendOf([
    [0, 1],
    [1, 3],
    [2, 5],
  ]);
  t.same(line, { slope: 2, r2: 1, mean: 3 });
  t.equal(trendOf([[1, 1]]), undefined);
  t.equal(
    trendOf([
      [0, 5],
      [1, 5],
    ])?.r2,
    0,
    'what does not change has nothing to explain',
  );
});

t.test('a soak finds what grows, and not what swings', async (t) => {
  const grown = (at: number) =>
    sample(at, {
      parts: { 'control plane': { cpus: 0, busiest: 0, rssBytes: (100 + at / 10) * MIB } },
      redis: { ...IDLE_REDIS, usedMemoryBytes: at * at * 100, keys: at * 20, records: at * 10 },
    });
  const swings = (at: number) =>
    sample(at, {
      parts: { 'control plane': { cpus: 0, busiest: 0, rssBytes: (100 + (at % 20) * 3) * MIB } },
      redis: { ...IDLE_REDIS, usedMemoryBytes: at * 20_000, keys: at * 20, records: at * 10 },
    });
  const times = Array.from({ length: 120 }, (_, i) => i * 5);
  t.same(leakProblems(leaksIn(times.map(swings), 200, 600)), []);
  const found = leaksIn(times.map(grown), 200, 600);
  t.match(leakProblems(found), [
    /^control plane, resident memory grows: \+360\.0 MiB an hour/,
    /^Redis, memory without streams grows more with each call/,
  ]);
  t.same(found.kept.find(({ name }) => name === 'Redis, keys')?.perCall.map(Math.round), [2, 2]);
});

t.test(
  'records that were behind and catch up are no leak in Redis, as each call leaves as much',
  async (t) => {
    const caughtUp = (at: number) => {
      const records = at < 400 ? at * 5 : 2000 + (at - 400) * 20;
      // Detail records come when records are there.
      const detailRecords = at < 400 ? at : 400 + (at - 400) * 25;
      const detailRecordsBytes = detailRecords * 1000;
      const usedMemoryBytes = records * 4000 + detailRecordsBytes;
      return sample(at, {
        redis: {
          ...IDLE_REDIS,
          ...{ usedMemoryBytes, detailRecordsBytes, keys: records * 2, records, detailRecords },
        },
      });
    };
    const samples = Array.from({ length: 120 }, (_, i) => caughtUp(i * 5));
    const { kept } = leaksIn(samples, 200, 600);
    t.same(
      kept.map(({ perCall, isLeak }) => [...perCall.map(Math.round), isLeak]),
      [
        [4000, 4000, false],
        [1000, 1000, false],
        [2, 2, false],
      ],
    );
  },
);

t.test(
  'raw events that come and go are no part of what calls leave, and those that stay are a leak',
  async (t) => {
    const leaksOf = (rawEvents: (at: number) => number, from = 400, to = 600) => {
      const samples = Array.from({ length: 120 }, (_, i) => {
        const at = i * 5;
        const rawEventsBytes = rawEvents(at) * MIB;
        const usedMemoryBytes = at * 40_000 + rawEventsBytes;
        return sample(at, {
          redis: { ...IDLE_REDIS, rawEventsBytes, usedMemoryBytes, keys: at * 20, records: at * 10 },
        });
      });
      return leakProblems(leaksIn(samples, from, to));
    };
    t.same(
      leaksOf((at) => (at < 500 ? 500 - at : at - 500)),
      [],
    );
    t.match(
      leaksOf((at) => at),
      [/^Redis, raw events grows: \+3600\.0 MiB an hour/],
    );
    t.same(
      leaksOf((at) => Math.min(at, 130), 70, 190),
      [],
      'in their first two minutes none goes',
    );
  },
);

t.test('batches of events that wait in Redis count where none wait in Kamailio', async (t) => {
  const waiting = (at: number) => {
    const { proxy } = sample(at);
    return sample(at, { proxy: proxy && { ...proxy, queuedEvents: 0, eventBatchesWaiting: at } });
  };
  const samples = Array.from({ length: 120 }, (_, i) => waiting(i * 5));
  t.match(leakProblems(leaksIn(samples, 200, 600)), [/^events waiting in Kamailio and Redis grows/]);
});

t.test(
  'events that wait while Redis writes its file anew are no leak, those that only get more are',
  async (t) => {
    const leaksOf = (waiting: (at: number) => number) => {
      const samples = Array.from({ length: 120 }, (_, i) => {
        const { proxy } = sample(i * 5);
        return sample(i * 5, { proxy: proxy && { ...proxy, queuedEvents: waiting(i * 5) } });
      });
      return leakProblems(leaksIn(samples, 400, 600));
    };
    t.same(
      leaksOf((at) => (at < 530 ? at % 50 : (at - 530) * 1000)),
      [],
    );
    t.match(
      leaksOf((at) => (at % 50) + at * 2),
      [/^events waiting in Kamailio and Redis grows/],
    );
  },
);

t.test('detail records that are overdue show that the control plane is at its limit', async (t) => {
  const overdue = (at: number, recordsOverdue: number) => {
    const { proxy } = sample(at);
    return sample(at, { proxy: proxy && { ...proxy, recordsOverdue } });
  };
  t.same(saturationOf([overdue(1, 0), overdue(2, 0)]), []);
  t.match(saturationOf([overdue(1, 0), overdue(2, 5), overdue(3, 9)]), [{ at: 2, what: /detail records/ }]);
});
