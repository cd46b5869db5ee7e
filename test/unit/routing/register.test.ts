import { randomInt, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import type { Call } from '../../../control-plane/src/calls/call.js';
import { timeline } from '../../../control-plane/src/calls/record.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { freePort } from '../../../control-plane/src/cli/ports.js';
import { KamailioError } from '../../../control-plane/src/kamailio/errors.js';
import type { Decision } from '../../../control-plane/src/kamailio/node.js';
import { RetellApi } from '../../../control-plane/src/retell/api.js';
import type { DecisionQuestion } from '../../../control-plane/src/routing/decision-question.js';
import { Register } from '../../../control-plane/src/routing/register.js';
import { eventually } from '../../harness/await.js';
import type { RetellSimulator, SimulatorOptions } from '../../retell-simulator/simulator.js';
import {
  type Active,
  API_KEY,
  configWith,
  REGISTERED,
  startRedis,
  startRetell,
  TRUNK,
} from '../retell-fixture.js';

const RETENTION_S = 3600;
const DAY_S = 86_400;

interface Scene {
  simulator: RetellSimulator;
  config: Active;
  store: CallStore;
  redis: Redis;
  stopRedis: () => Promise<void>;
  register: Register;
  /** What the node was told, in order. */
  decisions: Decision[];
  /** What the node answers. */
  node: { decide(index: string, label: string, decision: Decision): Promise<boolean> };
  outcomes: string[];
  orphans: string[];
  warnings: unknown[];
}

async function scene(
  t: Test,
  options: Omit<SimulatorOptions, 'numbers'> & {
    retell?: Record<string, unknown>;
    numbers?: Record<string, unknown>[];
  } = {},
): Promise<Scene> {
  const { retell, numbers, ...simulatorOptions } = options;
  const simulator = await startRetell(t, simulatorOptions);
  const { url, part } = await startRedis(t);
  const redis = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 1, lazyConnect: true });
  redis.on('error', () => {});
  await redis.connect();
  t.teardown(() => redis.disconnect());
  const config: Active = {
    current: configWith({
      retell: { base_url: simulator.http.url, ...retell },
      ...(numbers === undefined ? {} : { numbers }),
    }),
  };
  const api = new RetellApi({ config });
  t.teardown(() => api.close());
  const store = new CallStore(redis, RETENTION_S);
  const decisions: Decision[] = [];
  const outcomes: string[] = [];
  const orphans: string[] = [];
  const warnings: unknown[] = [];
  const register = new Register({
    config,
    api,
    store,
    observer: {
      decided: (outcome) => outcomes.push(outcome),
      orphaned: (outcome) => orphans.push(outcome),
    },
    warn: (detail, message) => warnings.push({ ...detail, message }),
  });
  const node = {
    decide: async (_index: string, _label: string, decision: Decision) => {
      decisions.push(decision);
      return true;
    },
  };
  const stopRedis = () => part.kill();
  return {
    simulator,
    config,
    store,
    redis,
    stopRedis,
    register,
    decisions,
    node,
    outcomes,
    orphans,
    warnings,
  };
}

function question(fields: Partial<DecisionQuestion> = {}): DecisionQuestion {
  return {
    id: randomUUID(),
    atMs: Date.now(),
    t_index: '4711',
    t_label: String(randomInt(2 ** 32 - 1)),
    number: REGISTERED,
    carrier: 'acme',
    from: '+14155550123',
    ...fields,
  };
}

const never = new AbortController().signal;

function settle(scene: Scene, asked: DecisionQuestion, signal = never): Promise<void> {
  return scene.register.settle(scene.node, asked, signal);
}

async function recordOf({ store }: Scene, id: string): Promise<Call> {
  const call = await store.get(id);
  if (call === undefined) throw new Error(`no record of ${id}`);
  return call;
}

function registrations({ simulator }: Scene): number {
  return simulator.requests.items.filter(({ endpoint }) => endpoint === 'register-phone-call').length;
}

async function end({ store }: Scene, id: string): Promise<void> {
  await store.merge([
    { id, atMs: Date.now(), fields: { direction: 'inbound', ended_at: String(Date.now()) } },
  ]);
}

t.test('a registered call goes to Retell by its id, with what the number says', async (t) => {
  const metadata = { department: 'sales', tags: ['a'] };
  const number = {
    number: REGISTERED,
    method: 'register',
    agent_id: 'agent_one',
    agent_version: 4,
    metadata,
  };
  const s = await scene(t, { numbers: [{ ...number, dynamic_variables: { tier: 'gold' } }] });
  const asked = question();
  await settle(s, asked);
  const [entry] = s.simulator.calls.all();
  t.same(s.decisions, [{ action: 'retell', user: entry?.call.call_id }]);
  t.match(s.simulator.requests.items[0]?.body, {
    agent_id: 'agent_one',
    agent_version: 4,
    direction: 'inbound',
    from_number: '+14155550123',
    to_number: REGISTERED,
    metadata: { department: 'sales', tags: ['a'], call_ref: asked.id },
    retell_llm_dynamic_variables: { tier: 'gold' },
  });
  t.same(s.outcomes, ['registered']);
  const record = await recordOf(s, asked.id);
  t.equal(record.retell_call_id, entry?.call.call_id);
  t.equal(record.agent_id, 'agent_one');
  t.match(record.timeline, [{ type: 'registered', seconds: Number }]);
  t.equal(await s.store.idOfRetellCallId(entry?.call.call_id ?? ''), asked.id);
});

t.test("a caller's number that is none in E.164 is not told", async (t) => {
  const s = await scene(t);
  for (const from of ['anonymous', '', '14155550123', '+0', 'a"b\r\nc']) await settle(s, question({ from }));
  for (const { body } of s.simulator.requests.items) t.notOk(Object.hasOwn(body as object, 'from_number'));
  t.equal(registrations(s), 5);
  t.strictSame(s.outcomes, Array(5).fill('registered'));
});

t.test('a carrier that writes digits means E.164', async (t) => {
  const s = await scene(t);
  s.config.current = configWith({
    retell: { base_url: s.simulator.http.url },
    carriers: [
      {
        name: 'acme',
        networks: ['198.51.100.0/24'],
        gateways: [{ uri: 'sip:198.51.100.10' }],
        number_format: 'digits',
      },
    ],
  });
  await settle(s, question({ from: '14155550123' }));
  t.match(s.simulator.requests.items[0]?.body, { from_number: '+14155550123' });
});

for (const status of [400, 401, 402, 422, 429, 500, 503]) {
  t.test(`Retell refuses with ${status}: the call takes its fallback, and the record says why`, async (t) => {
    const s = await scene(t);
    s.simulator.addFault({ endpoint: 'register-phone-call', status });
    const asked = question();
    await settle(s, asked);
    t.same(s.decisions, [{ action: 'fallback', reason: `retell refused: ${status}` }]);
    t.same(s.outcomes, ['refused']);
    t.equal(registrations(s), 1, 'not tried again');
    const record = await recordOf(s, asked.id);
    t.match(record.timeline, [
      { type: 'register_failed', status, reason: `retell refused: ${status}`, seconds: Number },
    ]);
    t.equal(record.retell_call_id, undefined);
  });
}

t.test('Retell that is slow leaves the call its fallback within the deadline', async (t) => {
  const s = await scene(t, { retell: { register_timeout_ms: 400 } });
  s.simulator.addFault({ endpoint: 'register-phone-call', delay_ms: 60_000 });
  const asked = question();
  await settle(s, asked);
  t.same(s.decisions, [{ action: 'fallback', reason: 'retell did not answer in time' }]);
  t.same(s.outcomes, ['timeout']);
  t.match((await recordOf(s, asked.id)).timeline, [{ type: 'register_failed', status: undefined }]);
});

t.test('Retell that is down leaves the call its fallback', async (t) => {
  const s = await scene(t, { retell: { base_url: `http://127.0.0.1:${await freePort()}` } });
  await settle(s, question());
  t.same(s.decisions, [{ action: 'fallback', reason: 'retell not reachable' }]);
  t.same(s.outcomes, ['unreachable']);
});

t.test('a question that comes twice is registered once', async (t) => {
  const s = await scene(t);
  const asked = question();
  await Promise.all([settle(s, asked), settle(s, asked)]);
  await settle(s, asked);
  t.equal(registrations(s), 1);
  t.equal(s.decisions.length, 1);
  t.same([...s.outcomes].sort(), ['duplicate', 'duplicate', 'registered']);
});

t.test('a question older than the deadline is not answered', async (t) => {
  const s = await scene(t);
  await settle(s, question({ atMs: Date.now() - 2000 }));
  t.same(s.decisions, []);
  t.same(s.outcomes, ['late']);
  t.equal(registrations(s), 0);
});

t.test('a number that is gone, or has another method now, takes its fallback', async (t) => {
  const s = await scene(t);
  await settle(s, question({ number: '+14155550142' }));
  await settle(s, question({ number: TRUNK }));
  s.config.current = configWith({ numbers: [{ number: TRUNK }] });
  await settle(s, question());
  t.same(s.decisions, Array(3).fill({ action: 'fallback', reason: 'the number is not configured any more' }));
  t.same(s.outcomes, Array(3).fill('not_configured'));
  t.equal(registrations(s), 0);
});

t.test('a call that was cancelled before is not registered', async (t) => {
  const s = await scene(t);
  const asked = question();
  await end(s, asked.id);
  await settle(s, asked);
  t.equal(registrations(s), 0);
  t.same(s.decisions, []);
  t.same(s.outcomes, ['cancelled']);
});

t.test('a call that is cancelled while Retell registers it is stopped at Retell', async (t) => {
  const s = await scene(t, { stopUnanswered: 'end' });
  s.simulator.addFault({ endpoint: 'register-phone-call', delay_ms: 200 });
  s.node.decide = async (_index, _label, decision) => {
    s.decisions.push(decision);
    return false;
  };
  const asked = question();
  const settled = settle(s, asked);
  await eventually('Retell has registered it', () => registrations(s) === 1);
  await end(s, asked.id);
  await settled;
  t.same(s.outcomes, ['gone']);
  t.same(s.orphans, ['stopped']);
  t.equal(s.simulator.calls.all()[0]?.call.call_status, 'ended');
  t.match((await recordOf(s, asked.id)).timeline, [{ type: 'registered' }]);
});

t.test('a registered call that Retell does not stop is counted', async (t) => {
  const s = await scene(t);
  s.node.decide = async () => false;
  await settle(s, question());
  t.same(s.outcomes, ['gone']);
  t.same(s.orphans, ['failed'], 'Retell answers 422: it is not ongoing');
});

t.test('a node that fails after it may have sent the call on leaves it at Retell', async (t) => {
  const s = await scene(t);
  s.node.decide = async () => {
    throw new KamailioError('KAMAILIO_TIMEOUT', 'node1', 'decide', 'no answer in 1500 ms');
  };
  await settle(s, question());
  t.same(s.outcomes, ['node_failed']);
  t.same(s.orphans, []);
  s.node.decide = async () => {
    throw new KamailioError('KAMAILIO_BREAKER_OPEN', 'node1', 'decide', 'not asked');
  };
  await settle(s, question());
  t.same(s.outcomes, ['node_failed', 'gone']);
  t.same(s.orphans, ['failed'], 'it was asked to stop');
});

t.test('a request that is given up leaves the call its fallback', async (t) => {
  const s = await scene(t);
  s.simulator.addFault({ endpoint: 'register-phone-call', delay_ms: 60_000 });
  const giveUp = new AbortController();
  const settled = settle(s, question(), giveUp.signal);
  await eventually('Retell is asked', () => registrations(s) === 1);
  giveUp.abort();
  await settled;
  t.same(s.decisions, [{ action: 'fallback', reason: 'the control plane stops' }]);
});

t.test('without Redis the call takes its fallback at once, unregistered', async (t) => {
  const s = await scene(t);
  await s.stopRedis();
  await settle(s, question());
  t.same(s.decisions, [{ action: 'fallback', reason: 'the control plane failed' }]);
  t.same(s.outcomes, ['failed']);
  t.equal(registrations(s), 0);
});

t.test("neither Retell's id nor the key is in a warning", async (t) => {
  const s = await scene(t);
  s.node.decide = async () => false;
  await settle(s, question());
  s.simulator.addFault({ endpoint: 'register-phone-call', status: 401, message: `${API_KEY} call_abc123` });
  await settle(s, question());
  t.ok(s.warnings.length > 0);
  const text = JSON.stringify(s.warnings);
  t.notMatch(text, API_KEY);
  t.notMatch(text, /call_(?!id|\[)/);
});

t.test("Retell's id stays in the index as long as the record does", async (t) => {
  const s = await scene(t);
  const asked = question();
  await settle(s, asked);
  const key = `retell-call:${s.simulator.calls.all()[0]?.call.call_id}`;
  t.ok((await s.redis.ttl(key)) > RETENTION_S + DAY_S, 'a call that is up lasts a day at most');
  const ended = { ended_at: String(Date.now()), ...timeline({ at: Date.now() * 1000, type: 'ended' }, {}) };
  await s.store.merge([{ id: asked.id, atMs: Date.now(), fields: ended }]);
  const [name, record] = await Promise.all([s.redis.ttl(key), s.redis.ttl(`call:${asked.id}`)]);
  t.ok(record > 0 && name > record);
});
