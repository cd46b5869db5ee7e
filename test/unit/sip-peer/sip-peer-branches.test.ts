import t from 'tap';
import { answeredCall, pair, until } from '../../harness/call-pair.js';

for (const transport of ['udp', 'tcp'] as const) {
  t.test(`${transport}: one INVITE over two branches is two calls with one Call-ID`, async (t) => {
    const { caller, callee, call } = await pair(t, transport);
    const first = caller.invite({ to: callee.uri('bob'), headers: [['X-Ref', '1']] });
    const second = first.fork({ headers: [['X-Path', '2']] });
    const [one, two] = [await call(), await call()];
    t.equal(one.callId, two.callId);
    t.equal(one.message.fromTag, two.message.fromTag);
    t.equal(one.message.cseq, two.message.cseq);
    t.not(one.message.branch, two.message.branch);
    t.equal(two.message.get('x-ref'), '1');
    t.equal(two.message.get('x-path'), '2');
    one.answer();
    two.refuse(482);
    await first.answered();
    await one.acked;
    t.equal((await second.finalResponse()).status, 482);
    t.equal((await one.bye()).status, 200);
    t.equal(await first.ended, 'remote');
  });

  t.test(`${transport}: each answered branch ends by its own BYE`, async (t) => {
    const { caller, callee, call } = await pair(t, transport, { lingerMs: 1 });
    const first = caller.invite({ to: callee.uri('bob') });
    const second = first.fork();
    const calls = [await call(), await call()];
    for (const incoming of calls) incoming.answer();
    await Promise.all([first.answered(), second.answered()]);
    await Promise.all(calls.map((incoming) => incoming.acked));
    t.equal((await calls[1]?.bye())?.status, 200);
    t.equal(await second.ended, 'remote');
    t.equal((await first.bye()).status, 200, 'the other branch is still up');
    t.equal(await calls[0]?.ended, 'remote');
    await until(() => caller.callCount === 0 && callee.callCount === 0);
  });
}

t.test('a retransmitted INVITE is the same one', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  const out = caller.invite({ to: callee.uri('bob') });
  const incoming = await call();
  incoming.ring();
  await out.response(180);
  out.retransmit();
  await until(() => callee.count('INVITE', { withRetransmissions: true }) === 2);
  t.equal(callee.count('INVITE'), 1);
  t.equal(callee.callCount, 1);
  await until(() => caller.count(180, { withRetransmissions: true }) === 2);
});

t.test('early media is SDP in a provisional answer', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  const out = caller.invite({ to: callee.uri('bob') });
  const incoming = await call();
  incoming.earlyMedia();
  const progress = await out.response(183);
  t.match(progress.body, /PCMU/);
  t.equal(progress.get('content-type'), 'application/sdp');
  incoming.earlyMedia(180, [['X-Early', '1']]);
  t.match((await out.response(180)).get('x-early'), '1');
  incoming.refuse(503, undefined, [['Retry-After', '7']]);
  t.equal((await out.finalResponse()).get('retry-after'), '7');
});

t.test('a CANCEL may stay without any answer', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp', { timeoutMs: 50, t1Ms: 20 });
  const out = caller.invite({ to: callee.uri('bob') });
  const incoming = await call();
  incoming.autoCancel = false;
  incoming.ring();
  const answer = await out.cancel();
  t.match(answer, { status: 408, reason: 'Request Timeout (made up locally)' });
  await incoming.canceled;
  t.equal(incoming.status, 180);
});

t.test('a callee chooses the user part of its Contact', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  const out = caller.invite({ to: callee.uri('bob') });
  const incoming = await call();
  incoming.contactUser = 'call_1';
  incoming.answer();
  t.match((await out.answered()).get('contact'), /^<sip:call_1@/);
  t.match((await incoming.acked).requestUri, /^sip:call_1@/);
});

t.test('calls of both sides know the tag of the far end', async (t) => {
  const { out, incoming } = await answeredCall(t, 'udp');
  t.equal(out.remoteTag, incoming.localTag);
  t.equal(incoming.remoteTag, out.localTag);
});
