import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import t from 'tap';
import { EventHandler } from '../../../control-plane/src/calls/event-handler.js';
import { SecondCalls } from '../../../control-plane/src/calls/second-calls.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import type { AnsweredEvent, CallEvent, InviteEvent } from '../../../control-plane/src/kamailio/events.js';
import { SILENT } from '../../harness/silent-observer.js';
import type { TestLike } from '../../harness/stack.js';
import { startRedis } from '../retell-fixture.js';

const NUMBER = '+14155550100';
const CALLER = '+14155550123';
const DESTINATION = '+14155550177';
const START = 1_780_000_000;

/** Times of events: seconds after the start, in microseconds. */
const at = (seconds: number) => (START + seconds) * 1_000_000;

function invite(id: string, seconds: number, more: Partial<InviteEvent> = {}): InviteEvent {
  const inbound = more.direction !== 'outbound';
  return {
    type: 'invite',
    at: at(seconds),
    id,
    direction: 'inbound',
    carrier: inbound ? 'acme' : undefined,
    source: '192.0.2.1:5060',
    sip_call_id: `${id}@example.com`,
    from_tag: 'a',
    from: inbound ? CALLER : NUMBER,
    to: inbound ? NUMBER : DESTINATION,
    number: NUMBER,
    ...more,
  };
}

const leg = { tag: 't', contact: 'sip:a@192.0.2.1', route_set: [], cseq: 1, socket: 'udp:192.0.2.9:5060' };

function answered(id: string, seconds: number): AnsweredEvent {
  const uris = { from_uri: 'sip:a@192.0.2.1', to_uri: 'sip:b@192.0.2.2' };
  const dialog = { h_entry: 1, h_id: 1, max_duration_s: undefined, ...uris, caller: leg, callee: leg };
  return { type: 'answered', at: at(seconds), id, carrier: 'acme', gateway: 'sip:192.0.2.2', ...dialog };
}

const ended = (id: string, seconds: number): CallEvent => ({
  type: 'ended',
  at: at(seconds),
  id,
  by: 'carrier',
  reason: undefined,
});

/** A call of Retell's, 10 s after the start. */
const second = (id: string, more: Partial<InviteEvent> = {}) =>
  invite(id, 10, { direction: 'outbound', ...more });

/** An inbound call that is answered 1 s after its INVITE. */
const first = (id: string, seconds = 0, more: Partial<InviteEvent> = {}) => [
  invite(id, seconds, more),
  answered(id, seconds + 1),
];

async function scene(t: TestLike) {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  const secondCalls = new SecondCalls(store);
  const handler = new EventHandler(store, SILENT, (changes) => secondCalls.tie(changes));
  const handle = (...events: CallEvent[]) => handler.handle('node1', events);
  const get = async (id: string) => {
    const call = await store.get(id);
    if (call === undefined) throw new Error(`no record of ${id}`);
    return call;
  };
  const from = async (id: string) => (await get(id)).transferred_from;
  return { redis, store, handle, get, from };
}

t.test('the header comes before every other evidence', async (t) => {
  const { store, handle, from } = await scene(t);
  await handle(...first('one'), ...first('two'), ...first('other', 0, { number: '+14155550101' }));
  await store.merge([{ id: 'two', atMs: 0, fields: { retell_call_id: 'call_two' } }]);
  await handle(
    second('by-ours', { transferred_from: 'one' }),
    second('by-retells', { transferred_from: 'call_two' }),
    second('of-another-number', { transferred_from: 'other' }),
    second('against-from', { transferred_from: 'one', caller_call: 'two', from: CALLER }),
  );
  t.same(await from('by-ours'), { call_id: 'one', by: 'header' });
  t.same(await from('by-retells'), { call_id: 'two', by: 'header' });
  t.same(await from('of-another-number'), { call_id: 'other', by: 'header' });
  t.same(await from('against-from'), { call_id: 'one', by: 'header' });
});

t.test('a header that names no call that is up leaves it to the next evidence', async (t) => {
  const { handle, from } = await scene(t);
  await handle(...first('one'), ...first('over'), ended('over', 9));
  const names = ['over', 'nobody', 'call_nobody', '{{call_id}}', 'a b', ''];
  await handle(
    ...names.map((name, i) => second(`s${i}`, { transferred_from: name })),
    second('itself', { transferred_from: 'itself' }),
  );
  for (const id of [...names.keys()].map((i) => `s${i}`).concat('itself'))
    t.same(await from(id), { call_id: 'one', by: 'numbers' });
});

t.test('From that is the number of a caller ties to the call of that caller', async (t) => {
  const { handle, from } = await scene(t);
  const shown = { from: CALLER.slice(1), caller_call: 'one' };
  await handle(...first('one'), ...first('another', 0, { from: '+14155550124' }));
  await handle(second('s1', shown));
  t.same(await from('s1'), { call_id: 'one', by: 'caller' });

  await handle(...first('again', 2));
  await handle(second('s2', { ...shown, caller_call: 'again' }));
  t.equal(await from('s2'), undefined, 'one of two calls of that caller, and nobody knows which');

  await handle(ended('again', 8), second('s3', { ...shown, caller_call: 'again' }));
  t.same(await from('s3'), { call_id: 'one', by: 'caller' }, 'the other one has ended');
});

t.test('the node knows who is in a call before the answer is written', async (t) => {
  const { handle, from } = await scene(t);
  await handle(invite('one', 0), second('s1', { from: CALLER, caller_call: 'one' }), answered('one', 1));
  t.same(await from('s1'), { call_id: 'one', by: 'caller' });
  await handle(ended('one', 2), second('s2', { from: CALLER, caller_call: 'one' }));
  t.equal(await from('s2'), undefined, 'it had ended before');
});

t.test('without anything else the only call of the number is the first one', async (t) => {
  const { handle, from } = await scene(t);
  await handle(second('alone'));
  await handle(invite('ringing', 0), second('meanwhile'));
  await handle(
    ...first('out', 0, { direction: 'outbound', from: NUMBER, to: '+14155550178' }),
    second('campaign'),
  );
  await handle(...first('one'), second('back', { to: CALLER.slice(1) }), second('s1'));
  await handle(...first('later', 11), second('s2'), second('other', { number: '+14155550101' }));
  await handle(...first('two', 3), second('s3'));
  await handle(
    ended('two', 9.5),
    second('s4'),
    second('foreign', { number: undefined, from: '+14155550199' }),
  );
  for (const id of ['alone', 'meanwhile', 'campaign', 'back', 'other', 's3', 'foreign'])
    t.equal(await from(id), undefined, id);
  for (const id of ['s1', 's2', 's4']) t.same(await from(id), { call_id: 'one', by: 'numbers' }, id);
});

t.test('a busy number has no only call', async (t) => {
  const { handle, from } = await scene(t);
  const many = [...Array(12).keys()].map((i) => `call${i}`);
  await handle(...many.flatMap((id) => first(id)), second('s1'));
  t.equal(await from('s1'), undefined);
});

t.test('a call that its fallback took is none that Retell has', async (t) => {
  const { handle, from } = await scene(t);
  const fallback: CallEvent = {
    type: 'fallback',
    at: at(0.5),
    id: 'one',
    gateway: 'sip:192.0.2.7',
    reason: 'no Retell gateway takes the call',
  };
  await handle(...first('one'));
  await handle(fallback, second('s1'));
  t.equal(await from('s1'), undefined, 'whichever event came first');
});

t.test('events twice and late leave the same two records', async (t) => {
  const { store, handle, get } = await scene(t);
  // The first call is over before anything of the second one is handled.
  await handle(...first('one'), ended('one', 12));
  const events = [second('s1', { transferred_from: 'call_one' }), answered('s1', 11)];
  for (let times = 0; times < 3; times += 1) await handle(...events, ended('s1', 12));
  t.same((await get('s1')).transferred_from, { call_id: 'one', by: 'numbers' });

  // More is known by now, and changes nothing.
  await handle(...first('two', 3));
  await store.merge([{ id: 'two', atMs: 0, fields: { retell_call_id: 'call_one' } }]);
  await Promise.all([handle(...events), handle(...events)]);
  const [one, two, s1] = [await get('one'), await get('two'), await get('s1')];
  t.same(s1.transferred_from, { call_id: 'one', by: 'numbers' });
  t.same(one.transferred_to, [{ call_id: 's1', by: 'numbers' }]);
  t.same(two.transferred_to, []);
  const entries = [one, s1].map(({ timeline }) =>
    timeline.filter(({ type }) => type.startsWith('transferred')),
  );
  t.match(entries, [
    [{ type: 'transferred_to', at: at(10) / 1000, call_id: 's1', by: 'numbers' }],
    [{ type: 'transferred_from', at: at(10) / 1000, call_id: 'one', by: 'numbers' }],
  ]);
  t.notMatch(JSON.stringify([one.timeline, s1.timeline]), 'call_one', "Retell's id is in no timeline");
});

t.test('a call that is transferred more than once lists its second calls in order', async (t) => {
  const { handle, get } = await scene(t);
  await handle(...first('one'));
  await handle(
    invite('s2', 12, { direction: 'outbound', transferred_from: 'one' }),
    invite('s1', 11, { direction: 'outbound', transferred_from: 'one' }),
  );
  t.same((await get('one')).transferred_to, [
    { call_id: 's1', by: 'header' },
    { call_id: 's2', by: 'header' },
  ]);
});

t.test("an error of Redis does not carry Retell's id into the log", async (t) => {
  const { redis, handle } = await scene(t);
  await redis.hset('retell-call:call_secret', 'of', 'another type');
  const error = await handle(second('s1', { transferred_from: 'call_secret' })).catch((error) => error);
  t.type(error, Error);
  t.notMatch(inspect(error, { depth: null }), 'call_secret');
});
