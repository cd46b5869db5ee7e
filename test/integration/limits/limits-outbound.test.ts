import t from 'tap';
import { burst, hangUp, inboundBurst, limitedScene } from '../../harness/bursts.js';
import { answering, refusing, twoCarriers } from '../../harness/outbound.js';
import { dial, dialOut, noDialogLeft, recordOf, type Scene, startPeer } from '../../harness/scene.js';
import type { IncomingCall } from '../../harness/sip-peer.js';
import { NUMBER } from '../../harness/stack.js';

function callsOf({ stack }: Scene, carrier: string): Promise<unknown> {
  return stack.rpc.call('dlg.profile_get_size', ['carrier', carrier]);
}

t.test(
  'outbound calls over the limit of a carrier go to the next one, and back when it has room',
  async (t) => {
    const scene = await twoCarriers(t, {
      first: { limits: { concurrent_calls: 5 } },
      second: { limits: { concurrent_calls: 3 } },
    });
    answering(scene.carrier);
    const { up, refused } = await burst(() => dialOut(scene), 20);
    t.equal(up.length, 8);
    t.equal(scene.carrier.count('INVITE'), 5);
    t.equal(scene.second.count('INVITE'), 3);
    t.equal(refused.length, 12);
    t.ok(refused.every((response) => response.status === 503 && response.get('retry-after') === '10'));

    const { callId } = await scene.second.next('INVITE');
    const record = await recordOf(scene.stack, callId, 'answered');
    const limited = record.timeline.find(({ type }: { type: string }) => type === 'limited');
    t.match(limited, { limit: 'carrier', carrier: 'first' });
    await hangUp(up);
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await recordOf(scene.stack, caller.callId, 'answered')).carrier, 'first');
    t.equal((await caller.bye()).status, 200);
    await noDialogLeft(scene.stack);
  },
);

t.test('calls in both directions take places of the one carrier', async (t) => {
  const scene = await twoCarriers(t, { first: { limits: { concurrent_calls: 1 } } });
  answering(scene.retell);
  const inbound = dial(scene);
  await inbound.answered();
  const outbound = dialOut(scene);
  await outbound.answered();
  t.equal((await recordOf(scene.stack, outbound.callId, 'answered')).carrier, 'second');
  await hangUp([inbound, outbound]);

  answering(scene.carrier);
  const next = dialOut(scene);
  await next.answered();
  t.equal((await recordOf(scene.stack, next.callId, 'answered')).carrier, 'first');
  t.equal((await dial(scene).finalResponse()).status, 503);
  t.equal((await next.bye()).status, 200);
});

t.test('a carrier that did not take a call has its place back while the next one rings', async (t) => {
  const scene = await twoCarriers(t);
  refusing(scene.carrier, 503);
  let ringing: IncomingCall | undefined;
  scene.second.onInvite = (call) => {
    ringing = call;
    call.ring();
  };
  const caller = dialOut(scene);
  await caller.response(180);
  t.same([await callsOf(scene, 'first'), await callsOf(scene, 'second')], [0, 1]);
  ringing?.answer();
  await caller.answered();
  t.equal((await caller.bye()).status, 200);
  t.same([await callsOf(scene, 'first'), await callsOf(scene, 'second')], [0, 0]);
});

t.test("Retell's slots refuse inbound calls, and outbound ones before them", async (t) => {
  const scene = await twoCarriers(t, { controlPlane: 'none' });
  const { carrier, retell, stack } = scene;
  answering(carrier);
  answering(retell);
  await stack.rpc.call('htable.seti', ['slots', 'retell', 2]);
  await stack.rpc.call('htable.seti', ['slots', 'retell_outbound', 1]);

  const outbound = await burst(() => dialOut(scene), 10);
  t.equal(outbound.up.length, 1);
  t.match(
    new Set(outbound.refused.map((response) => `${response.status} ${response.get('reason')}`)),
    new Set(['503 SIP;cause=503;text="retell limit reached"']),
  );
  const inbound = await inboundBurst(scene, 10);
  t.equal(inbound.up.length, 1, 'one place is taken by the outbound call');
  t.ok(inbound.refused.every((response) => response.status === 503 && response.get('retry-after') === '10'));
  await hangUp([...outbound.up, ...inbound.up]);
  const again = await inboundBurst(scene, 10);
  t.equal(again.up.length, 2);
  await hangUp(again.up);
  const { item } = (await stack.rpc.call('htable.get', ['slots', 'retell'])) as { item: { expire: string } };
  const leftMs = Date.parse(item.expire) - Date.now();
  t.ok(leftMs > 0 && leftMs <= 120_000, 'without a control plane they are forgotten');
});

t.test("calls over Retell's slots go to the fallback of their number", async (t) => {
  const desk = await startPeer(t, { host: '127.0.0.5' });
  answering(desk);
  const fallback = `sip:+14155550199@${desk.host}:${desk.port}`;
  const scene = await limitedScene(t, undefined, {
    config: { numbers: [{ number: NUMBER, fallback }] },
    controlPlane: 'none',
  });
  answering(scene.retell);
  await scene.stack.rpc.call('htable.seti', ['slots', 'retell', 2]);
  const { up } = await inboundBurst(scene, 6);
  t.equal(up.length, 6);
  t.equal(scene.retell.count('INVITE'), 2);
  t.equal(desk.count('INVITE'), 4);
  await hangUp(up);
  await noDialogLeft(scene.stack);
});

t.test('a drained carrier gets no new calls and sends none, and its calls stay up', async (t) => {
  const scene = await twoCarriers(t, { controlPlane: 'none' });
  const { stack, carrier, retell, second } = scene;
  answering(carrier);
  answering(retell);
  const inbound = dial(scene);
  await inbound.answered();
  const outbound = dialOut(scene);
  await outbound.answered();
  await stack.rpc.call('htable.seti', ['drained', 'first', 1]);

  const refused = await dial(scene).finalResponse();
  t.equal(refused.status, 503);
  t.equal(refused.get('retry-after'), '10');
  t.equal(refused.get('reason'), 'SIP;cause=503;text="carrier drained"');
  const elsewhere = dialOut(scene);
  await elsewhere.answered();
  t.equal(second.count('INVITE'), 1);

  t.equal((await inbound.request('INFO')).status, 200);
  t.equal((await outbound.request('INFO')).status, 200);
  await hangUp([inbound, outbound, elsewhere]);
  await stack.rpc.call('htable.delete', ['drained', 'first']);
  const back = dialOut(scene);
  await back.answered();
  t.equal(second.count('INVITE'), 1);
  t.equal((await back.bye()).status, 200);
  await noDialogLeft(stack);
});
