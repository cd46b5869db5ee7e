import t, { type Test } from 'tap';
import { eventually } from '../../harness/await.js';
import {
  asked,
  entryOf,
  FALLBACK_USER,
  fallbackRecord,
  type RegisterScene,
  startRegisterScene,
  takenByFallback,
  WITHOUT_FALLBACK,
} from '../../harness/register-scene.js';
import { dial, noDialogLeft, recordOf } from '../../harness/scene.js';
import type { IncomingCall } from '../../harness/sip-peer.js';
import { NUMBER } from '../../harness/stack.js';

const REGISTER = 'register-phone-call';
const SHORT = { register_timeout_ms: 500 };

/** The INVITE to the fallback is an ordinary call to it: nothing of Retell is in it. */
function checkInvite(t: Test, { fallbackUri }: RegisterScene, { message }: IncomingCall): void {
  t.equal(message.requestUri, fallbackUri);
  t.same(message.list('x-call-ref'), []);
  t.match(message.get('to'), `sip:${NUMBER}@`);
  t.notMatch(message.raw, /call_/);
}

/** What Kamailio says where the control plane does not in its 100 ms, as on a machine that is busy just then. */
const UNDECIDED = 'no decision in time';

/** A call to the number without a fallback is refused for now. */
async function checkRefused(t: Test, scene: RegisterScene, reason: string): Promise<void> {
  const { caller, response } = await eventually('a call that the control plane refuses', async () => {
    const caller = dial(scene, WITHOUT_FALLBACK);
    const response = await caller.finalResponse();
    t.equal(response.status, 503);
    return !response.get('reason')?.includes(UNDECIDED) && { caller, response };
  });
  t.match(response.get('retry-after'), /^\d+$/);
  t.equal(response.get('reason'), `SIP;cause=503;text="${reason}"`);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.match(record, { sip_status: 503, ended_by: 'failure', reason });
}

t.test('a call that Retell refuses to register goes to the fallback, or gets 503', async (t) => {
  const scene = await startRegisterScene(t);
  for (const status of [400, 401, 402, 422, 429, 500]) {
    const reason = `retell refused: ${status}`;
    scene.simulator.addFault({ endpoint: REGISTER, status, times: 2 });
    const { caller, callee, ms } = await takenByFallback(scene, () => dial(scene));
    t.comment(`refused with ${status}: the fallback's INVITE came after ${ms} ms`);
    checkInvite(t, scene, callee);
    const { record, entry } = await fallbackRecord(scene, caller);
    t.match(entry, { gateway: scene.fallbackUri, reason });
    t.equal(record.gateway, scene.fallbackUri);
    t.match(entryOf(record, 'register_failed'), { status, reason });
    t.equal(record.retell_call_id, null);
    t.equal((await caller.bye()).status, 200);
    await checkRefused(t, scene, reason);
  }
  t.equal(scene.retell.count('INVITE'), 0);
  t.equal(asked(scene, REGISTER).length, 12, 'nothing is asked twice');
  await noDialogLeft(scene.stack);
});

t.test("a call goes to the fallback, or gets 503, when Retell's API is down or slow", async (t) => {
  const scene = await startRegisterScene(t, { retell: SHORT });
  await t.test('slow', async (t) => {
    scene.simulator.addFault({ endpoint: REGISTER, delay_ms: 10_000 });
    const { caller, callee, record, entry } = await eventually(
      'a decision of the control plane',
      async () => {
        const { ms, ...call } = await takenByFallback(scene, () => dial(scene));
        t.comment(`slow API: the fallback's INVITE came after ${ms} ms of 500`);
        checkInvite(t, scene, call.callee);
        const told = await fallbackRecord(scene, call.caller);
        if (told.entry?.reason !== UNDECIDED) return { ...call, ...told };
        await call.callee.bye();
        return undefined;
      },
    );
    t.match(entry, { reason: 'retell did not answer in time' });
    t.match(entryOf(record, 'register_failed'), { reason: 'retell did not answer in time' });
    t.equal((await callee.bye()).status, 200);
    t.equal(await caller.ended, 'remote');
    await checkRefused(t, scene, 'retell did not answer in time');
  });
  await t.test('down', async (t) => {
    await scene.simulator.closeHttp();
    const { caller, callee, ms } = await takenByFallback(scene, () => dial(scene));
    t.comment(`API down: the fallback's INVITE came after ${ms} ms`);
    checkInvite(t, scene, callee);
    t.match((await fallbackRecord(scene, caller)).entry, { reason: 'retell not reachable' });
    t.equal((await caller.bye()).status, 200);
    await checkRefused(t, scene, 'retell not reachable');
  });
  t.equal(scene.retell.count('INVITE'), 0);
  await noDialogLeft(scene.stack);
});

t.test('a call goes to the fallback by itself while the control plane is dead', async (t) => {
  const scene = await startRegisterScene(t, { retell: SHORT, controlPlane: 'process' });
  const { controlPlane } = scene.stack.parts;
  await controlPlane?.kill();
  const { caller, callee, ms } = await takenByFallback(scene, () => dial(scene));
  t.comment(`control plane killed: the fallback's INVITE came after ${ms} ms of 500`);
  checkInvite(t, scene, callee);
  const refused = await dial(scene, WITHOUT_FALLBACK).finalResponse();
  t.equal(refused.status, 503);
  t.equal(refused.get('reason'), 'SIP;cause=503;text="no decision in time"');
  t.ok(refused.get('retry-after'));

  await controlPlane?.start();
  const { record, entry } = await fallbackRecord(scene, caller);
  t.match(entry, { reason: 'no decision in time' });
  t.equal(record.gateway, scene.fallbackUri);
  t.equal((await caller.bye()).status, 200);
  await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(asked(scene, REGISTER).length, 0, 'a question that is too old is not answered');
  t.equal(scene.retell.count('INVITE'), 0);
});

t.test('a call goes to the fallback by itself while Redis is away', async (t) => {
  const scene = await startRegisterScene(t, { retell: SHORT });
  const { redis } = scene.stack.parts;
  await redis.stop();
  const { caller, callee, ms } = await takenByFallback(scene, () => dial(scene));
  t.comment(`Redis stopped: the fallback's INVITE came after ${ms} ms of 500`);
  checkInvite(t, scene, callee);
  await redis.start();
  t.match((await fallbackRecord(scene, caller)).entry, { reason: 'no decision in time' });
  t.equal((await caller.bye()).status, 200);

  await eventually('a call that is registered again', async () => {
    const again = dial(scene, WITHOUT_FALLBACK);
    return again.answered().then(() => again.bye());
  });
  t.ok(asked(scene, REGISTER).length > 0);
  await noDialogLeft(scene.stack);
});

for (const method of ['register', 'trunk'] as const) {
  t.test(
    `what Retell says to the INVITE of a number with method ${method} decides on its fallback`,
    async (t) => {
      const scene = await startRegisterScene(t, { method });
      await t.test('404 goes to the fallback', async (t) => {
        scene.simulator.setNumber('*', { refuse: 404 });
        const { caller, callee } = await takenByFallback(scene, () => dial(scene));
        checkInvite(t, scene, callee);
        const { record, entry } = await fallbackRecord(scene, caller);
        t.match(entry, { reason: 'no Retell gateway takes the call' });
        t.match(entryOf(record, 'attempt_failed'), { status: 404 });
        t.equal((await caller.bye()).status, 200);
        t.equal((await dial(scene, WITHOUT_FALLBACK).finalResponse()).status, 404, 'as it is without one');
      });
      await t.test('486 is the answer', async (t) => {
        scene.simulator.setNumber('*', { refuse: 486 });
        const caller = dial(scene);
        t.equal((await caller.finalResponse()).status, 486);
        t.match(await recordOf(scene.stack, caller.callId, 'ended'), { sip_status: 486 });
      });
      await t.test('silence goes to the fallback', async (t) => {
        scene.simulator.setNumber('*', { refuse: null, silent: true });
        const { caller, callee } = await takenByFallback(scene, () => dial(scene));
        checkInvite(t, scene, callee);
        const { record } = await fallbackRecord(scene, caller);
        t.match(entryOf(record, 'attempt_failed'), { status: 408 });
        t.equal((await caller.bye()).status, 200);
      });
      t.equal(scene.fallback.count('INVITE'), 2);
      await noDialogLeft(scene.stack);
    },
  );
}

t.test('a fallback that fails ends in 503, and one that is busy in 486', async (t) => {
  const scene = await startRegisterScene(t);
  scene.simulator.addFault({ endpoint: REGISTER, status: 402 });
  scene.fallback.onInvite = (call) => call.refuse(500);
  const failed = dial(scene);
  const response = await failed.finalResponse();
  t.equal(response.status, 503);
  t.match(response.get('reason'), /fallback failed/);
  t.match(await recordOf(scene.stack, failed.callId, 'ended'), {
    gateway: scene.fallbackUri,
    sip_status: 503,
  });

  scene.fallback.onInvite = (call) => call.refuse(486);
  const busy = dial(scene);
  t.equal((await busy.finalResponse()).status, 486);
  t.match(await recordOf(scene.stack, busy.callId, 'ended'), { sip_status: 486 });
  t.equal(scene.fallback.count('INVITE'), 2);
  t.match(scene.fallback.trace[0]?.message.requestUri, `sip:${FALLBACK_USER}@`);
  await noDialogLeft(scene.stack);
});
