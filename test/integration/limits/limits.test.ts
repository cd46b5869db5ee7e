import t, { type Test } from 'tap';
import { eventually } from '../../harness/await.js';
import { type Burst, hangUp, inboundBurst, type Limits, limitedScene } from '../../harness/bursts.js';
import { answering, counter } from '../../harness/outbound.js';
import { dial, noDialogLeft, recordOf, type Scene, startPeer } from '../../harness/scene.js';
import { NUMBER } from '../../harness/stack.js';

const FIVE: Limits = { concurrent_calls: 5 };

/** Exactly five calls are up, and the others know why they are not and when to come again. */
function assertFiveUp(t: Test, { up, refused }: Burst, limit: string): void {
  t.equal(up.length, 5);
  t.equal(refused.length, 45);
  const told = refused.map((response) =>
    [response.status, response.get('retry-after'), response.get('reason')].join(' '),
  );
  t.same([...new Set(told)], [`503 10 SIP;cause=503;text="${limit} limit reached"`]);
}

/** A burst of 50 at a scene whose limit is five. */
async function fiveOf50(t: Test, scene: Scene, limit = 'carrier'): Promise<Burst> {
  answering(scene.retell);
  const burst = await inboundBurst(scene, 50);
  assertFiveUp(t, burst, limit);
  return burst;
}

for (const [limit, { ofCarrier, config }] of Object.entries({
  carrier: { ofCarrier: FIVE, config: {} },
  number: { ofCarrier: undefined, config: { numbers: [{ number: NUMBER, limits: FIVE }] } },
  overall: { ofCarrier: undefined, config: { calls: { limits: FIVE } } },
})) {
  t.test(`${limit} limit: of 50 calls at once 5 are up, and when they are over 5 more pass`, async (t) => {
    const scene = await limitedScene(t, ofCarrier, { config });
    const { up, refused } = await fiveOf50(t, scene, limit);
    t.equal(scene.retell.count('INVITE'), 5);
    t.equal(await counter(scene.stack, `refused_${limit}_limit`), 45);
    const record = await recordOf(scene.stack, refused[0]?.callId ?? '', 'ended');
    t.match(record, { sip_status: 503, reason: `${limit} limit reached`, ended_by: 'failure' });
    t.match(
      record.timeline.find(({ type }: { type: string }) => type === 'limited'),
      { limit, carrier: 'acme' },
    );
    await hangUp(up);
    const again = await fiveOf50(t, scene, limit);
    await hangUp(again.up);
    await noDialogLeft(scene.stack);
  });
}

t.test('a call that ends gives its place back, however it ends', async (t) => {
  const scene = await limitedScene(t, FIVE);
  const { stack, retell } = scene;

  await t.test('by BYE of Retell', async (t) => {
    retell.onInvite = async (call) => {
      call.answer();
      await call.acked;
      await call.bye();
    };
    for (let i = 0; i < 10; i++) {
      const caller = dial(scene);
      await caller.answered();
      t.equal(await caller.ended, 'remote');
    }
  });

  await t.test('by the API', async (t) => {
    const { up } = await fiveOf50(t, scene);
    for (const { callId } of up) {
      const { id } = await recordOf(stack, callId, 'answered');
      t.equal((await stack.api.post(`/v1/calls/${id}/hangup`)).body.outcome, 'ended');
    }
  });

  await t.test('by CANCEL while it rings', async (t) => {
    retell.onInvite = (call) => call.ring();
    const calls = Array.from({ length: 5 }, () => dial(scene));
    await Promise.all(calls.map((call) => call.response(180)));
    t.equal((await dial(scene).finalResponse()).status, 503, 'a call that rings has a place');
    await Promise.all(calls.map((call) => call.cancel()));
    for (const call of calls) t.equal((await call.finalResponse()).status, 487);
  });

  for (const status of [486, 503]) {
    await t.test(`by ${status} of Retell`, async (t) => {
      retell.onInvite = (call) => call.refuse(status);
      for (let i = 0; i < 10; i++) t.equal((await dial(scene).finalResponse()).status, status);
    });
  }

  const { up } = await fiveOf50(t, scene);
  await hangUp(up);
  await noDialogLeft(stack);
});

t.test('a call that lasts too long gives its place back', async (t) => {
  const scene = await limitedScene(t, FIVE, { config: { calls: { max_duration_s: 1 } } });
  const { up } = await fiveOf50(t, scene);
  await Promise.all(up.map((call) => call.ended));
  const again = await fiveOf50(t, scene);
  await hangUp(again.up);
});

t.test('calls over a limit go to the fallback of their number', async (t) => {
  const desk = await startPeer(t, { host: '127.0.0.4' });
  answering(desk);
  const fallback = `sip:+14155550199@${desk.host}:${desk.port}`;
  const scene = await limitedScene(t, FIVE, { config: { numbers: [{ number: NUMBER, fallback }] } });
  answering(scene.retell);
  const { up } = await inboundBurst(scene, 50);
  t.equal(up.length, 50);
  t.equal(scene.retell.count('INVITE'), 5);
  t.equal(desk.count('INVITE'), 45);
  const { callId } = await desk.next('INVITE');
  const record = await recordOf(scene.stack, callId, 'answered');
  t.equal(record.gateway, fallback);
  t.match(
    record.timeline.find(({ type }: { type: string }) => type === 'fallback'),
    { gateway: fallback, reason: 'carrier limit reached' },
  );
  await hangUp(up);
  await eventually('every place is free', async () => {
    const size = await scene.stack.rpc.call('dlg.profile_get_size', ['carrier', 'acme']);
    return size === 0;
  });
});
