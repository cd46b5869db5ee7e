import t from 'tap';
import type { IncomingRequest } from '../../harness/sip-peer.js';
import { received } from '../../harness/staged-calls.js';
import { begin, endOf, nextRefer, notify, sidesOf, TARGET } from '../../harness/transfers.js';
import { refer, startStage, transferOf } from '../../harness/transfers-by-retell.js';

t.test('a carrier that takes no REFER gets none, and Retell 405 with the way out', async (t) => {
  const stage = await startStage(t, { refer: 'unsupported' });
  const call = await stage.answered();
  const answer = await refer(call.callee);
  t.equal(answer.status, 405);
  t.match(answer.get('reason'), /sip_invite/);
  t.notMatch(answer.get('allow'), /REFER/);
  t.match(await transferOf(stage, call), {
    state: 'rejected',
    status: 405,
    source: 'retell',
    refer_to: null,
    reason: /sip_invite/,
  });
  t.equal(received(stage.scene.carrier, 'REFER', call.caller), 0);
  t.equal((await call.callee.request('INFO')).status, 200, 'the call goes on');
  await call.caller.bye();
});

t.test("a second REFER of Retell's, or a command, during a transfer has to wait", async (t) => {
  const stage = await startStage(t);
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier, retell } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const first = refer(retell);
  (await arrived).reply(202);
  t.equal((await first).status, 202);
  t.equal((await refer(retell)).status, 491);
  await transferOf(stage, call, ({ status }) => status === 491);
  t.match(await stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET }), {
    status: 409,
    body: { code: 'transfer_in_progress' },
  });
  await notify(carrier, 486);
  const again = nextRefer(carrier);
  const second = refer(retell);
  (await again).reply(603);
  t.equal((await second).status, 603);
  await carrier.bye();
});

t.test("a REFER of Retell's during a command's has to wait", async (t) => {
  const stage = await startStage(t);
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier, retell } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const { id } = await begin(stack, call.id);
  const request = await arrived;
  t.equal((await refer(retell)).status, 491);
  request.reply(603);
  t.match(await endOf(stack, call.id, id), { state: 'rejected', status: 603 });
  await carrier.bye();
});

t.test('over transfers.per_minute Retell gets 503', async (t) => {
  const stage = await startStage(t, {}, {}, { per_minute: 1 });
  const calls = await Promise.all([1, 2, 3].map(() => stage.answered()));
  for (const { caller } of calls) caller.on('REFER', (request) => request.reply(603));
  const statuses: number[] = [];
  for (const { callee } of calls) {
    const answer = await refer(callee);
    statuses.push(answer.status);
    if (answer.status === 503) t.match(answer.get('retry-after'), /^\d+$/);
  }
  // A minute may end between them, once.
  t.ok(statuses.filter((status) => status === 503).length >= 1, String(statuses));
  t.ok(statuses.includes(603));
  await Promise.all(calls.map(({ caller }) => caller.bye()));
});

t.test('a REFER of a carrier passes to Retell as it is', async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  const arrived = new Promise<IncomingRequest>((resolve) => call.callee.on('REFER', resolve));
  const answer = refer(call.caller, [['Refer-To', '<sip:200@pbx.example.com>']]);
  const request = await arrived;
  t.equal(request.message.get('refer-to'), '<sip:200@pbx.example.com>');
  request.reply(501);
  t.equal((await answer).status, 501);
  t.same((await stage.scene.stack.api.get(`/v1/calls/${call.id}`)).body.transfers, []);
  await call.caller.bye();
});

t.test("in a dialog that Kamailio does not know no REFER of Retell's passes", async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  await stage.scene.stack.parts.kamailio.kill();
  await stage.scene.stack.parts.kamailio.start();
  t.equal((await refer(call.callee)).status, 403);
  t.equal(received(stage.scene.carrier, 'REFER', call.caller), 0);
  await call.caller.bye();
});

t.test("a REFER of Retell's that cannot leave is refused, and over", async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  const { carrier, retell } = sidesOf(call, 'inbound');
  const { host, port } = stage.scene.carrier;
  /** The carrier announces where it wants to get requests from now on. */
  const moveTo = (contact: string) => carrier.request('UPDATE', { headers: [['Contact', `<${contact}>`]] });
  // Nothing of ours speaks TLS here.
  t.equal((await moveTo(`sip:carrier@${host}:${port};transport=tls`)).status, 200);
  const answer = await refer(retell);
  t.equal(answer.status, 500);
  t.match(answer.get('reason'), /leave/);
  t.equal(answer.reason, 'REFER Not Sent');
  t.match(await transferOf(stage, call), {
    source: 'retell',
    state: 'rejected',
    status: 500,
    reason: /leave/,
  });
  t.equal((await moveTo(`sip:carrier@${host}:${port}`)).status, 200);
  const arrived = nextRefer(carrier);
  const again = refer(retell);
  (await arrived).reply(603);
  t.equal((await again).status, 603, 'the next one goes through');
  t.same(
    stage.scene.retell.trace
      .filter(({ direction, message }) => direction === 'in' && message.kind === 'response')
      .filter(({ message }) => message.method === 'REFER' && message.callId === retell.callId)
      .map(({ message }) => message.status)
      .filter((status) => status >= 200),
    [500, 603],
    'one answer to each',
  );
  await carrier.bye();
});
