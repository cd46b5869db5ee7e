import { createHash } from 'node:crypto';
import t from 'tap';
import { answerChallenge } from '../../../control-plane/src/calls/transfer/digest.js';
import { challengeHeader, checkCredentials } from '../../harness/sip-digest.js';
import { SipMessage } from '../../harness/sip-message.js';

const CREDENTIALS = { username: 'Mufasa', password: 'Circle of Life' };
const REQUEST = { method: 'REFER', uri: 'sip:carrier@198.51.100.10:5060' };

/** The REFER with this answer, as a peer gets it. */
function refer(answer: string): SipMessage {
  return SipMessage.request('REFER', REQUEST.uri, [
    ['Via', 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1'],
    ['From', '<sip:a@example.com>;tag=1'],
    ['To', '<sip:b@example.com>;tag=2'],
    ['Call-ID', 'c1'],
    ['CSeq', '1 REFER'],
    ['Proxy-Authorization', answer],
  ]);
}

/** A parameter of an answer; empty where it has none. */
function field(answer: string, name: string): string {
  return new RegExp(`\\b${name}="?([^",]+)`).exec(answer)?.[1] ?? '';
}

for (const qop of [true, false]) {
  t.test(`a peer takes the answer to its challenge ${qop ? 'with' : 'without'} qop`, (t) => {
    const [, challenge] = challengeHeader({ realm: 'atlanta.example.com', qop });
    const answer = answerChallenge(challenge, REQUEST, CREDENTIALS) ?? '';
    const options = { ...CREDENTIALS, realm: 'atlanta.example.com' };
    t.equal(checkCredentials(refer(answer), options), 'right');
    t.equal(checkCredentials(refer(answer), { ...options, password: 'another' }), 'wrong');
    t.end();
  });
}

t.test('the examples of RFC 7616 section 3.9.1 come out, MD5 and SHA-256', (t) => {
  const nonce = '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v';
  const rows = [
    ['MD5', 'md5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', 'sha256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ] as const;
  for (const [algorithm, hash, response] of rows) {
    const digest = (text: string) => createHash(hash).update(text).digest('hex');
    const who = digest('Mufasa:http-auth@example.org:Circle of Life');
    const what = digest('GET:/dir/index.html');
    const responseTo = (cnonce: string) => digest(`${who}:${nonce}:00000001:${cnonce}:auth:${what}`);
    // The cnonce of the answer is a new one each time: the RFC's own shows that this sum is right.
    t.equal(responseTo('f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ'), response);
    const challenge = `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="${nonce}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`;
    const answer = () =>
      answerChallenge(challenge, { method: 'GET', uri: '/dir/index.html' }, CREDENTIALS) ?? '';
    const [first, second] = [answer(), answer()];
    t.equal(field(first, 'response'), responseTo(field(first, 'cnonce')));
    t.equal(field(first, 'opaque'), 'FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS');
    t.equal(field(first, 'nonce'), nonce);
    t.equal(field(first, 'algorithm'), algorithm);
    t.match(first, /qop=auth, nc=00000001/);
    t.not(field(first, 'cnonce'), field(second, 'cnonce'));
  }
  t.end();
});

t.test('without qop it is the old sum, of no count and no cnonce (RFC 2617 section 3.2.2.1)', (t) => {
  const answer = answerChallenge(
    'Digest realm="http-auth@example.org", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
    { method: 'GET', uri: '/dir/index.html' },
    CREDENTIALS,
  );
  t.equal(field(answer ?? '', 'response'), '2ca4a75d0abc1e8ae25f2932162071df');
  for (const absent of [/qop/, /nc=/, /cnonce/, /opaque/]) t.notMatch(answer, absent);
  t.end();
});

t.test('what cannot be answered is not', (t) => {
  const rows: [challenge: string, realm?: string][] = [
    ['Basic realm="a"'],
    ['Digest nonce="n"'],
    ['Digest realm="a"'],
    ['Digest realm="a", nonce="n", algorithm=SHA-512-256'],
    ['Digest realm="a", nonce="n", algorithm=MD5-sess'],
    ['Digest realm="A", nonce="n"', 'a'],
    ['Digest realm="a", nonce="n", qop="auth-int"'],
    ['Digest realm="a\\"b", nonce="n"'],
    ['Digest realm="a", nonce="n"', 'b'],
    [''],
  ];
  for (const [challenge, realm] of rows) {
    t.equal(answerChallenge(challenge, REQUEST, { ...CREDENTIALS, realm }), undefined, challenge);
  }
  t.ok(
    answerChallenge('digest realm=a , nonce="n"', REQUEST, { ...CREDENTIALS, realm: 'a' }),
    'whatever the case',
  );
  t.end();
});
