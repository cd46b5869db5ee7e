import t from 'tap';
import { dial, establish, noDialogLeft, recordOf, startPeer, startScene } from '../../harness/scene.js';
import type { IncomingCall } from '../../harness/sip-peer.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST } from '../../harness/stack.js';

t.test('a call to a configured number reaches Retell as +E.164 with our call id', async (t) => {
  const scene = await startScene(t);
  const { caller, callee, record } = await establish(scene);

  const invite = callee.message;
  t.equal(invite.requestUri.split(';')[0], `sip:${NUMBER}@${RETELL_HOST}:${scene.retell.port}`);
  t.equal(invite.get('x-call-ref'), record.id);
  t.equal(record.carrier, 'acme');
  t.equal(record.number, NUMBER);
  t.equal(record.from, '+14155550123');
  t.equal(record.direction, 'inbound');
  t.equal(record.sip_call_id, caller.callId);
  t.equal(record.sip_status, 200);
  t.equal(record.gateway, `sip:${RETELL_HOST}:${scene.retell.port};transport=udp`);
  t.ok(record.created_at <= record.ringing_at && record.ringing_at <= record.answered_at);
  t.match(record.answered_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.same(
    record.timeline.map((entry: { type: string }) => entry.type),
    ['invite', 'ringing', 'answered'],
  );

  const listed = await scene.stack.api.get('/v1/calls?state=answered');
  t.same(
    listed.body.items.map((call: { id: string }) => call.id),
    [record.id],
  );
});

t.test('an X-Call-Ref that comes from a carrier never reaches Retell', async (t) => {
  const scene = await startScene(t);
  const arrived = new Promise<IncomingCall>((resolve) => {
    scene.retell.onInvite = resolve;
  });
  const call = dial(scene, NUMBER, [['X-Call-Ref', 'forged']]);
  const { message } = await arrived;
  t.equal(message.list('x-call-ref').length, 1);
  t.not(message.get('x-call-ref'), 'forged');
  await call.cancel();
});

t.test(
  'a number dialled without + reaches Retell with it, in To as well, and the carrier sees its own To',
  async (t) => {
    const scene = await startScene(t);
    const { caller, callee } = await establish(scene, NUMBER.slice(1));
    t.match(callee.message.get('to'), `sip:${NUMBER}@`);
    const ok = await caller.response(200);
    t.match(ok.get('to'), `sip:${NUMBER.slice(1)}@`);

    const info = await caller.request('INFO');
    t.equal(info.status, 200);
    t.match((await callee.next('INFO')).message.get('to'), `sip:${NUMBER}@`);
    const bye = await callee.bye();
    t.equal(bye.status, 200);
    t.match((await caller.next('BYE')).message.get('from'), `sip:${NUMBER.slice(1)}@`);
  },
);

t.test("the carrier's BYE and Retell's BYE are told apart in ended_by", async (t) => {
  const scene = await startScene(t);
  const first = await establish(scene);
  t.equal((await first.caller.bye()).status, 200);
  t.equal((await recordOf(scene.stack, first.caller.callId, 'ended')).ended_by, 'carrier');

  const second = await establish(scene);
  t.equal((await second.callee.bye()).status, 200);
  t.equal((await recordOf(scene.stack, second.caller.callId, 'ended')).ended_by, 'retell');
  await noDialogLeft(scene.stack);
});

t.test('a CANCEL while it rings reaches Retell and ends the call with 487', async (t) => {
  const scene = await startScene(t);
  const arrived = new Promise<IncomingCall>((resolve) => {
    scene.retell.onInvite = resolve;
  });
  const caller = dial(scene);
  const callee = await arrived;
  callee.ring();
  await caller.response(180);
  t.equal((await caller.cancel()).status, 200);
  await callee.canceled;
  t.equal((await caller.finalResponse()).status, 487);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(record.ended_by, 'carrier');
  t.equal(record.sip_status, 487);
  await noDialogLeft(scene.stack);
});

t.test('a number that is not configured gets 404 with a reason, and one record', async (t) => {
  const scene = await startScene(t);
  const caller = dial(scene, '+14155550199');
  const response = await caller.finalResponse();
  t.equal(response.status, 404);
  t.match(response.get('reason'), /number not configured/);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(record.sip_status, 404);
  t.equal(record.ended_by, 'failure');
  t.equal(record.reason, 'number not configured');
  t.equal(record.number, null);
  t.equal(record.to, '+14155550199');
  t.equal(scene.retell.count('INVITE'), 0);
});

t.test('a call through TCP on both sides is set up and ended', async (t) => {
  const scene = await startScene(t, { transport: 'tcp' });
  const { caller, callee } = await establish(scene);
  const own = `${scene.stack.sip.host}:${scene.stack.sip.port}`;
  t.match(callee.message.get('via'), `SIP/2.0/TCP ${own}`);
  for (const route of callee.message.list('record-route')) t.match(route, `<sip:${own};`);
  t.equal((await callee.request('INFO')).status, 200, 'Retell reaches the carrier');
  t.equal((await caller.bye()).status, 200);
  await recordOf(scene.stack, caller.callId, 'ended');
});

t.test('in-dialog requests pass in both directions', async (t) => {
  const scene = await startScene(t);
  const { caller, callee } = await establish(scene);
  for (const method of ['INFO', 'UPDATE', 'OPTIONS']) {
    t.equal((await caller.request(method)).status, 200, `${method} from the carrier`);
    t.equal((await callee.request(method)).status, 200, `${method} from Retell`);
  }
  t.equal((await callee.bye()).status, 200);
  await recordOf(scene.stack, caller.callId, 'ended');
});

t.test('a request of a call that is up passes from an address in no list', async (t) => {
  const scene = await startScene(t);
  const { caller, callee } = await establish(scene);
  const elsewhere = await startPeer(t, { host: '127.0.0.9' });
  const ok = await caller.response(200);
  const info = await elsewhere.request('INFO', {
    to: ok.get('to') ?? '',
    from: caller.message.get('from') ?? '',
    requestUri: ok.list('contact')[0]?.replace(/^<|>.*$/g, '') ?? '',
    callId: caller.callId,
    cseq: 77,
    via: scene.stack.sip,
    headers: [
      ['Route', ok.list('record-route').join(', ')],
      ['From', caller.message.get('from') ?? ''],
    ],
  });
  t.equal(info.status, 200);
  t.equal((await callee.next('INFO')).message.cseq, 77);
  t.equal(CARRIER_HOST === elsewhere.host, false);
});
