import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import t from 'tap';
import { DETAIL_RECORDS_DUE } from '../../control-plane/src/calls/merge-script.js';
import { certificateExpiries } from '../../control-plane/src/config/certificate-expiry.js';
import { SYSTEM_ROOTS } from '../../control-plane/src/config/schema/sip.js';
import type { Config } from '../../control-plane/src/config/schema.js';
import { streamOf } from '../../control-plane/src/kamailio/event-reader.js';
import { FreshReading } from '../../control-plane/src/metrics/fresh-reading.js';
import { Metrics } from '../../control-plane/src/metrics/metrics.js';
import { connectRedis } from '../../control-plane/src/redis.js';
import { redisFigures } from '../../control-plane/src/redis-figures.js';
import { WEBHOOKS } from '../../control-plane/src/retell/webhook-store.js';
import { gatewayStates } from '../../control-plane/src/routing/gateway-states.js';
import { limitUse } from '../../control-plane/src/routing/limit-use.js';
import { createGroups, GROUP } from '../../control-plane/src/stream-consumer.js';
import { makeAuthority } from '../harness/certificates.js';
import { startRedis } from './retell-fixture.js';
import { ACME, acme, configOf, globex, RETELL, startNodes } from './routing-fixture.js';

t.test('a gateway is up where a node sends calls to it, and not there where the node is away', async (t) => {
  const config = configOf();
  const { fakes, nodes } = await startNodes(t, config, ['node1', 'node2']);
  const [one, two] = fakes as [(typeof fakes)[0], (typeof fakes)[0]];
  for (const [key, gateway] of one.gateways) if (key.endsWith(ACME)) gateway.flags = 'IP';
  two.up = false;
  const latencyMs = 12;
  t.same(await gatewayStates(config, nodes), [
    { node: 'node1', owner: 'retell', uri: RETELL, up: true, latencyMs },
    { node: 'node1', owner: 'acme', uri: ACME, up: false, latencyMs },
  ]);
});

t.test(
  'a limit is used by the calls of all nodes, and how many is not known where one is away',
  async (t) => {
    const config = configOf({
      calls: { limits: { concurrent_calls: 100 } },
      carriers: [acme({ limits: { concurrent_calls: 10 } }), globex({ limits: { calls_per_second: 5 } })],
    });
    const { fakes, nodes } = await startNodes(t, config, ['node1', 'node2']);
    for (const fake of fakes)
      fake.profiles.set('retell', 18).set('fallback', 2).set('carrier acme', 3).set('carrier globex', 17);
    t.same(await limitUse(config, nodes), [
      { limit: 'overall', max: 100, used: 40 },
      { limit: 'carrier', carrier: 'acme', max: 10, used: 6 },
    ]);
    (fakes[0] as (typeof fakes)[0]).up = false;
    const away = await limitUse(config, nodes);
    t.same(
      away.map(({ max, used }) => [max, used]),
      [
        [100, undefined],
        [10, undefined],
      ],
    );
  },
);

t.test('what waits in Redis is told until it is handled', async (t) => {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const lags = async () =>
    (await redisFigures(redis, ['node1'])).lags.map(({ stream, entries }) => [stream, entries]);
  const stream = streamOf('node1');
  await createGroups(redis, [stream]);
  for (let n = 0; n < 5; n += 1) await redis.xadd(stream, '*', 'events', '[]');
  await redis.xadd(WEBHOOKS, '*', 'body', '{}');
  const all = (events: number) => [
    ['webhooks', 1],
    ['events', events],
    ['decisions', 0],
  ];
  t.same(await lags(), all(5), 'none is read');
  const reply = await redis.xreadgroup('GROUP', GROUP, 'one', 'COUNT', 3, 'STREAMS', stream, '>');
  t.same(await lags(), all(5), 'three are in hand');
  const [[, entries]] = reply as [[string, [string, string[]][]]];
  await redis.xack(stream, GROUP, ...entries.map(([id]) => id));
  t.same(await lags(), all(2));
});

t.test('detail records are overdue after a minute', async (t) => {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const now = Date.now();
  await redis.zadd(DETAIL_RECORDS_DUE, now - 61_000, 'late/1', now - 30_000, 'due/1', now + 3000, 'soon/1');
  t.equal((await redisFigures(redis, [])).overdueDetailRecords, 1);
});

t.test('where Redis is away its metrics say that it is down, and nothing else', async (t) => {
  const { url, part } = await startRedis(t);
  const redis = connectRedis(url, () => {}, 500);
  t.teardown(() => redis.disconnect());
  await redis.connect();
  const metrics = new Metrics({ version: '1.0.0', carriers: () => [] });
  const ofRedis = async () =>
    (await metrics.text())
      .split('\n')
      .filter((line) => /^retell_proxy_(redis_|stream_lag|detail_records_over)/.test(line));
  t.same(await ofRedis(), [], 'nothing is known yet');
  metrics.redis.read(await redisFigures(redis, ['node1']));
  t.equal((await ofRedis()).length, 8);
  await part.stop();
  metrics.redis.read(await redisFigures(redis, ['node1']).catch(() => undefined));
  t.same(await ofRedis(), ['retell_proxy_redis_up 0']);
});

t.test('a configured certificate tells when it ends; the roots of the system do not', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-test-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const authority = await makeAuthority(directory, 'authority');
  const tls = { certificate: authority.certificate, ca: authority.certificate };
  const expiriesOf = (files: object) => certificateExpiries({ sip: { tls: files } } as unknown as Config);
  const expiries = await expiriesOf(tls);
  t.same(
    expiries.map(({ certificate }) => certificate),
    ['server', 'ca'],
  );
  t.ok(expiries.every(({ expiresAt }) => expiresAt > Date.now()));
  t.equal((await expiriesOf({ ...tls, ca: SYSTEM_ROOTS })).length, 1);
  t.same(await expiriesOf({ certificate: join(directory, 'none.pem'), ca: SYSTEM_ROOTS }), []);
});

t.test('scrapes at the same time, and soon after, share one reading', async (t) => {
  let readings = 0;
  const reading = new FreshReading(async () => {
    readings += 1;
  }, 60_000);
  await Promise.all([reading.bring(), reading.bring()]);
  await reading.bring();
  t.equal(readings, 1);
});
