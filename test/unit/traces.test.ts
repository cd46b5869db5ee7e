import { createRequire } from 'node:module';
import t, { type Test } from 'tap';
import type { DetailRecordObserver } from '../../control-plane/src/calls/detail-records.js';
import { createTraces } from '../../control-plane/src/composition/traces.js';
import type { Config } from '../../control-plane/src/config/schema.js';
import { eventually } from '../harness/await.js';
import { startCollector } from '../harness/otlp-collector.js';
import { ANSWERED, recordsScene } from './records-fixture.js';

const modules = createRequire(import.meta.url).cache;
const isLoaded = () => Object.keys(modules).some((path) => path.includes('@opentelemetry/sdk-trace'));

async function tracesTo(t: Test, url: string, sample = 1) {
  const counts = { exported: 0, failed: 0, dropped: 0 };
  const traces = await createTraces({
    config: { traces: { otlp_url: url, headers: { 'x-key': 'k' }, sample } } as unknown as Config,
    version: '0.0.0',
    spansDone: (outcome, spans) => {
      counts[outcome] += spans;
    },
  });
  if (traces === undefined) throw new Error('no traces');
  t.teardown(() => traces.stop());
  return { traces, counts };
}

const END = { ended_at: '1790000002000', ended_by: 'carrier' };

t.test('off, nothing of OpenTelemetry is loaded', async (t) => {
  t.equal(await createTraces({ config: {} as Config, version: '0.0.0', spansDone: () => {} }), undefined);
  t.notOk(isLoaded());
});

t.test('each call has one trace with its parts and times, whoever writes its record', async (t) => {
  const { store, detailRecords, merge } = await recordsScene(t);
  const collector = await startCollector(t);
  const { traces, counts } = await tracesTo(t, collector.url);
  t.ok(isLoaded());
  const id = await merge({ ...ANSWERED, ...END });
  const ended: DetailRecordObserver = (version, _record, call) => {
    if (version === 1) traces.ended(call);
  };
  await Promise.all([1, 2, 3].map(() => detailRecords.write([id], ended)));
  await merge({ retell_disconnection_reason: 'user_hangup' }, id);
  await detailRecords.write([id], ended);
  await traces.stop();

  const { spans } = collector;
  t.equal(counts.exported, spans.length);
  t.same(new Set(collector.keys), new Set(['k']));
  t.same(new Set(spans.map(({ traceId }) => traceId)), new Set([id.replaceAll('-', '')]));
  t.equal(new Set(spans.map(({ spanId }) => spanId)).size, spans.length);
  const roots = spans.filter(({ parentSpanId }) => !parentSpanId);
  t.same(
    roots.map(({ name }) => name),
    ['call'],
  );
  const call = (await store.getAll([id]))[0];
  const times = (name: string) =>
    spans
      .filter((span) => span.name === name)
      .map(({ startTimeUnixNano, endTimeUnixNano }) =>
        [startTimeUnixNano, endTimeUnixNano].map((nano) => Number(BigInt(nano) / 1_000_000n)),
      );
  t.same(times('call'), [[Math.floor(call?.invited_at ?? call?.created_at ?? 0), 1790000002000]]);
  t.same(times('talk'), [[Math.floor(call?.answered_at ?? 0), 1790000002000]]);
  t.equal(times('setup').length, 1);
  const attributes = roots[0]?.attributes.map(({ key, value }) => [key, value.stringValue]) ?? [];
  t.match(Object.fromEntries(attributes), { 'call.id': id, direction: 'inbound', ended_by: 'carrier' });
  t.notMatch(JSON.stringify(spans.map((span) => span.attributes)), /\+\d{7}/);
});

t.test('a collector that is away blocks nothing, and what it lost is counted', async (t) => {
  const { store, merge } = await recordsScene(t);
  const { traces, counts } = await tracesTo(t, 'http://127.0.0.1:9/v1/traces');
  const [call] = await store.getAll([await merge({ ...ANSWERED, ...END })]);
  if (call === undefined) throw new Error('no call');
  for (let calls = 0; calls < 10_000; calls += 1) traces.ended(call);
  t.ok(counts.dropped > 0, 'no more than so many wait');
  await eventually('the loss of a batch', () => counts.failed > 0, 20_000);
  await traces.stop();
});

t.test('a share of the calls is traced, the same ones everywhere', async (t) => {
  const { store, merge } = await recordsScene(t);
  const collector = await startCollector(t);
  const { traces } = await tracesTo(t, collector.url, 0.5);
  const ids: string[] = [];
  for (let n = 0; n < 100; n += 1) ids.push(await merge({ ...ANSWERED, ...END }));
  for (const call of await store.getAll(ids)) if (call) traces.ended(call);
  await traces.stop();
  const traced = new Set(collector.spans.map(({ traceId }) => traceId)).size;
  t.ok(traced > 20 && traced < 80, `${traced}`);
});
