import t from 'tap';
import { Pace } from '../../../control-plane/src/calls/hangup-jobs/pace.js';

const { signal } = new AbortController();

t.test('the first starts at once and alone, and no more at once than there is room for', async (t) => {
  t.equal(await new Pace(1).next(100, signal), 1);
  const fast = new Pace(2000);
  t.equal(await fast.next(1, signal), 1);
  for (let i = 0; i < 5; i++) t.equal(await fast.next(1, signal), 1);
});

t.test('starts take at least the time that the rate asks for', async (t) => {
  const pace = new Pace(200);
  const began = performance.now();
  let starts = 0;
  while (starts < 21) starts += await pace.next(1000, signal);
  // The first is free; each other one waits for its 5 ms.
  t.ok(performance.now() - began >= (starts - 1) * 5 - 2, `${starts} starts`);
});

t.test('after a long pause no more than 100 ms of the rate start at once', async (t) => {
  const pace = new Pace(100);
  await pace.next(1, signal);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.ok((await pace.next(1000, signal)) <= 11);
});

t.test('a wait ends when it is told to', async (t) => {
  const pace = new Pace(1);
  await pace.next(1, signal);
  const stopping = new AbortController();
  const waiting = pace.next(1, stopping.signal);
  stopping.abort();
  await t.rejects(waiting, { name: 'AbortError' });
});
