import { Redis } from 'ioredis';
import t from 'tap';
import { EventBacklog } from '../../../control-plane/src/kamailio/event-backlog.js';
import { streamOf } from '../../../control-plane/src/kamailio/event-reader.js';
import { createGroups, GROUP } from '../../../control-plane/src/stream-consumer.js';
import { startRedis } from '../retell-fixture.js';

t.test('old events are forgotten once they are handled, never before', async (t) => {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const backlog = new EventBacklog(redis);
  const stream = streamOf('node1');
  const left = async () => (await redis.xrange(stream, '-', '+')).map(([id]) => id);
  await backlog.trim('node1', 9000);
  for (const ms of [1000, 2000, 3000, 4000, 9500]) await redis.xadd(stream, `${ms}-0`, 'events', '[]');
  await createGroups(redis, [stream]);
  await backlog.trim('node1', 9000);
  t.equal((await left()).length, 5, 'nothing is read yet');
  await redis.xreadgroup('GROUP', GROUP, 'one', 'COUNT', 3, 'STREAMS', stream, '>');
  await redis.xack(stream, GROUP, '1000-0');
  await backlog.trim('node1', 9000);
  t.same(await left(), ['2000-0', '3000-0', '4000-0', '9500-0'], 'two are in hand');
  await redis.xreadgroup('GROUP', GROUP, 'one', 'STREAMS', stream, '>');
  await redis.xack(stream, GROUP, '2000-0', '3000-0', '4000-0', '9500-0');
  await backlog.trim('node1', 9000);
  t.same(await left(), ['9500-0']);
});
