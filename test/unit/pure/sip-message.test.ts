import t from 'tap';
import { StreamFramer } from '../../harness/sip-framer.js';
import { parseMessage, SipMessage } from '../../harness/sip-message.js';
import {
  parseNameAddr,
  parseUri,
  parseVia,
  SipParseError,
  splitList,
  tagOf,
} from '../../harness/sip-values.js';

const crlf = (...lines: string[]) => Buffer.from(lines.join('\r\n'));

const invite = crlf(
  'INVITE sip:+14155550100@sip.retellai.com;transport=tcp SIP/2.0',
  'v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport, SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKb',
  'Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKc',
  'f: "Doe, John" <sip:+12137771234@192.0.2.1>;tag=abc',
  't: <sip:+14155550100@sip.retellai.com>',
  'i: call-1@192.0.2.1',
  'CSEQ: 7 INVITE',
  'm: <sip:john@192.0.2.1>',
  'Subject: one',
  '\ttwo',
  'X-Ref: a',
  'x-ref: b',
  'c: application/sdp',
  'l: 5',
  '',
  'v=0\r\n',
);

t.test('compact and full header names find the same values', async (t) => {
  const message = parseMessage(invite);
  t.equal(message.kind, 'request');
  t.equal(message.method, 'INVITE');
  t.equal(message.callId, 'call-1@192.0.2.1');
  t.equal(message.get('CALL-ID'), message.get('i'));
  t.equal(message.get('content-type'), 'application/sdp');
  t.equal(message.fromTag, 'abc');
  t.equal(message.toTag, '');
  t.equal(message.cseq, 7);
  t.equal(message.body, 'v=0\r\n');
  t.equal(message.raw, invite.toString());
});

t.test('several values of one header keep their order', async (t) => {
  const message = parseMessage(invite);
  t.strictSame(message.getAll('x-ref'), ['a', 'b']);
  t.equal(message.getAll('via').length, 2);
  t.strictSame(
    message.list('via').map((via) => parseVia(via).params.get('branch')),
    ['z9hG4bKa', 'z9hG4bKb', 'z9hG4bKc'],
  );
  t.equal(message.branch, 'z9hG4bKa');
});

t.test('folded header lines are joined', async (t) => {
  t.equal(parseMessage(invite).get('subject'), 'one two');
});

t.test('a message that was built reads back the same, its length counted in bytes', async (t) => {
  const headers = [
    ['Via', 'SIP/2.0/UDP h;branch=z9hG4bK1'],
    ['From', '<sip:a@h>;tag=1'],
    ['To', '<sip:b@h>;tag=2'],
    ['Call-ID', 'c'],
    ['CSeq', '2 BYE'],
  ] as const;
  const built = SipMessage.response(481, 'Gone', headers, 'grüß');
  const read = parseMessage(Buffer.from(built.raw));
  t.equal(read.get('content-length'), '6');
  t.equal(read.body, 'grüß');
  t.equal(read.status, 481);
  t.equal(read.reason, 'Gone');
  t.equal(read.method, 'BYE', "a response's method is that of its CSeq");
  t.equal(read.raw, built.raw);
});

t.test('text that is not a whole SIP message is refused with the reason', async (t) => {
  const head = [
    'OPTIONS sip:a SIP/2.0',
    'Via: SIP/2.0/UDP h',
    'From: <sip:a>',
    'To: <sip:b>',
    'CSeq: 1 OPTIONS',
  ];
  const refused = (data: Buffer, why: RegExp) => t.throws(() => parseMessage(data), { message: why });
  refused(Buffer.from('hello'), /no empty line/);
  refused(crlf('GET / HTTP/1.1', '', ''), /start line/);
  refused(crlf(...head, '', ''), /no call-id/);
  refused(crlf(...head, 'Call-ID: x', 'Content-Length: 9', '', 'short'), /shorter than Content-Length/);
  refused(crlf(...head, 'Call-ID: x', 'Content-Length: -1', '', ''), /bad Content-Length/);
  refused(crlf(...head, 'Call-ID: x', 'Via broken', '', ''), /not a header line/);
  refused(crlf('OPTIONS sip:a SIP/2.0', 'Via: junk', ...head.slice(2), 'Call-ID: x', '', ''), /Via/);
});

t.test('a name-addr is taken apart with and without angle brackets', async (t) => {
  const full = parseNameAddr('"A, \\"B\\"" <sip:a@h;lr>;tag=x;q=0.5');
  t.equal(full.uri, 'sip:a@h;lr');
  t.equal(full.params.get('tag'), 'x');
  const bare = parseNameAddr('tel:+15105550100;tag=y');
  t.equal(bare.uri, 'tel:+15105550100');
  t.equal(bare.params.get('tag'), 'y');
  t.equal(parseNameAddr('Jim <sip:j@h>').display, 'Jim');
  t.equal(tagOf('<sip:a@h>;x=1'), '');
});

t.test('commas inside quotes and angle brackets do not split a list', async (t) => {
  t.strictSame(splitList('"a, b" <sip:a,b@h>, <sip:c@h>;lr'), ['"a, b" <sip:a,b@h>', '<sip:c@h>;lr']);
});

t.test('a SIP URI is taken apart, another scheme is refused', async (t) => {
  const uri = parseUri('sips:+1415;phone-context=x:pw@[2001:db8::1]:5061;transport=tls;lr?Replaces=1');
  t.match(uri, { scheme: 'sips', user: '+1415', host: '[2001:db8::1]', port: 5061 });
  t.equal(uri.params.get('transport'), 'tls');
  t.equal(uri.params.get('lr'), '');
  t.equal(parseUri('sip:h').port, undefined);
  t.throws(() => parseUri('tel:+1'), SipParseError);
});

t.test('a TCP stream is cut into messages wherever its chunks break', async (t) => {
  const stream = Buffer.concat([Buffer.from('\r\n\r\n'), invite, invite, Buffer.from('\r\n')]);
  for (const size of [1, 7, invite.length, stream.length]) {
    const framer = new StreamFramer();
    const messages: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) {
      messages.push(...framer.push(stream.subarray(at, at + size)));
    }
    t.strictSame(messages.map(String), [invite.toString(), invite.toString()], `chunks of ${size}`);
  }
});

t.test('a TCP stream without an end of headers is given up', async (t) => {
  const framer = new StreamFramer();
  framer.push(Buffer.alloc(70_000, 'a'));
  t.equal(framer.broken, true);
});
