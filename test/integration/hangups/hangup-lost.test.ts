import t, { type Test } from 'tap';
import { SILENCE_MS } from '../../harness/await.js';
import { oneCarrier } from '../../harness/outbound.js';
import { recordOf } from '../../harness/scene.js';
import type { StackOptions } from '../../harness/stack.js';
import {
  answerByesWith,
  type Direction,
  received,
  Stage,
  type StagedCall,
} from '../../harness/staged-calls.js';

const CALLS = 200;
const BATCH = 25;

async function startStage(t: Test, config: StackOptions['config'] = {}): Promise<Stage> {
  return new Stage(await oneCarrier(t, { config }));
}

async function restartKamailio({ scene }: Stage): Promise<void> {
  await scene.stack.parts.kamailio.kill();
  await scene.stack.parts.kamailio.start();
}

const hangup = ({ scene }: Stage, { id }: StagedCall) =>
  scene.stack.api.post(`/v1/calls/${id}/hangup`, { reason: 'maintenance' });

/** Does something for each, some at a time. */
async function inBatches<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += BATCH) {
    results.push(...(await Promise.all(items.slice(at, at + BATCH).map(act))));
  }
  return results;
}

t.test('200 calls whose Kamailio was killed are hung up once it is back', async (t) => {
  const stage = await startStage(t);
  const directions = Array.from(
    { length: CALLS },
    (_, i): Direction => (i % 2 === 0 ? 'inbound' : 'outbound'),
  );
  const calls = await inBatches(directions, (direction) => stage.answered(direction));
  await restartKamailio(stage);
  const answers = await inBatches(calls, (call) => hangup(stage, call));
  t.same(new Set(answers.map(({ body }) => body.outcome)), new Set(['ended']));
  for (const { caller, callee } of calls) {
    for (const peer of [stage.scene.carrier, stage.scene.retell]) {
      if (received(peer, 'BYE', caller) !== 1)
        t.fail(`${received(peer, 'BYE', caller)} BYEs in a leg of ${caller.callId}`);
    }
    await Promise.all([caller.ended, callee.ended]);
  }
  t.equal(await stage.scene.stack.redis.zcard('calls:open'), 0);
});

t.test('the BYE of a lost dialog has the tags, the route set, the reason and a higher CSeq', async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  const { caller, callee } = call;
  t.equal((await caller.request('INFO')).status, 200);
  await restartKamailio(stage);
  const { body } = await hangup(stage, call);
  t.same(body, {
    outcome: 'ended',
    legs: [
      { leg: 'carrier', method: 'BYE', status: 200, sent: 1 },
      { leg: 'retell', method: 'BYE', status: 200, sent: 1 },
    ],
  });
  for (const [end, other] of [
    [caller, callee],
    [callee, caller],
  ] as const) {
    const { message } = await end.next('BYE');
    t.equal(message.toTag, end.localTag);
    t.equal(message.fromTag, other.localTag);
    t.ok(message.cseq >= 1000);
    t.equal(message.get('reason'), 'SIP;cause=200;text="maintenance"');
  }
  const record = await recordOf(stage.scene.stack, caller.callId, 'ended');
  t.equal(record.ended_by, 'api');
  t.equal((await hangup(stage, call)).body.outcome, 'already_ended');
});

t.test('a lost dialog whose callee is silent makes the outcome partial', async (t) => {
  const stage = await startStage(t, { calls: { hangup_timeout_ms: SILENCE_MS } });
  const call = await stage.answered();
  answerByesWith(call.callee, 'silence');
  await restartKamailio(stage);
  const { body } = await hangup(stage, call);
  t.match(body, { outcome: 'partial', legs: [{ status: 200 }, { status: 'timeout', sent: 1 }] });
});

t.test('a call that rang when Kamailio was killed cannot be ended, and the outcome says so', async (t) => {
  const stage = await startStage(t);
  const call = await stage.ringing();
  await restartKamailio(stage);
  const { body } = await hangup(stage, call);
  t.match(body, {
    outcome: 'failed',
    legs: [
      { method: null, sent: 0 },
      { method: null, sent: 0 },
    ],
  });
  t.equal(await stage.scene.stack.redis.exists(`lock:hangup:${call.id}`), 0, 'the next one is not held up');
});

t.test('a call whose node was killed for good is ended through another node', async (t) => {
  const scene = await oneCarrier(t, { nodes: 2 });
  const [first, second] = scene.stack.nodes;
  if (second === undefined) throw new Error('no second node');
  const stage = new Stage(scene);
  const call = await stage.answered();
  await first.part.kill();
  const { body } = await hangup(stage, call);
  t.match(body, {
    outcome: 'ended',
    legs: [
      { method: 'BYE', status: 200 },
      { method: 'BYE', status: 200 },
    ],
  });
  for (const end of [call.caller, call.callee]) {
    t.match((await end.next('BYE')).message.list('via')[0], `:${second.sip.port}`);
  }
  t.equal((await recordOf(scene.stack, call.caller.callId, 'ended')).ended_by, 'api');
});
