import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import {
  createGroups,
  StreamConsumer,
  type StreamConsumerOptions,
} from '../../../control-plane/src/stream-consumer.js';
import { eventually } from '../../harness/await.js';
import { startRedis } from '../retell-fixture.js';

const STREAM = 'entries';
const READ = 10;

/** A stream with entries that nobody has read, and a consumer that takes ten at once. */
async function backlog(
  t: Test,
  entries: number,
  options: Pick<StreamConsumerOptions, 'handle' | 'readsInHand'>,
): Promise<{ pending: () => Promise<unknown> }> {
  const { url } = await startRedis(t);
  const [redis, reading] = [new Redis(url), new Redis(url)];
  await createGroups(redis, [STREAM]);
  for (let i = 0; i < entries; i += 1) await redis.xadd(STREAM, '*', 'n', i);
  const consumer = new StreamConsumer({
    ...{ redis: reading, streams: [STREAM], consumer: 'one', what: 'entries', count: READ },
    warn: (detail, message) => t.fail(message, detail),
    ...options,
  });
  consumer.start();
  t.teardown(async () => {
    await consumer.stop();
    for (const connection of [redis, reading]) connection.disconnect();
  });
  return { pending: async () => ((await redis.xpending(STREAM, 'control-plane')) as [number])[0] };
}

t.test(
  'in a backlog the next entries are handled while those before wait, and all are acknowledged',
  async (t) => {
    const handled: number[] = [];
    let third: () => void = () => {};
    const thirdCame = new Promise<void>((resolve) => {
      third = resolve;
    });
    const { pending } = await backlog(t, 4 * READ, {
      readsInHand: 3,
      handle: async (_stream, entries) => {
        handled.push(entries.length);
        if (handled.length < 3) await thirdCame;
        else third();
      },
    });
    await eventually('all entries handled', () => handled.length === 4);
    t.same(handled, [READ, READ, READ, READ]);
    await eventually('no entry in hand', async () => (await pending()) === 0);
  },
);

for (const readsInHand of [1, 3]) {
  t.test(`never are the entries of more than ${readsInHand} reads in hand`, async (t) => {
    let inHand = 0;
    let handled = 0;
    const { pending } = await backlog(t, 7 * READ, {
      readsInHand,
      handle: async (_stream, entries) => {
        inHand += 1;
        t.ok(inHand <= readsInHand, `${inHand} in hand`);
        await new Promise(setImmediate);
        inHand -= 1;
        handled += entries.length;
      },
    });
    await eventually('all entries handled', async () => handled === 7 * READ && (await pending()) === 0);
  });
}
