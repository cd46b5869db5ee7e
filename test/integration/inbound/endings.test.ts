import { createSocket } from 'node:dgram';
import t from 'tap';
import { eventually, SILENCE_MS } from '../../harness/await.js';
import { dial, establish, noDialogLeft, recordOf, type Scene, startScene } from '../../harness/scene.js';
import type { IncomingRequest, SipCall } from '../../harness/sip-peer.js';
import { answerByesWith } from '../../harness/staged-calls.js';

/** The call's record, once it has what the final response to its BYE brings. */
async function confirmed({ stack }: Scene, { callId }: { callId: string }) {
  return eventually('the session disconnect delay', async () => {
    const record = await recordOf(stack, callId, 'ended');
    return record.sdd_ms === null ? undefined : record;
  });
}

/** How often each kind of event is in the stream. */
async function countOf({ stack }: Scene, type: string): Promise<number> {
  const entries = await stack.redis.xrange('sip:events:node1', '-', '+');
  return entries
    .flatMap(([, fields]) => JSON.parse(fields[1] ?? '[]') as { type: string }[])
    .filter((event) => event.type === type).length;
}

async function repliesReceived({ stack }: Scene): Promise<number> {
  const statistics = (await stack.rpc.call('stats.fetch', ['core:rcv_replies'])) as Record<string, string>;
  return Number(statistics['core.rcv_replies']);
}

const ms = (from: string, to: string) => Date.parse(to) - Date.parse(from);

for (const side of ['carrier', 'retell'] as const) {
  t.test(`a BYE of ${side} tells its cause, and how long its response took`, async (t) => {
    const scene = await startScene(t);
    const { caller, callee } = await establish(scene);
    const leg: SipCall = side === 'carrier' ? caller : callee;
    const bye = await leg.bye([
      ['Reason', 'SIP;cause=200;text="Call completed elsewhere"'],
      ['Reason', 'Q.850;cause=16;text="Normal call clearing, \\"bye\\""'],
    ]);
    t.equal(bye.status, 200);
    const record = await confirmed(scene, caller);
    t.match(record, {
      ended_by: side,
      q850_cause: 16,
      reason_text: 'Normal call clearing, "bye"',
      reason: null,
      codec: 'PCMU',
    });
    t.match(record.timeline.at(-1), { type: 'bye_confirmed', status: 200 });
    t.ok(record.sdd_ms > 0);
    t.ok(Math.abs(record.duration_ms - ms(record.answered_at, record.ended_at)) <= 1);
    t.ok(Math.abs(record.setup_ms - ms(record.created_at, record.answered_at)) <= 1);
    t.ok(Math.abs(record.srd_ms - ms(record.created_at, record.ringing_at)) <= 1);
    t.equal(await countOf(scene, 'bye_confirmed'), 1);
  });
}

t.test('a BYE without a Reason, answered 481, has no cause and a delay', async (t) => {
  const scene = await startScene(t);
  const { caller, callee } = await establish(scene);
  answerByesWith(callee, 481);
  t.equal((await caller.bye()).status, 481);
  const record = await confirmed(scene, caller);
  t.match(record, { ended_by: 'carrier', q850_cause: null, reason_text: null });
  t.match(record.timeline.at(-1), { type: 'bye_confirmed', status: 481 });
});

t.test('a BYE that is lost three times arrives all the same', async (t) => {
  const scene = await startScene(t);
  const { caller, callee } = await establish(scene);
  const arrived = new Promise<IncomingRequest>((resolve) => callee.on('BYE', resolve));
  const answer = caller.bye();
  const request = await arrived;
  await eventually('the BYE comes a fourth time', async () => {
    const copies = scene.retell.trace.filter(
      ({ direction, message }) =>
        direction === 'in' && message.method === 'BYE' && message.callId === callee.callId,
    );
    return copies.length > 3 ? copies : undefined;
  });
  request.reply(200);
  t.equal((await answer).status, 200);
  t.match(await confirmed(scene, caller), { ended_by: 'carrier' });
  await noDialogLeft(scene.stack);
});

t.test('of the BYEs of both sides at once only the first is confirmed', async (t) => {
  const scene = await startScene(t);
  const { caller, callee } = await establish(scene);
  await Promise.all([caller.bye(), callee.bye()]);
  await confirmed(scene, caller);
  const next = await establish(scene);
  await next.caller.bye();
  await confirmed(scene, next.caller);
  t.equal(await countOf(scene, 'bye_confirmed'), 2, 'of two calls');
});

t.test('a response to a BYE that comes twice is told once', async (t) => {
  const scene = await startScene(t);
  const { caller } = await establish(scene);
  await caller.bye();
  await confirmed(scene, caller);
  const response = scene.retell.trace.find(
    ({ direction, message }) => direction === 'out' && message.method === 'BYE',
  );
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  const { host, port } = scene.stack.sip;
  const received = await repliesReceived(scene);
  await new Promise((resolve) => socket.send(response?.message.raw ?? '', port, host, resolve));
  await eventually('Kamailio has it', async () => (await repliesReceived(scene)) > received);
  const next = await establish(scene);
  await next.caller.bye();
  await confirmed(scene, next.caller);
  t.equal(await countOf(scene, 'bye_confirmed'), 2, 'of two calls');
});

t.test('a hangup by the API takes as long as the slower leg', async (t) => {
  const scene = await startScene(t);
  const { caller, callee, record: answered } = await establish(scene);
  callee.on('BYE', async (request) => {
    // The other leg is done before this one is.
    await eventually("the carrier's answer", async () => {
      const { timeline } = (await scene.stack.api.get(`/v1/calls/${answered.id}`)).body;
      return legsAnswered(timeline).includes('carrier');
    });
    request.reply(200);
  });
  const { body } = await scene.stack.api.post(`/v1/calls/${answered.id}/hangup`);
  t.equal(body.outcome, 'ended');
  const record = await confirmed(scene, caller);
  t.match(record, { ended_by: 'api', q850_cause: null });
  t.same(legsAnswered(record.timeline), ['carrier', 'retell']);
  t.ok(Math.abs(record.sdd_ms - delayOf(record.timeline, 'retell')) <= 1);
  t.ok(record.sdd_ms > delayOf(record.timeline, 'carrier'));
  t.equal(await countOf(scene, 'bye_confirmed'), 0);
});

t.test('a hangup that a leg never answers has no delay', async (t) => {
  const scene = await startScene(t, { config: { calls: { hangup_timeout_ms: SILENCE_MS } } });
  const { callee, record } = await establish(scene);
  answerByesWith(callee, 'silence');
  const { body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(body.outcome, 'partial');
  t.equal((await scene.stack.api.get(`/v1/calls/${record.id}`)).body.sdd_ms, null);
});

t.test('the cause of a BYE is known where its dialog is not', async (t) => {
  const scene = await startScene(t);
  const { caller, callee } = await establish(scene);
  await scene.stack.parts.kamailio.kill();
  await scene.stack.parts.kamailio.start();
  t.equal((await callee.bye([['Reason', 'Q.850;cause=31']])).status, 200);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.match(record, { ended_by: 'retell', q850_cause: 31, sdd_ms: null });
});

t.test('a call whose caller gives up has a delay to its first response, and no others', async (t) => {
  const scene = await startScene(t);
  scene.retell.onInvite = (call) => call.ring();
  const caller = dial(scene);
  await caller.response(180);
  await caller.cancel();
  t.equal((await caller.finalResponse()).status, 487);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.match(record, { setup_ms: null, duration_ms: null, sdd_ms: null, q850_cause: null });
  t.ok(Math.abs(record.srd_ms - ms(record.created_at, record.ringing_at)) <= 1);
  t.match(record.attempts, [{ carrier: null, status: 487, ringing_at: record.ringing_at }]);
});

type Timeline = { at: string; type: string; leg?: string }[];

function legsAnswered(timeline: Timeline) {
  return timeline.filter(({ type }) => type === 'bye_answered').map(({ leg }) => leg);
}

function delayOf(timeline: Timeline, leg: string): number {
  const at = (type: string) => timeline.find((entry) => entry.type === type && entry.leg === leg)?.at ?? '';
  return ms(at('bye_sent'), at('bye_answered'));
}
