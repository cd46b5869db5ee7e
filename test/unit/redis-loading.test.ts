import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import t from 'tap';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { redisProcess } from '../../control-plane/src/cli/processes.js';
import { Part } from '../harness/part.js';

/** Redis' own setting for tests: so long it takes for each command in its file, in microseconds. */
const LOAD_DELAY_US = 11_000_000;

t.test('a Redis that reads its file for over half a minute is waited for', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-test-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const port = await freePort();
  const spec = await redisProcess({ directory, host: '127.0.0.1', port });
  const first = new Part(spec, () => {});
  t.teardown(() => first.stop());
  await first.start();
  const redis = new Redis(port);
  t.teardown(() => redis.disconnect());
  for (const key of ['a', 'b', 'c']) await redis.set(key, '1');
  await first.stop();

  const slow = ['--key-load-delay', String(LOAD_DELAY_US)];
  const second = new Part({ ...spec, args: [...spec.args, ...slow] }, () => {});
  t.teardown(() => second.stop());
  await second.start();
  t.equal(await redis.exists('a', 'b', 'c'), 3);
});
