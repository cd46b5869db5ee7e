import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import {
  type DecisionQuestion,
  parseQuestion,
  QuestionFormatError,
} from '../../../control-plane/src/routing/decision-question.js';
import { Decisions, type DecisionsOptions } from '../../../control-plane/src/routing/decisions.js';
import type { DecisionNode } from '../../../control-plane/src/routing/register.js';
import { eventually } from '../../harness/await.js';
import { startRedis } from '../retell-fixture.js';

const b64 = (text: string) => Buffer.from(text).toString('base64');

/** A question as Kamailio writes it. */
function written(fields: Record<string, string> = {}): string {
  return JSON.stringify({
    id: randomUUID(),
    at: `${Math.floor(Date.now() / 1000)}:0`,
    t_index: '4711',
    t_label: '4294967295',
    number: '+14155550101',
    carrier: 'acme',
    from: b64('+14155550123'),
    to: b64('+14155550101'),
    sip_call_id: b64('a@198.51.100.10'),
    ...fields,
  });
}

const NODE: DecisionNode = { decide: async () => true };

interface Scene {
  redis: Redis;
  decisions: Decisions;
  settled: DecisionQuestion[];
  turnedAway: DecisionQuestion[];
  outcomes: string[];
  ask: (text: string, node?: string) => Promise<unknown>;
}

/** Decisions of node1 and node2 that run; `settle` says what becomes of each. */
async function scene(
  t: Test,
  options: Partial<DecisionsOptions> & { url?: string } = {},
  settle: (
    question: DecisionQuestion,
    signal: AbortSignal,
    node: DecisionNode,
  ) => Promise<void> = async () => {},
): Promise<Scene> {
  const { url = (await startRedis(t)).url, ...others } = options;
  const redis = new Redis(url);
  const reading = new Redis(url, { maxRetriesPerRequest: null });
  t.teardown(() => {
    redis.disconnect();
    reading.disconnect();
  });
  const settled: DecisionQuestion[] = [];
  const turnedAway: DecisionQuestion[] = [];
  const outcomes: string[] = [];
  const decisions = new Decisions({
    redis: reading,
    nodes: new Map([
      ['node1', NODE],
      ['node2', { ...NODE }],
    ]),
    consumer: 'test',
    register: {
      settle: async (node, question, signal) => {
        settled.push(question);
        await settle(question, signal, node);
      },
      turnAway: async (_node, question) => {
        turnedAway.push(question);
      },
    },
    observer: { decided: (outcome) => outcomes.push(outcome) },
    warn: () => {},
    ...others,
  });
  decisions.start();
  t.teardown(() => decisions.stop());
  const ask = (text: string, node = 'node1') => redis.xadd(`sip:decisions:${node}`, '*', 'decision', text);
  return { redis, decisions, settled, turnedAway, outcomes, ask };
}

t.test('a question is read as Kamailio writes it', (t) => {
  t.same(parseQuestion(written({ id: 'id1', at: '1795468584:568792' })), {
    id: 'id1',
    atMs: 1_795_468_584_568.792,
    t_index: '4711',
    t_label: '4294967295',
    number: '+14155550101',
    carrier: 'acme',
    from: '+14155550123',
  });
  t.equal(parseQuestion(written({ from: '<null>' })).from, '');
  t.end();
});

t.test('a question that cannot be answered says what is wrong with it', (t) => {
  for (const [text, message] of [
    ['{', /not JSON/],
    ['5', /no object/],
    [written({ id: '' }), /usable id/],
    [written({ at: 'soon' }), /usable at/],
    [written({ t_index: '<null>' }), /usable t_index/],
    [written({ t_label: '1;2' }), /usable t_label/],
    [written({ number: '<null>' }), /usable number/],
  ] as const) {
    t.throws(() => parseQuestion(text), { name: 'QuestionFormatError', message }, text);
  }
  t.ok(new QuestionFormatError('x') instanceof Error);
  t.end();
});

t.test('questions of every node are settled by their own node', async (t) => {
  const nodes: DecisionNode[] = [];
  const s = await scene(t, {}, async (_question, _signal, node) => void nodes.push(node));
  await s.ask(written());
  await s.ask(written(), 'node2');
  await eventually('both are settled', () => s.settled.length === 2);
  t.equal(new Set(nodes).size, 2);
});

t.test('a question that is slow holds up no other', async (t) => {
  const s = await scene(t, {}, (question, signal) =>
    question.id === 'slow'
      ? new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
      : Promise.resolve(),
  );
  await s.ask(written({ id: 'slow' }));
  await eventually('the slow one is in hand', () => s.decisions.inHand === 1);
  for (let i = 0; i < 10; i += 1) await s.ask(written());
  await eventually('the others are settled', () => s.settled.length === 11 && s.decisions.inHand === 1);
});

t.test('questions beyond the bound are turned away at once', async (t) => {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const s = await scene(t, { maxInHand: 2 }, () => released);
  for (let i = 0; i < 5; i += 1) await s.ask(written());
  await eventually('three are turned away', () => s.turnedAway.length === 3);
  t.equal(s.settled.length, 2);
  release();
  await eventually('nothing is in hand', () => s.decisions.inHand === 0);
  await s.ask(written());
  await eventually('the next one is settled', () => s.settled.length === 3);
});

t.test('a question that comes again while it is in hand is not settled twice', async (t) => {
  const s = await scene(
    t,
    {},
    (_question, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
  );
  const text = written();
  await s.ask(text);
  await s.ask(text);
  await eventually('the second is counted', () => s.outcomes.includes('duplicate'));
  t.equal(s.settled.length, 1);
});

t.test('of two replicas one takes a question, and nothing stays unacknowledged', async (t) => {
  const { url } = await startRedis(t);
  const one = await scene(t, { url, consumer: 'one' });
  const two = await scene(t, { url, consumer: 'two' });
  for (let i = 0; i < 50; i += 1) await one.ask(written({ id: String(i) }));
  await eventually('all are settled', () => one.settled.length + two.settled.length >= 50);
  t.equal(new Set([...one.settled, ...two.settled].map(({ id }) => id)).size, 50);
  t.equal(one.settled.length + two.settled.length, 50);
  t.match(await one.redis.xpending('sip:decisions:node1', 'control-plane'), [0]);
});

t.test('an unreadable question is counted and those behind it are settled', async (t) => {
  const s = await scene(t);
  await s.ask('{');
  await s.redis.xadd('sip:decisions:node1', '*', 'other', 'x');
  await s.ask(written());
  await eventually('the good one is settled', () => s.settled.length === 1);
  t.same(s.outcomes, ['unreadable', 'unreadable']);
});

t.test('a Redis that lost its data is read again', async (t) => {
  const s = await scene(t);
  await s.ask(written());
  await eventually('the first is settled', () => s.settled.length === 1);
  await s.redis.flushall();
  await s.ask(written());
  await eventually('the second is settled', () => s.settled.length === 2);
});

t.test('a stop gives up what is not settled in a while', async (t) => {
  const s = await scene(
    t,
    {},
    (_question, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
  );
  await s.ask(written());
  await eventually('it is in hand', () => s.decisions.inHand === 1);
  await s.decisions.stop();
  t.equal(s.decisions.inHand, 0);
  await s.ask(written());
  t.equal(s.settled.length, 1, 'no other is read');
});
