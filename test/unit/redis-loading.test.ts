import { Redis } from 'ioredis';
import t from 'tap';
import { startRedis } from './retell-fixture.js';

/** Redis' own setting for tests: so long it takes for each command in its file, in microseconds. */
const LOAD_DELAY_US = 11_000_000;

t.test('a Redis that reads its file for over half a minute is waited for', async (t) => {
  const { url, part } = await startRedis(t, ['--key-load-delay', String(LOAD_DELAY_US)]);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  for (const key of ['a', 'b', 'c']) await redis.set(key, '1');
  await part.stop();
  await part.start();
  t.equal(await redis.exists('a', 'b', 'c'), 3);
});
