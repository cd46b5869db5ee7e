import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { eventually } from '../../harness/await.js';
import { asked, askedTimes, type RegisterScene, startRegisterScene } from '../../harness/register-scene.js';
import { dial, noDialogLeft, recordOf } from '../../harness/scene.js';
import type { OutgoingCall } from '../../harness/sip-peer.js';

const REGISTER = 'register-phone-call';
const RACES = 20;

/** The caller's final response to a cancelled call; a 2xx that won is acknowledged and ended, as a carrier does. */
async function outcome(caller: OutgoingCall): Promise<number> {
  const { status } = await caller.finalResponse();
  if (status < 300) {
    await caller.answered();
    await caller.bye();
  }
  return status;
}

/** Neither Kamailio nor Retell has a leg up, and every registered call was dialled or Retell was asked to stop it. */
async function nothingLeft(t: Test, scene: RegisterScene): Promise<void> {
  await noDialogLeft(scene.stack);
  await Promise.all(scene.atRetell.map((call) => call.ended));
  await eventually('each registered call dialled or stopped', () => {
    const dialled = scene.retell.count('INVITE');
    return asked(scene, REGISTER).length <= dialled + asked(scene, 'stop-call').length;
  });
  t.equal(scene.fallback.count('INVITE'), 0);
}

t.test('a CANCEL while Retell registers the call: 487, and Retell is asked to stop it', async (t) => {
  const scene = await startRegisterScene(t, { simulator: { stopUnanswered: 'end' } });
  scene.simulator.addFault({ endpoint: REGISTER, delay_ms: 300 });
  const caller = dial(scene);
  await askedTimes(scene, REGISTER, 1);
  t.equal((await caller.cancel()).status, 200);
  t.equal((await caller.finalResponse()).status, 487);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.match(record, { ended_by: 'carrier', sip_status: 487 });

  await askedTimes(scene, 'stop-call', 1);
  const [stopped] = asked(scene, 'stop-call');
  const id = scene.simulator.calls.all()[0]?.call.call_id;
  t.equal(stopped?.url, `/v2/stop-call/${id}`);
  t.equal(stopped?.status, 204);
  await nothingLeft(t, scene);
  t.equal(scene.retell.count('INVITE'), 0);
});

t.test('a CANCEL while Retell rings reaches it and ends the call with 487', async (t) => {
  const scene = await startRegisterScene(t);
  scene.simulator.setNumber('*', { answer_after_ms: null });
  const caller = dial(scene);
  await caller.response(180);
  t.equal((await caller.cancel()).status, 200);
  t.equal((await caller.finalResponse()).status, 487);
  await scene.atRetell[0]?.canceled;
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.match(record, { ended_by: 'carrier', sip_status: 487 });
  await nothingLeft(t, scene);
  t.equal(asked(scene, 'stop-call').length, 0);
});

t.test('a CANCEL around the decision leaves no leg up', async (t) => {
  const scene = await startRegisterScene(t, { simulator: { concurrencyLimit: 100 } });
  scene.simulator.addFault({ endpoint: REGISTER, delay_ms: 20 });
  const outcomes = new Map<string, number>();
  for (let race = 0; race < RACES; race += 1) {
    const before = scene.retell.count('INVITE');
    const caller = dial(scene);
    await caller.response(100);
    // From well before the registration's answer until after Retell rings.
    await delay(12 + race);
    const [status] = await Promise.all([outcome(caller), caller.cancel()]);
    t.ok(status === 200 || status === 487, `${status}`);
    await recordOf(scene.stack, caller.callId, 'ended');
    await nothingLeft(t, scene);
    const what = `${status} ${scene.retell.count('INVITE') > before ? 'after' : 'before'} Retell was dialled`;
    outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
  }
  t.comment(Object.fromEntries(outcomes));
});

t.test('a CANCEL around the answer leaves no leg up', async (t) => {
  const scene = await startRegisterScene(t, { simulator: { concurrencyLimit: 100 } });
  const outcomes = new Map<number, number>();
  scene.simulator.setNumber('*', { answer_after_ms: 30 });
  for (let race = 0; race < RACES; race += 1) {
    const caller = dial(scene);
    await caller.response(180);
    await delay(20 + race / 1.5);
    const [status] = await Promise.all([outcome(caller), caller.cancel()]);
    t.ok(status === 200 || status === 487, `${status}`);
    await recordOf(scene.stack, caller.callId, 'ended');
    await nothingLeft(t, scene);
    outcomes.set(status, (outcomes.get(status) ?? 0) + 1);
  }
  t.comment(Object.fromEntries(outcomes));
});
