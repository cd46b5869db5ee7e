import t from 'tap';
import { eventually } from '../harness/await.js';
import { startCollector } from '../harness/otlp-collector.js';
import { establish, recordOf, startScene } from '../harness/scene.js';

t.test('a call that the API ends has one trace from two replicas, without its numbers', async (t) => {
  const { url, spans } = await startCollector(t);
  const scene = await startScene(t, { replicas: 2, config: { traces: { otlp_url: url } } });
  const { caller, record } = await establish(scene);
  const { body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`, {});
  t.equal(body.outcome, 'ended');
  const ended = await recordOf(scene.stack, caller.callId, 'ended');

  const root = await eventually('the trace', () => spans.find(({ name }) => name === 'call'));
  t.same(
    spans.map(({ name }) => name).sort(),
    ['attempt', 'bye', 'bye', 'call', 'hangup', 'ringing', 'setup', 'talk'],
    'each part once',
  );
  for (const span of spans) {
    t.equal(span.traceId, record.id.replaceAll('-', ''));
    if (span !== root) t.equal(span.parentSpanId, root.spanId);
    t.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano));
  }
  const at = (nano: string) => new Date(Number(BigInt(nano) / 1_000_000n)).toISOString();
  t.equal(at(root.startTimeUnixNano), ended.invited_at);
  t.equal(at(root.endTimeUnixNano), ended.ended_at);
  const talk = spans.find(({ name }) => name === 'talk');
  t.equal(talk && at(talk.startTimeUnixNano), ended.answered_at);
  t.notMatch(JSON.stringify(spans), /1415555/);
  await eventually('the count', async () =>
    /^retell_proxy_trace_spans_total\{outcome="exported"\} \d$/m.test(
      (await Promise.all(scene.stack.apis.map((api) => api.get('/metrics'))))
        .map(({ body: text }) => text)
        .join(),
    ),
  );
});
