import { createHash } from 'node:crypto';
import t from 'tap';
import { answerChallenge } from '../../control-plane/src/calls/transfer/digest.js';
import { challengeHeader, checkCredentials } from '../harness/sip-digest.js';
import { SipMessage } from '../harness/sip-message.js';

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
  const challenge = (algorithm: string) =>
    `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`;
  for (const [algorithm, hash] of [
    ['MD5', 'md5'],
    ['SHA-256', 'sha256'],
  ] as const) {
    const answer =
      answerChallenge(challenge(algorithm), { method: 'GET', uri: '/dir/index.html' }, CREDENTIALS) ?? '';
    const field = (name: string) => new RegExp(`${name}="?([^",]+)`).exec(answer)?.[1] ?? '';
    t.match(answer, /opaque="FQhe\/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"/);
    t.match(answer, `algorithm=${algorithm}`);
    const digest = (text: string) => createHash(hash).update(text).digest('hex');
    const who = digest('Mufasa:http-auth@example.org:Circle of Life');
    const what = digest('GET:/dir/index.html');
    t.equal(field('response'), digest(`${who}:${field('nonce')}:00000001:${field('cnonce')}:auth:${what}`));
    t.match(answer, /qop=auth, nc=00000001/);
  }
  t.end();
});

t.test('what cannot be answered is not', (t) => {
  const rows: [challenge: string, realm?: string][] = [
    ['Basic realm="a"'],
    ['Digest nonce="n"'],
    ['Digest realm="a"'],
    ['Digest realm="a", nonce="n", algorithm=SHA-512-256'],
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
