import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { answeredCall, pair, start, until } from '../../harness/call-pair.js';
import { SipPeer } from '../../harness/sip-peer.js';

t.test('a repeated BYE gets the same answer and counts once', async (t) => {
  const { out, incoming, callee } = await answeredCall(t, 'udp', { t1Ms: 20 });
  incoming.on('BYE', () => undefined);
  const answer = out.bye();
  const bye = await incoming.next('BYE');
  await until(() => callee.count('BYE', { withRetransmissions: true }) > 1);
  bye.reply(200);
  t.equal((await answer).status, 200);
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  const before = callee.count(200, { direction: 'out', withRetransmissions: true });
  socket.send(bye.message.raw, callee.port, callee.host);
  await until(() => callee.count(200, { direction: 'out', withRetransmissions: true }) > before);
  t.equal(callee.count('BYE'), 1);
  const last = callee.trace.at(-1);
  t.match(last, { direction: 'out', retransmission: true });
  t.equal(last?.message.method, 'BYE');
});

t.test('a lost ACK is sent again for a repeated 2xx', async (t) => {
  const { out, incoming, caller, callee } = await answeredCall(t, 'udp');
  const answer = callee.trace.find((entry) => entry.direction === 'out' && entry.message.status === 200);
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  socket.send(answer?.message.raw ?? '', caller.port, caller.host);
  await until(() => callee.count('ACK', { withRetransmissions: true }) === 2);
  t.equal(callee.count('ACK'), 1);
  t.equal(out.callId, incoming.callId);
});

t.test('a refusal is repeated over UDP until its ACK comes', async (t) => {
  const callee = await start(t, { t1Ms: 20 });
  callee.onInvite = (call) => call.refuse(603);
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => socket.close());
  await once(socket, 'listening');
  const lines = [
    `INVITE ${callee.uri('bob')} SIP/2.0`,
    `Via: SIP/2.0/UDP 127.0.0.1:${socket.address().port};branch=z9hG4bKx`,
    'From: <sip:a@127.0.0.1>;tag=1',
    `To: <${callee.uri('bob')}>`,
    'Call-ID: c',
    'CSeq: 1 INVITE',
    '',
    '',
  ];
  socket.send(lines.join('\r\n'), callee.port, callee.host);
  await until(() => callee.count(603, { direction: 'out', withRetransmissions: true }) > 2);
  socket.send(lines.join('\r\n').replaceAll('INVITE', 'ACK'), callee.port, callee.host);
  await callee.next('ACK');
  t.equal(callee.count(603, { direction: 'out' }), 1);
});

t.test('bytes that are not SIP stay in the trace and change nothing', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  socket.send('INVITE nonsense\r\n\r\n', callee.port, callee.host);
  await until(() => callee.trace.length > 0);
  t.match(callee.trace[0], { direction: 'in', message: { kind: 'malformed' } });
  caller.invite({ to: callee.uri('bob') });
  t.equal((await call()).message.method, 'INVITE');
});

t.test('a wait that ends in nothing says what was awaited and what came', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  const out = caller.invite({ to: callee.uri('bob') });
  (await call()).ring();
  await out.response(180);
  await t.rejects(callee.next('BYE', 1), {
    message: /no message for BYE within 1 ms; received:\s+INVITE sip:bob/,
  });
  await t.rejects(out.response(200, 1), { message: /no response 200 .* received:\s+180 Ringing/ });
  const lonely = await start(t, {});
  await t.rejects(lonely.next(200, 1), { message: /nothing was received/ });
});

t.test('next also hands out what came before it was asked for, each message once', async (t) => {
  const { caller, callee } = await pair(t, 'udp');
  await caller.request('OPTIONS', { to: callee.uri(), callId: 'first' });
  await caller.request('OPTIONS', { to: callee.uri(), callId: 'second' });
  t.equal((await callee.next('OPTIONS')).callId, 'first');
  t.equal((await callee.next('OPTIONS')).callId, 'second');
});

t.test('a TCP next hop that refuses the connection gives a made-up 503', async (t) => {
  const gone = await SipPeer.start({ transport: 'tcp' });
  const uri = gone.uri('bob');
  await gone.stop();
  const caller = await start(t, { transport: 'tcp' });
  t.equal((await caller.invite({ to: uri }).finalResponse()).status, 503);
});

t.test('a next hop of the other transport is refused at once', async (t) => {
  const caller = await start(t, { transport: 'udp' });
  const via = { host: '127.0.0.1', port: 1, transport: 'tcp' } as const;
  t.throws(() => caller.invite({ to: 'sip:a@b', via }), { message: /wants tcp/ });
});

t.test('with tracing off messages are counted and not kept', async (t) => {
  const { caller, callee, out } = await answeredCall(t, 'udp', { trace: false });
  await out.bye();
  t.equal(callee.count('INVITE'), 1);
  t.equal(callee.count('BYE'), 1);
  t.strictSame([...caller.trace, ...callee.trace], []);
});

t.test('calls are forgotten once they are over', async (t) => {
  const { caller, callee, out, incoming } = await answeredCall(t, 'udp', { lingerMs: 1 });
  t.equal(callee.callCount, 1);
  await out.bye();
  await incoming.ended;
  await until(() => caller.callCount === 0 && callee.callCount === 0);
});
