import t from 'tap';
import { answeredCall, pair, start } from '../../harness/call-pair.js';

for (const transport of ['udp', 'tcp'] as const) {
  t.test(`${transport}: peers talk over IPv6, with brackets in URIs and Via`, async (t) => {
    const { out, incoming, caller, callee } = await answeredCall(t, transport, { host: '::1' });
    const suffix = transport === 'tcp' ? ';transport=tcp' : '';
    t.equal(callee.uri('bob'), `sip:bob@[::1]:${callee.port}${suffix}`);
    t.match(out.message.get('via'), `${transport.toUpperCase()} [::1]:${caller.port};branch=`);
    t.match(out.message.body, /c=IN IP6 ::1/);
    t.equal((await incoming.bye()).status, 200);
    const via = { host: '[::1]', port: callee.port };
    t.equal((await caller.request('OPTIONS', { to: 'sip:example.com', via })).status, 200);
  });

  t.test(`${transport}: a call goes to the URI as given, parameters included`, async (t) => {
    const { caller, callee, call } = await pair(t, transport);
    const uri = `${callee.uri('bob')};user=phone`;
    caller.invite({ to: uri });
    t.equal((await call()).message.requestUri, uri);
    caller.invite({ to: `"Bob" <${uri}>;x=y` });
    t.equal((await call()).message.requestUri, uri);
  });

  t.test(`${transport}: a peer shows another address than its own`, async (t) => {
    const { callee, call } = await pair(t, transport);
    const hidden = await start(t, {
      transport,
      contact: { host: '10.1.2.3', port: 5080 },
      sentBy: { host: '10.1.2.3' },
    });
    const out = hidden.invite({ to: callee.uri('bob'), from: hidden.uri('alice') });
    const incoming = await call();
    t.match(incoming.message.get('contact'), /^<sip:alice@10\.1\.2\.3:5080/);
    t.match(incoming.message.get('via'), ` 10.1.2.3:${hidden.port};branch=`);
    incoming.answer();
    await out.answered();
    await incoming.acked;
    t.equal((await out.bye()).status, 200, 'answers come back to where the request came from');
    t.equal(hidden.host, '127.0.0.1');
    t.match(hidden.uri(), `sip:127.0.0.1:${hidden.port}`);
  });

  t.test(`${transport}: a callee shows another address in its answers`, async (t) => {
    const caller = await start(t, { transport });
    const callee = await start(t, { transport, contact: { host: '10.1.2.3' } });
    callee.onInvite = (call) => call.answer();
    const answer = await caller.invite({ to: callee.uri('bob') }).answered({ ack: false });
    t.match(answer.get('contact'), `<sip:bob@10.1.2.3:${callee.port}`);
  });
}
