import t from 'tap';
import { answeredCall, pair, start, until } from '../../harness/call-pair.js';

for (const transport of ['udp', 'tcp'] as const) {
  t.test(`${transport}: a call rings, is answered and acknowledged, and the caller ends it`, async (t) => {
    const { caller, callee, call } = await pair(t, transport);
    const out = caller.invite({
      to: callee.uri('bob'),
      from: caller.uri('alice'),
      headers: [['X-Ref', '1']],
    });
    const incoming = await call();
    t.equal(incoming.callId, out.callId);
    t.equal(incoming.message.get('x-ref'), '1');
    t.match(incoming.message.body, /telephone-event/);
    incoming.ring(180);
    t.equal((await out.response(180)).toTag, incoming.localTag);
    incoming.answer({ headers: [['X-Answer', '2']] });
    const answer = await out.answered();
    t.equal(answer.get('x-answer'), '2');
    t.match(answer.body, /PCMU/);
    const ack = await incoming.acked;
    t.equal(ack.requestUri, callee.uri('bob'), "the ACK goes to the answer's Contact");
    t.equal((await out.bye()).status, 200);
    t.equal(await incoming.ended, 'remote');
    t.equal(await out.ended, 'local');
    t.equal(callee.count('BYE'), 1);
    t.equal(callee.count('INVITE'), 1);
  });

  t.test(`${transport}: the callee ends the call`, async (t) => {
    const { out, incoming, caller } = await answeredCall(t, transport);
    t.equal((await incoming.bye([['Reason', 'Q.850;cause=16']])).status, 200);
    const bye = await out.next('BYE');
    t.equal(bye.message.get('reason'), 'Q.850;cause=16');
    t.equal(await out.ended, 'remote');
    t.equal(caller.count('BYE', { withRetransmissions: true }), 1);
  });

  t.test(`${transport}: a request after the end of the call is answered 481`, async (t) => {
    const { out, incoming } = await answeredCall(t, transport);
    await out.bye();
    t.equal((await incoming.bye()).status, 481);
  });

  t.test(`${transport}: CANCEL is answered 200 and the INVITE 487`, async (t) => {
    const { caller, callee, call } = await pair(t, transport);
    const out = caller.invite({ to: callee.uri('bob') });
    const incoming = await call();
    incoming.ring();
    t.equal((await out.cancel()).status, 200);
    t.equal((await out.finalResponse()).status, 487);
    t.equal((await incoming.canceled).message.cseq, out.message.cseq);
    await incoming.acked;
    t.equal(await incoming.ended, 'failed');
    t.equal(await out.ended, 'failed');
  });

  t.test(`${transport}: a script may answer a call although CANCEL came`, async (t) => {
    const { caller, callee, call } = await pair(t, transport);
    const out = caller.invite({ to: callee.uri('bob') });
    const incoming = await call();
    incoming.autoCancel = false;
    incoming.ring();
    const canceled = out.cancel();
    const cancel = await incoming.canceled;
    incoming.answer();
    cancel.reply(481);
    t.equal((await canceled).status, 481);
    t.equal((await out.answered()).status, 200);
    await incoming.acked;
  });

  t.test(`${transport}: a refusal is acknowledged by itself`, async (t) => {
    const { caller, callee, call } = await pair(t, transport);
    const out = caller.invite({ to: callee.uri('bob') });
    const incoming = await call();
    incoming.refuse(486, 'Busy', [['Retry-After', '5']]);
    const final = await out.finalResponse();
    t.equal(final.reason, 'Busy');
    t.equal(final.get('retry-after'), '5');
    const ack = await incoming.acked;
    t.equal(ack.branch, out.message.branch, 'the ACK belongs to the INVITE transaction');
    await t.rejects(out.answered(), { message: /refused: 486 Busy/ });
  });

  t.test(`${transport}: requests in the dialog count CSeq up on each side`, async (t) => {
    const { out, incoming } = await answeredCall(t, transport);
    t.equal(
      (await out.request('INFO', { headers: [['Content-Type', 'text/plain']], body: 'x' })).status,
      200,
    );
    incoming.on('REFER', (request) => request.reply(202));
    t.equal((await out.request('REFER', { headers: [['Refer-To', '<sip:c@h>']] })).status, 202);
    t.equal((await incoming.request('UPDATE')).status, 200);
    t.equal((await incoming.request('NOTIFY', { headers: [['Event', 'refer']] })).status, 200);
    t.equal((await incoming.next('INFO')).message.cseq, 2);
    const refer = await incoming.next('REFER');
    t.equal(refer.message.cseq, 3);
    t.equal(refer.message.get('r'), '<sip:c@h>');
    t.equal((await out.next('UPDATE')).message.cseq, 1);
    t.equal((await out.next('NOTIFY')).message.cseq, 2);
  });

  t.test(`${transport}: a re-INVITE is acknowledged and moves the target of later requests`, async (t) => {
    const { out, incoming, callee } = await answeredCall(t, transport);
    const moved = callee.uri('moved');
    const answer = out.request('INVITE');
    (await incoming.next('INVITE')).reply(200, 'OK', [['Contact', `<${moved}>`]]);
    t.equal((await answer).status, 200);
    const ack = await callee.next((message) => message.method === 'ACK' && message.cseq === 2);
    t.equal(ack.requestUri, moved);
    await out.bye();
    t.equal((await incoming.next('BYE')).message.requestUri, moved);
  });

  t.test(
    `${transport}: OPTIONS outside a dialog follows the policy, other requests the handler`,
    async (t) => {
      const { caller, callee } = await pair(t, transport);
      const ask = async (method: string) => (await caller.request(method, { to: callee.uri() })).status;
      t.equal(await ask('OPTIONS'), 200);
      callee.onOptions = 503;
      t.equal(await ask('OPTIONS'), 503);
      callee.onOptions = (request) => request.reply(404);
      t.equal(await ask('OPTIONS'), 404);
      t.equal(await ask('REGISTER'), 405);
      callee.onRequest = (request) => request.reply(200);
      t.equal(await ask('REGISTER'), 200);
    },
  );

  t.test(`${transport}: a peer without a script refuses calls`, async (t) => {
    const caller = await start(t, { transport });
    const callee = await start(t, { transport });
    const final = await caller.invite({ to: callee.uri('bob') }).finalResponse();
    t.equal(final.status, 480);
  });

  t.test(`${transport}: the route set comes from Record-Route, backwards for the caller`, async (t) => {
    const { caller, callee, call } = await pair(t, transport);
    // Both hops are the callee itself, so that the requests still arrive.
    const hop = (name: string) => `<sip:${name}@${callee.host}:${callee.port};lr>`;
    const out = caller.invite({
      to: callee.uri('bob'),
      headers: [['Record-Route', `${hop('near-callee')}, ${hop('near-caller')}`]],
    });
    const incoming = await call();
    incoming.answer();
    await out.answered();
    const ack = await incoming.acked;
    t.strictSame(ack.list('route'), [hop('near-caller'), hop('near-callee')]);
    await out.bye();
    const bye = (await incoming.next('BYE')).message;
    t.strictSame(bye.list('route'), [hop('near-caller'), hop('near-callee')]);
    t.equal(bye.requestUri, callee.uri('bob'));
  });

  t.test(`${transport}: a 2xx is repeated until its ACK comes`, async (t) => {
    const { caller, callee, call } = await pair(t, transport, { t1Ms: 20 });
    const out = caller.invite({ to: callee.uri('bob') });
    const incoming = await call();
    incoming.answer();
    await out.answered({ ack: false });
    const repeats = () =>
      caller.trace.filter((entry) => entry.retransmission && entry.message.status === 200);
    await until(() => repeats().length >= 2);
    t.equal(caller.count(200), 1);
    t.equal(callee.count('ACK'), 0);
    await out.answered();
    await incoming.acked;
    const sent = () =>
      callee.trace.filter(
        ({ direction, message }) =>
          direction === 'out' && message.method === 'INVITE' && message.status === 200,
      ).length;
    const sentByAck = sent();
    await out.request('INFO');
    await out.request('INFO');
    t.equal(sent(), sentByAck);
  });

  t.test(`${transport}: a request that nobody answers ends in a made-up 408`, async (t) => {
    const { out, incoming, callee } = await answeredCall(t, transport, { t1Ms: 20, timeoutMs: 200 });
    incoming.on('BYE', () => undefined);
    t.equal((await out.bye()).status, 408);
    t.equal(callee.count('BYE'), 1, 'repetitions are told apart');
    const all = callee.count('BYE', { withRetransmissions: true });
    if (transport === 'udp') t.ok(all > 1, 'UDP repeats');
    else t.equal(all, 1, 'TCP does not');
  });

  t.test(`${transport}: a handler may answer later and with any status`, async (t) => {
    const { out, incoming } = await answeredCall(t, transport);
    incoming.on('BYE', () => undefined);
    const answer = out.bye();
    const bye = await incoming.next('BYE');
    t.equal(bye.status, 0);
    bye.reply(500, 'Not now');
    t.equal((await answer).reason, 'Not now');
    t.throws(() => bye.reply(200), { message: /already answered 500/ });
  });

  t.test(`${transport}: with autoAnswer off nothing in the dialog is answered by default`, async (t) => {
    const { out, incoming } = await answeredCall(t, transport, { behaviour: { autoAnswer: false } });
    const answer = out.request('INFO');
    const info = await incoming.next('INFO');
    t.equal(info.status, 0);
    info.reply(415);
    t.equal((await answer).status, 415);
  });

  t.test(`${transport}: a CSeq lower than the last one is refused`, async (t) => {
    const { out, incoming } = await answeredCall(t, transport);
    await out.request('INFO');
    const late = await out.request('INFO', { headers: [['CSeq', '1 INFO']] });
    t.equal(late.status, 500);
    t.equal(await incoming.next('INFO').then((info) => info.message.cseq), 2);
    await t.rejects(incoming.next('INFO', 1), { message: /no INFO in call/ });
  });
}
