import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { DUE_KINDS, type DueKind } from '../../../control-plane/src/calls/due/kinds.js';
import { DueWork, type DueWorkOptions, Unfinished } from '../../../control-plane/src/calls/due/work.js';
import { connectRedis } from '../../../control-plane/src/redis.js';
import { eventually } from '../../harness/await.js';
import { startRedis } from '../retell-fixture.js';

/** Workers on one Redis of the test's own, and what they did. */
async function startWork(t: Test) {
  const { url, part } = await startRedis(t);
  const connect = async () => {
    const redis = connectRedis(url, () => {}, 500);
    await redis.connect();
    t.teardown(() => redis.disconnect());
    return redis;
  };
  const redis = await connect();
  const done: string[] = [];
  const tried: string[] = [];
  const overdue: number[] = [];
  /** A worker on a connection of its own; what it does with each piece of any kind. */
  const worker = async (
    handle: (member: string) => Promise<void> = async () => {},
    options: Partial<DueWorkOptions> = {},
  ) => {
    const handler = (kind: DueKind) => async (id: string) => {
      await handle(`${kind}:${id}`);
      done.push(`${kind}:${id}`);
    };
    const work = new DueWork({
      redis: await connect(),
      handlers: Object.fromEntries(
        DUE_KINDS.map((kind) => [kind, handler(kind)]),
      ) as unknown as DueWorkOptions['handlers'],
      warn: () => {},
      tried: (kind, outcome) => tried.push(`${kind} ${outcome}`),
      overdue: (pieces) => overdue.push(pieces),
      pollMs: 5,
      policy: { firstMs: 1 },
      ...options,
    });
    t.teardown(() => work.stop());
    return work;
  };
  const nothingLeft = () =>
    eventually('nothing is due any more', async () => (await redis.keys('calls:due*')).length === 0);
  return { redis, part, worker, done, tried, overdue, nothingLeft };
}

/** Takes what is due, as a worker does that dies then. */
async function claim(redis: Redis, leaseMs: number) {
  const keys = DUE_KINDS.map((kind) => `calls:due:${kind}`);
  const rooms = DUE_KINDS.flatMap((kind) => [kind, 20]);
  return (await redis.claimDue('calls:due-tries', ...keys, leaseMs, ...rooms)).slice(1);
}

t.test('work is done when it is due, not before, and is gone then', async (t) => {
  const { redis, worker, done, tried, nothingLeft } = await startWork(t);
  const work = await worker();
  await work.schedule('max_duration', 'later', Date.now() + 3_600_000);
  await work.schedule('missing_bye', 'now', Date.now());
  work.start();
  await eventually('the piece is done', () => done.length === 1);
  t.same(done, ['missing_bye:now']);
  t.same(tried, ['missing_bye done']);
  await eventually('only the other is left', async () => (await redis.zcard('calls:due:max_duration')) === 1);
  await work.forget('max_duration', 'later');
  await nothingLeft();
});

t.test('the first time stays, and what is taken back is not done', async (t) => {
  const { redis, worker, done } = await startWork(t);
  const work = await worker();
  await work.apply([
    { kind: 'max_duration', id: 'a', atMs: 1_000_000 },
    { kind: 'max_duration', id: 'b', atMs: 1_000_000 },
    { kind: 'max_duration', id: 'b' },
  ]);
  await work.schedule('max_duration', 'a', 2_000_000);
  t.equal(await redis.zscore('calls:due:max_duration', 'a'), '1000000');
  t.equal(await redis.zscore('calls:due:max_duration', 'b'), null);
  await work.forget('max_duration', 'a');
  await work.forget('max_duration', 'a');
  await work.schedule('missing_bye', 'c', 0);
  work.start();
  await eventually('the third is done', () => done.length > 0);
  t.same(done, ['missing_bye:c']);
});

t.test('two workers do each piece once, all at once or not', async (t) => {
  const { worker, done, nothingLeft } = await startWork(t);
  const slow = async () => void (await delay(Math.random() * 10));
  const [one, two] = [await worker(slow), await worker(slow)];
  await one.apply(
    Array.from({ length: 500 }, (_, i) => ({ kind: 'retell_lingers' as const, id: `${i}`, atMs: 0 })),
  );
  one.start();
  two.start();
  await nothingLeft();
  t.equal(done.length, 500);
  t.equal(new Set(done).size, 500);
});

t.test('no worker has more than twenty pieces in hand, and what waits is told', async (t) => {
  const { worker, done, overdue, nothingLeft } = await startWork(t);
  let inHand = 0;
  let most = 0;
  const work = await worker(async () => {
    inHand += 1;
    most = Math.max(most, inHand);
    await delay(5);
    inHand -= 1;
  });
  await work.apply(
    Array.from({ length: 60 }, (_, i) => ({ kind: 'missing_bye' as const, id: `${i}`, atMs: 0 })),
  );
  work.start();
  await nothingLeft();
  t.equal(done.length, 60);
  t.equal(most, 20);
  t.equal(overdue[0], 40);
  await eventually('nothing waits', () => overdue.at(-1) === 0);
});

t.test('what a worker left in hand is done by another when the lease is over', async (t) => {
  const { redis, worker, done, nothingLeft } = await startWork(t);
  const other = await worker(undefined, { redis });
  await other.schedule('dialog_lingers', 'orphan', 0);
  // A worker that took it and died: its lease is all that it left.
  const leaseMs = 300;
  t.same(await claim(redis, leaseMs), ['dialog_lingers', 'orphan', 1]);
  const leasedUntil = Number(await redis.zscore('calls:due:dialog_lingers', 'orphan'));
  other.start();
  await nothingLeft();
  t.same(done, ['dialog_lingers:orphan']);
  t.ok(Date.now() >= leasedUntil, 'not before the lease was over');
});

t.test('work that takes longer than its lease is not taken by another', async (t) => {
  const { worker, done, nothingLeft } = await startWork(t);
  const slow = async () => void (await delay(400));
  const [one, two] = [await worker(slow, { leaseMs: 100 }), await worker(slow, { leaseMs: 100 })];
  await one.schedule('dialog_lingers', 'long', 0);
  one.start();
  two.start();
  await nothingLeft();
  t.same(done, ['dialog_lingers:long']);
});

t.test('what fails is tried again', async (t) => {
  const { worker, done, tried, nothingLeft } = await startWork(t);
  let failures = 3;
  const work = await worker(async () => {
    failures -= 1;
    if (failures >= 0) throw new Error('not yet');
  });
  await work.schedule('retell_lingers', 'a', 0);
  work.start();
  await nothingLeft();
  t.same(done, ['retell_lingers:a']);
  t.same(tried, [...Array(3).fill('retell_lingers failed'), 'retell_lingers done']);
});

t.test('what fails ten times is dropped, and stops nobody else', async (t) => {
  const { worker, done, tried, nothingLeft } = await startWork(t);
  const work = await worker(async (member) => {
    if (member === 'retell_lingers:bad') throw new Error('never');
  });
  await work.schedule('retell_lingers', 'bad', 0);
  await work.schedule('max_duration', 'good', 0);
  work.start();
  await nothingLeft();
  t.same(done, ['max_duration:good']);
  const bad = tried.filter((each) => each.startsWith('retell_lingers'));
  t.same(bad, [...Array(9).fill('retell_lingers failed'), 'retell_lingers dropped']);
});

t.test('a piece that kills whoever takes it is dropped in the end', async (t) => {
  const { redis, worker, done, tried, nothingLeft } = await startWork(t);
  const work = await worker(undefined, { redis });
  await work.schedule('missing_bye', 'deadly', 0);
  for (let i = 0; i < 10; i += 1) {
    await redis.zadd('calls:due:missing_bye', 'XX', 0, 'deadly');
    await claim(redis, 1);
  }
  work.start();
  await nothingLeft();
  t.same(done, []);
  t.same(tried, ['missing_bye dropped']);
});

t.test('what is put back comes again later, and that is no try', async (t) => {
  const { redis, worker, done, tried, nothingLeft } = await startWork(t);
  let putBack = 30;
  const work = await worker(
    async () => {
      putBack -= 1;
      if (putBack >= 0) throw new Unfinished('not now', 1);
    },
    { warn: (_detail, message) => t.fail(message) },
  );
  await work.schedule('retell_lingers', 'a', 0);
  work.start();
  await nothingLeft();
  t.same(done, ['retell_lingers:a']);
  t.same(tried, ['retell_lingers done']);
  t.equal(await redis.exists('calls:due-tries'), 0);
});

t.test('a pause is as long as the policy says, give or take its jitter', async (t) => {
  const { redis, worker, tried } = await startWork(t);
  const hour = 3_600_000;
  const work = await worker(() => Promise.reject(new Unfinished('not yet')), {
    policy: { firstMs: hour, largestMs: hour, jitter: 0.2 },
    warn: (_detail, message) => t.fail(message),
  });
  const ids = Array.from({ length: 20 }, (_, i) => `${i}`);
  await work.apply(ids.map((id) => ({ kind: 'retell_lingers' as const, id, atMs: 0 })));
  const before = Date.now();
  work.start();
  await eventually('all have failed', () => tried.length === ids.length);
  await work.stop();
  const due = await redis.zrange('calls:due:retell_lingers', '0', '-1', 'WITHSCORES');
  const pauses = due.filter((_, i) => i % 2 === 1).map((at) => Number(at) - before);
  t.ok(pauses.every((pause) => pause > 0.79 * hour && pause < 1.21 * hour));
  t.ok(Math.max(...pauses) - Math.min(...pauses) > 0.05 * hour, 'they come back apart');
});

t.test('a kind whose work is slow holds up no other', async (t) => {
  const { worker, done } = await startWork(t);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const work = await worker(async (member) => {
    if (member.startsWith('retell_lingers')) await held;
  });
  await work.apply(
    Array.from({ length: 40 }, (_, i) => ({ kind: 'retell_lingers' as const, id: `${i}`, atMs: 0 })),
  );
  await work.apply(
    Array.from({ length: 60 }, (_, i) => ({ kind: 'missing_bye' as const, id: `${i}`, atMs: 1 })),
  );
  work.start();
  await eventually('the others are done', () => done.length === 60);
  t.same(new Set(done.map((member) => member.split(':')[0])), new Set(['missing_bye']));
  release();
  await eventually('and then the slow ones', () => done.length === 100);
});

t.test('a stop waits for what is in hand and takes nothing more', async (t) => {
  const { redis, worker, done } = await startWork(t);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let begun = false;
  // No look is under way when it stops: the next one would come in a minute.
  const options = { pollMs: 60_000 };
  const work = await worker(async () => {
    begun = true;
    await held;
  }, options);
  await work.schedule('max_duration', 'a', 0);
  work.start();
  await eventually('it has begun', () => begun);
  const stopped = work.stop();
  await work.schedule('max_duration', 'b', 0);
  release();
  await stopped;
  t.same(done, ['max_duration:a']);
  t.same(await redis.zrange('calls:due:max_duration', '0', '-1'), ['b']);
});

t.test('it goes on when Redis is back', async (t) => {
  const { part, worker, done } = await startWork(t);
  const work = await worker();
  work.start();
  await part.stop();
  await t.rejects(work.schedule('max_duration', 'a', 0));
  await part.start();
  await eventually('it is scheduled', async () => {
    await work.schedule('max_duration', 'a', 0);
    return true;
  });
  await eventually('it is done', () => done.length >= 1);
});
