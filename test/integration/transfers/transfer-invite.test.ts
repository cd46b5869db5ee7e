import t from 'tap';
import { eventually } from '../../harness/await.js';
import { nextCall } from '../../harness/legs.js';
import { answering, carrierAt, invitesOf, oneCarrier, refusing } from '../../harness/outbound.js';
import { callUp, recordNow } from '../../harness/reaper-scene.js';
import { startRegisterScene } from '../../harness/register-scene.js';
import {
  DESTINATION,
  dial,
  dialOut,
  establish,
  noDialogLeft,
  recordOf,
  startPeer,
} from '../../harness/scene.js';
import { CALLER, dialAsCaller, tiedRecord } from '../../harness/second-calls.js';
import { NUMBER } from '../../harness/stack.js';

// Retell transfers by a second call (retell.md 4.2): it is in the records which call it continues.

t.test("the header with Retell's id ties the second call to the first, in both records", async (t) => {
  const scene = await startRegisterScene(t, {
    method: 'trunk',
    carriers: (carrier) => [carrierAt('first', carrier)],
  });
  const { simulator, stack, carrier } = scene;
  simulator.setWebhooks({ url: `${stack.api.url}/webhooks/retell`, retries: 0 });
  simulator.terminationUri = `${stack.sip.host}:${stack.sip.port};transport=udp`;
  const { caller, entry, record } = await callUp(scene);
  const retellCallId = entry.call.call_id;
  await eventually(
    'the record has the id of Retell',
    async () => (await recordNow(scene, record.id)).retell_call_id === retellCallId,
  );

  const arrived = nextCall(carrier);
  const status = simulator.transferByInvite(entry, DESTINATION, {
    headers: [
      ['X-Transferred-From', '{{call_id}}'],
      ['X-Case', '42'],
    ],
  });
  const third = await arrived;
  t.equal(third.message.get('x-transferred-from'), undefined, 'it is for us alone');
  t.equal(third.message.get('x-case'), '42');
  third.answer();
  t.equal(await status, 200);
  const second = await tiedRecord(stack, third.callId);
  t.match(second, { number: NUMBER, transferred_from: { call_id: record.id, by: 'header' } });
  t.same(second.transferred_to, []);
  const first = await recordNow(scene, record.id);
  t.match(first, { state: 'answered', transferred_from: null });
  t.same(first.transferred_to, [{ call_id: second.id, by: 'header' }]);

  t.equal((await third.bye()).status, 200);
  t.equal(await caller.ended, 'remote', 'Retell ends the first call with the second');
  const after = await recordOf(stack, third.callId, 'ended');
  t.match(after, { ended_by: 'carrier', transferred_from: { call_id: record.id, by: 'header' } });
  const ended = await eventually('the first record has its end at Retell', async () => {
    const now = await recordNow(scene, record.id);
    return now.state === 'ended' && now.retell_disconnection_reason !== null && now;
  });
  t.match(ended, { ended_by: 'retell', retell_disconnection_reason: 'call_transfer' });
  t.same(ended.transferred_to, [{ call_id: second.id, by: 'header' }]);
  t.notMatch(JSON.stringify([ended.timeline, after]), retellCallId, 'it stays where it was told');
  t.match(
    ended.timeline.filter(({ type }: { type: string }) => type.startsWith('transferred')),
    [{ type: 'transferred_to', call_id: second.id, by: 'header' }],
  );
  t.match(
    after.timeline.filter(({ type }: { type: string }) => type.startsWith('transferred')),
    [{ type: 'transferred_from', call_id: record.id, by: 'header' }],
  );
  await noDialogLeft(stack);
});

t.test('the header with our id ties the second call to the first', async (t) => {
  const scene = await oneCarrier(t);
  const one = await establish(scene);
  await establish(scene);
  answering(scene.carrier);
  const second = dialOut(scene, { headers: [['X-Transferred-From', one.record.id]] });
  await second.answered();
  const record = await tiedRecord(scene.stack, second.callId);
  t.same(record.transferred_from, { call_id: one.record.id, by: 'header' });
  const [invite] = invitesOf(scene.carrier, second);
  t.equal(invite?.get('x-transferred-from'), undefined);
});

t.test('without a header the only call of the same number is the first one', async (t) => {
  const scene = await oneCarrier(t);
  answering(scene.carrier);

  const alone = dialOut(scene);
  await alone.answered();
  const unrelated = await recordOf(scene.stack, alone.callId, 'answered');

  const first = await establish(scene);
  const second = dialOut(scene, { headers: [['X-Transferred-From', 'x'.repeat(129)]] });
  await second.answered();
  const record = await tiedRecord(scene.stack, second.callId);
  t.same(record.transferred_from, { call_id: first.record.id, by: 'numbers' });

  const back = dialOut(scene, { to: CALLER });
  await back.answered();
  const called = await recordOf(scene.stack, back.callId, 'answered');

  const other = await establish(scene);
  const third = dialOut(scene);
  await third.answered();
  const ambiguous = await recordOf(scene.stack, third.callId, 'answered');

  await other.caller.bye();
  await recordOf(scene.stack, other.caller.callId, 'ended');
  const fourth = dialOut(scene);
  await fourth.answered();
  const again = await tiedRecord(scene.stack, fourth.callId);
  t.same(again.transferred_from, { call_id: first.record.id, by: 'numbers' });
  const { api } = scene.stack;
  t.same(
    (await api.get(`/v1/calls/${first.record.id}`)).body.transferred_to,
    [record.id, again.id].map((call_id) => ({ call_id, by: 'numbers' })),
  );
  // Events are handled in order: what was to be known of these is known by now.
  for (const [id, why] of [
    [unrelated.id, 'no other call was up'],
    [called.id, 'it goes to the caller of the first call'],
    [ambiguous.id, 'it may continue either of two calls'],
  ]) {
    t.equal((await api.get(`/v1/calls/${id}`)).body.transferred_from, null, why);
  }
});

t.test('a call that went to the fallback is none that Retell transfers', async (t) => {
  const desk = await startPeer(t, { host: '127.0.0.5' });
  answering(desk);
  const fallback = `sip:+14155550199@${desk.host}:${desk.port}`;
  const scene = await oneCarrier(t, { config: { numbers: [{ number: NUMBER, fallback }] } });
  answering(scene.carrier);
  refusing(scene.retell, 503);
  await dial(scene).answered();
  t.equal((await dialAsCaller(scene).finalResponse()).status, 403);
  const second = dialOut(scene);
  await second.answered();
  await second.bye();
  t.equal((await recordOf(scene.stack, second.callId, 'ended')).transferred_from, null);
});
