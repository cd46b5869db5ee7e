import t from 'tap';
import { SILENCE_MS } from '../../harness/await.js';
import { establish, noDialogLeft, recordOf, startScene } from '../../harness/scene.js';
import { NUMBER } from '../../harness/stack.js';

t.test('a hangup sends one BYE to each leg and answers with what both replied', async (t) => {
  const scene = await startScene(t);
  const { caller, callee, record } = await establish(scene);
  const { status, body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`, {
    reason: 'maintenance',
  });
  t.equal(status, 200);
  t.same(body, {
    outcome: 'ended',
    legs: [
      { leg: 'carrier', method: 'BYE', status: 200, sent: 1 },
      { leg: 'retell', method: 'BYE', status: 200, sent: 1 },
    ],
  });
  t.match((await caller.next('BYE')).message.get('reason'), 'SIP;cause=200;text="maintenance"');
  t.match((await callee.next('BYE')).message.get('reason'), 'SIP;cause=200;text="maintenance"');
  const ended = await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(ended.ended_by, 'api');
  const types = ended.timeline.map((entry: { type: string }) => entry.type);
  t.same(types.filter((type: string) => type === 'bye_sent').length, 2);
  t.same(types.filter((type: string) => type === 'bye_answered').length, 2);
  t.ok(types.includes('hangup_requested'));
  await noDialogLeft(scene.stack);
  t.equal(scene.carrier.count('BYE'), 1);
  t.equal(scene.retell.count('BYE'), 1);

  const again = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(again.status, 200);
  t.equal(again.body.outcome, 'already_ended');
  t.equal(scene.carrier.count('BYE'), 1);
});

t.test('a hangup names the call by its SIP Call-ID too', async (t) => {
  const scene = await startScene(t);
  const { caller } = await establish(scene);
  const { body } = await scene.stack.api.post(`/v1/calls/sip:${encodeURIComponent(caller.callId)}/hangup`);
  t.equal(body.outcome, 'ended');
});

t.test('two hangups at once send one BYE to each leg and answer the same', async (t) => {
  const scene = await startScene(t);
  const { record } = await establish(scene);
  const path = `/v1/calls/${record.id}/hangup`;
  const [first, second] = await Promise.all([scene.stack.api.post(path), scene.stack.api.post(path)]);
  t.equal(first.body.outcome, 'ended');
  t.same(second.body, first.body);
  await noDialogLeft(scene.stack);
  t.equal(scene.carrier.count('BYE'), 1);
  t.equal(scene.retell.count('BYE'), 1);
});

t.test('a leg that never answers its BYE makes the outcome partial', async (t) => {
  const scene = await startScene(t, { config: { calls: { hangup_timeout_ms: SILENCE_MS } } });
  const { callee, record } = await establish(scene);
  callee.on('BYE', () => {});
  const { status, body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(status, 200);
  t.same(body, {
    outcome: 'partial',
    legs: [
      { leg: 'carrier', method: 'BYE', status: 200, sent: 1 },
      { leg: 'retell', method: 'BYE', status: 'timeout', sent: 1 },
    ],
  });
});

t.test('a leg that answers 481 is over: the outcome is ended, with the status', async (t) => {
  const scene = await startScene(t);
  const { caller, record } = await establish(scene);
  caller.on('BYE', (request) => request.reply(481));
  const { body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(body.outcome, 'ended');
  t.same(body.legs[0], { leg: 'carrier', method: 'BYE', status: 481, sent: 1 });
});

t.test('a provisional reply to a BYE is not its answer', async (t) => {
  const scene = await startScene(t);
  const { callee, record } = await establish(scene);
  callee.on('BYE', (request) => {
    request.reply(183);
    setTimeout(() => request.reply(202), 200);
  });
  const { body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(body.outcome, 'ended');
  t.same(body.legs[1], { leg: 'retell', method: 'BYE', status: 202, sent: 1 });
});

t.test('a call that its own side ended answers already_ended', async (t) => {
  const scene = await startScene(t);
  const { caller, record } = await establish(scene);
  await caller.bye();
  await recordOf(scene.stack, caller.callId, 'ended');
  const { body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(body.outcome, 'already_ended');
  t.same(body.legs[0], { leg: 'carrier', method: null, status: null, sent: 0 });
});

t.test('a hangup of a call whose Kamailio hangs answers 503 with Retry-After', async (t) => {
  const scene = await startScene(t);
  const { record } = await establish(scene);
  const group = scene.stack.parts.kamailio.pid ?? 0;
  process.kill(-group, 'SIGSTOP');
  t.teardown(() => process.kill(-group, 'SIGCONT'));
  const { status, headers, body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(status, 503);
  t.equal(body.code, 'node_unavailable');
  t.equal(headers['retry-after'], '2');
  process.kill(-group, 'SIGCONT');
  const again = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(again.body.outcome, 'ended', 'once it answers, the call can be hung up');
});

t.test('a reason with quotes and line breaks stays one well-formed Reason header', async (t) => {
  const scene = await startScene(t);
  const { caller, record } = await establish(scene);
  const reason = 'over"\r\nX-Evil: 1\\';
  t.equal((await scene.stack.api.post(`/v1/calls/${record.id}/hangup`, { reason })).body.outcome, 'ended');
  const { message } = await caller.next('BYE');
  t.equal(message.get('x-evil'), undefined);
  t.match(message.get('reason'), /^SIP;cause=200;text="over +X-Evil: 1 "$/);
  t.equal(record.number, NUMBER);
});
