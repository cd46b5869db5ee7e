import t from 'tap';
import { asked, askedTimes, startRegisterScene, takenByFallback } from '../../harness/register-scene.js';
import { dial, noDialogLeft, recordOf, startScene } from '../../harness/scene.js';
import { NUMBER } from '../../harness/stack.js';

const REGISTER = 'register-phone-call';

t.test(
  'a call that waits for a decision is refused to its caller, and its registration stopped',
  async (t) => {
    const scene = await startRegisterScene(t, { simulator: { stopUnanswered: 'end' } });
    scene.simulator.addFault({ endpoint: REGISTER, delay_ms: 1000 });
    const caller = dial(scene);
    await askedTimes(scene, REGISTER, 1);
    const { id } = await recordOf(scene.stack, caller.callId, 'routing');
    const { body } = await scene.stack.api.post(`/v1/calls/${id}/hangup`, { reason: 'maintenance' });
    t.same(body, {
      outcome: 'ended',
      legs: [
        { leg: 'carrier', method: 'INVITE', status: 480, sent: 1 },
        { leg: 'retell', method: null, status: null, sent: 0 },
      ],
    });
    const refusal = await caller.finalResponse();
    t.equal(refusal.status, 480);
    t.equal(refusal.get('reason'), 'SIP;cause=200;text="maintenance"');
    t.match(await recordOf(scene.stack, caller.callId, 'ended'), { ended_by: 'api', sip_status: 480 });
    await askedTimes(scene, 'stop-call', 1);
    t.equal(asked(scene, REGISTER).length, 1);
    t.equal(scene.retell.count('INVITE') + scene.fallback.count('INVITE'), 0, 'nobody was called');
    await noDialogLeft(scene.stack);
  },
);

t.test('a call that rings at its fallback is canceled there', async (t) => {
  const scene = await startRegisterScene(t);
  scene.simulator.addFault({ endpoint: REGISTER, status: 500 });
  scene.fallback.onInvite = (call) => call.ring();
  const caller = dial(scene);
  await caller.response(180);
  const { id } = await recordOf(scene.stack, caller.callId, 'ringing');
  const { body } = await scene.stack.api.post(`/v1/calls/${id}/hangup`);
  t.match(body, {
    outcome: 'ended',
    legs: [
      { method: 'INVITE', status: 480 },
      { method: 'CANCEL', status: 487, sent: 1 },
    ],
  });
  t.equal((await caller.finalResponse()).status, 480);
  t.equal(scene.fallback.count('CANCEL'), 1);
  await noDialogLeft(scene.stack);
});

t.test('a call that its fallback took is ended there', async (t) => {
  const scene = await startRegisterScene(t);
  scene.simulator.addFault({ endpoint: REGISTER, status: 500 });
  const { caller, callee } = await takenByFallback(scene, () => dial(scene));
  const { id } = await recordOf(scene.stack, caller.callId, 'answered');
  t.equal((await scene.stack.api.post(`/v1/calls/${id}/hangup`)).body.outcome, 'ended');
  t.equal((await callee.next('BYE')).status, 200);
});

t.test('a ringing call is found whatever way its headers are written', async (t) => {
  const scene = await startScene(t);
  scene.retell.onInvite = (call) => call.ring();
  const caller = dial(scene, NUMBER, [
    ['call-id', 'written-otherwise'],
    ['CSEQ', '7  INVITE'],
  ]);
  await caller.response(180);
  const { id } = await recordOf(scene.stack, 'written-otherwise', 'ringing');
  t.equal((await scene.stack.api.post(`/v1/calls/${id}/hangup`)).body.outcome, 'ended');
  t.equal(scene.retell.count('CANCEL'), 1);
});
