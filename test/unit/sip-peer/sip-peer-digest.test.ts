import t from 'tap';
import { pair } from '../../harness/call-pair.js';
import { SipMessage } from '../../harness/sip-message.js';
import {
  authorization,
  checkCredentials,
  type DigestOptions,
  type IncomingCall,
} from '../../harness/sip-peer.js';

const DIGEST = { username: 'retell', password: 'secret', realm: 'proxy.example.com' };

for (const status of [401, 407] as const) {
  for (const qop of [true, false]) {
    t.test(`${status} ${qop ? 'with' : 'without'} qop is answered in the same call`, async (t) => {
      const { caller, callee, call } = await pair(t, 'udp');
      callee.digest = { ...DIGEST, status, qop };
      const out = caller.invite({ to: callee.uri('bob'), digest: DIGEST, headers: [['X-Ref', '1']] });
      const incoming = await call();
      incoming.answer();
      await out.answered();
      await incoming.acked;
      const name = status === 401 ? 'authorization' : 'proxy-authorization';
      t.match(incoming.message.get(name), /^Digest username="retell", realm="proxy\.example\.com"/);
      t.match(incoming.message, { callId: out.callId, cseq: 2, fromTag: out.localTag });
      t.equal(incoming.message.get('x-ref'), '1');
      t.equal(out.message.branch, incoming.message.branch);
      t.equal(callee.count('INVITE'), 2);
      t.equal((await callee.next('ACK')).cseq, 1, 'the challenge was acknowledged');
      await out.bye();
      t.equal((await incoming.next('BYE')).message.cseq, 3);
    });
  }
}

t.test('without credentials a call is challenged and does not come in', async (t) => {
  const { caller, callee } = await pair(t, 'udp');
  callee.digest = DIGEST;
  const final = await caller.invite({ to: callee.uri('bob') }).finalResponse();
  t.equal(final.status, 407);
  t.match(final.get('proxy-authenticate'), /^Digest realm="proxy\.example\.com", nonce="[0-9a-f]{32}"/);
  t.equal(callee.callCount, 0);
});

t.test('wrong credentials are refused with 403', async (t) => {
  const { caller, callee } = await pair(t, 'udp');
  callee.digest = DIGEST;
  for (const wrong of [{ password: 'guess' }, { username: 'other' }]) {
    const out = caller.invite({ to: callee.uri('bob'), digest: { ...DIGEST, ...wrong } });
    t.equal((await out.finalResponse()).status, 403);
    t.equal(await out.ended, 'failed');
  }
});

t.test('a nonce that was used before is challenged again as stale', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  callee.digest = DIGEST;
  const first = caller.invite({ to: callee.uri('bob'), digest: DIGEST });
  (await call()).refuse(486);
  t.equal((await first.finalResponse()).status, 486);
  const replayed: [string, string] = ['Proxy-Authorization', first.message.get('proxy-authorization') ?? ''];
  const second = await caller.invite({ to: callee.uri('bob'), headers: [replayed] }).finalResponse();
  t.equal(second.status, 407);
  t.match(second.get('proxy-authenticate'), /stale=true/);
  const honest = caller.invite({ to: callee.uri('bob'), headers: [replayed], digest: DIGEST });
  (await call()).refuse(486);
  t.equal((await honest.finalResponse()).status, 486, 'a client with the password gets through');
});

t.test('a nonce with the next count is no replay', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  callee.digest = DIGEST;
  const to = callee.uri('bob');
  const challenge = await caller.invite({ to }).finalResponse();
  for (const count of [1, 2]) {
    const header = authorization(challenge, { method: 'INVITE', uri: to, count }, DIGEST);
    const out = caller.invite({ to, headers: [header] });
    (await call()).refuse(486);
    t.equal((await out.finalResponse()).status, 486);
  }
});

t.test('credentials for another Request-URI are wrong', async (t) => {
  const { caller, callee } = await pair(t, 'udp');
  callee.digest = DIGEST;
  const challenge = await caller.invite({ to: callee.uri('bob') }).finalResponse();
  const header = authorization(challenge, { method: 'INVITE', uri: callee.uri('eve') }, DIGEST);
  t.equal((await caller.invite({ to: callee.uri('bob'), headers: [header] }).finalResponse()).status, 403);
});

t.test('a script may challenge a call by itself', async (t) => {
  const { caller, callee, call } = await pair(t, 'tcp');
  const out = caller.invite({ to: callee.uri('bob'), digest: DIGEST });
  const first = await call();
  first.challenge({ status: 401, realm: 'by hand', nonce: 'n1' });
  const second: IncomingCall = await call();
  t.match(second.message.get('authorization'), /realm="by hand", nonce="n1"/);
  t.equal(second.callId, first.callId);
  second.answer();
  await out.answered();
});

t.test('a call that answered a challenge can be cancelled', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  callee.digest = DIGEST;
  const out = caller.invite({ to: callee.uri('bob'), digest: DIGEST });
  const incoming = await call();
  incoming.ring();
  t.equal((await out.cancel()).status, 200);
  t.equal((await incoming.canceled).message.cseq, 2);
  t.equal((await out.finalResponse()).status, 487);
});

t.test('a request outside a dialog answers a challenge too', async (t) => {
  const { caller, callee } = await pair(t, 'udp');
  callee.registrar = DIGEST;
  t.equal((await caller.request('REGISTER', { to: callee.uri('bob'), digest: DIGEST })).status, 200);
});

t.test('without qop the answer is that of RFC 2069', (t) => {
  const challenge = (fields: string) =>
    SipMessage.response(401, '', [
      ['CSeq', '1 GET'],
      ['WWW-Authenticate', `Digest realm="testrealm@host.com", ${fields}`],
    ]);
  const credentials = { username: 'Mufasa', password: 'CircleOfLife' };
  const nonce = 'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"';
  const request = { method: 'GET', uri: '/dir/index.html' };
  const [name, value] = authorization(challenge(`${nonce}, opaque="5c"`), request, credentials);
  t.equal(name, 'Authorization');
  t.match(value, /response="1949323746fe6a43ef61f9606e7febea", opaque="5c"/);
  const sha = challenge(`${nonce}, algorithm=SHA-256`);
  t.throws(() => authorization(sha, request, credentials), { message: /no MD5 challenge/ });
  t.end();
});

t.test('the example of RFC 2617 is right, and nothing else is', (t) => {
  const fields = [
    'username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b"',
    'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"',
  ];
  const request = (method: string) =>
    SipMessage.request(method, '/dir/index.html', [['Authorization', `Digest ${fields.join(', ')}`]]);
  const options = { username: 'Mufasa', password: 'Circle Of Life', realm: 'testrealm@host.com' };
  const check = (method: string, more: Partial<DigestOptions> = {}) =>
    checkCredentials(request(method), { ...options, status: 401, ...more });
  t.equal(check('GET'), 'right');
  t.equal(check('PUT'), 'wrong');
  t.equal(check('GET', { password: 'guess' }), 'wrong');
  t.equal(check('GET', { realm: 'other' }), 'missing');
  t.equal(check('GET', { status: 407 }), 'missing', 'that is another header');
  t.end();
});

t.test('credentials of several realms are told apart', async (t) => {
  const { caller, callee, call } = await pair(t, 'udp');
  const options: DigestOptions = { ...DIGEST, realm: 'second' };
  callee.digest = options;
  const other: [string, string] = ['Proxy-Authorization', 'Digest username="x", realm="first", response="y"'];
  const to = callee.uri('bob');
  const challenge = await caller.invite({ to, headers: [other] }).finalResponse();
  t.equal(challenge.status, 407);
  const own = authorization(challenge, { method: 'INVITE', uri: to }, options);
  caller.invite({ to, headers: [other, own] });
  t.equal((await call()).message.getAll('proxy-authorization').length, 2);
});
