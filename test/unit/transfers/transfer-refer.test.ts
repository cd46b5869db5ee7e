import t from 'tap';
import { parseDestination } from '../../../control-plane/src/calls/transfer/destination.js';
import { TransferError } from '../../../control-plane/src/calls/transfer/errors.js';
import { hostOfUri, type ReferContext, shapeRefer } from '../../../control-plane/src/calls/transfer/refer.js';
import { acme, configOf } from '../routing-fixture.js';

const NUMBER = '+14155550100';

function shape(
  to: string,
  keys: Record<string, unknown> = {},
  context: Partial<Omit<ReferContext, 'carrier'>> = {},
) {
  return shapeRefer(parseDestination(to), {
    carrier: configOf({ carriers: [acme(keys)] }).carriers[0] as ReferContext['carrier'],
    host: '198.51.100.10',
    number: NUMBER,
    ...context,
  });
}

t.test("without a profile a number goes to the carrier's own host, referred by our number", (t) => {
  t.same(shape('+14155550188'), {
    referTo: 'sip:+14155550188@198.51.100.10',
    headers: [
      ['Refer-To', '<sip:+14155550188@198.51.100.10>'],
      ['Referred-By', '<sip:+14155550100@198.51.100.10>'],
    ],
    warnings: [],
  });
  t.end();
});

t.test('each key of a profile shapes it', (t) => {
  const { headers, referTo } = shape('+14155550188', {
    number_format: 'digits',
    transfer: {
      refer_to: 'sips',
      host: 'trunk.example.com',
      referred_by: 'dropped',
      diversion: 'added',
      p_asserted_identity: 'added',
    },
  });
  t.equal(referTo, 'sips:14155550188@trunk.example.com');
  t.same(headers, [
    ['Refer-To', '<sips:14155550188@trunk.example.com>'],
    ['Diversion', '<sip:14155550100@trunk.example.com>'],
    ['P-Asserted-Identity', '<sip:14155550100@trunk.example.com>'],
  ]);
  t.equal(
    shape('+14155550188', { number_format: 'digits', transfer: { refer_to: 'tel' } }).referTo,
    'tel:+14155550188',
  );
  t.equal(shape('+14155550188', {}, { host: '2001:db8::7' }).referTo, 'sip:+14155550188@[2001:db8::7]');
  t.equal(
    shape('+14155550188', { transfer: { host: '[2001:db8::9]' } }).referTo,
    'sip:+14155550188@[2001:db8::9]',
  );
  t.equal(
    shape('sip:200@pbx.example.com:5080', { transfer: { refer_to: 'tel' } }).referTo,
    'sip:200@pbx.example.com:5080',
  );
  t.end();
});

t.test('headers are handed on, or named where they are not', (t) => {
  const headers = { 'X-Case': '17', 'user-to-user': '616263;encoding=hex' };
  t.same(shape('+14155550188', {}, { headers }).headers.slice(2), Object.entries(headers));
  const dropped = shape('+14155550188', { transfer: { headers: 'dropped' } }, { headers });
  t.equal(dropped.headers.length, 2);
  t.match(dropped.warnings, [/^X-Case is not sent/, /^user-to-user is not sent/]);
  t.match(shape('tel:+14155550188;ext=7').warnings, [/^;ext=7 of to is not sent/]);
  t.end();
});

t.test('who refers can be named', (t) => {
  const by = (referredBy: string, keys = {}) => shape('+14155550188', keys, { referredBy });
  t.same(by('+14155550101').headers[1], ['Referred-By', '<sip:+14155550101@198.51.100.10>']);
  t.same(by('sip:desk@pbx.example.com').headers[1], ['Referred-By', '<sip:desk@pbx.example.com>']);
  t.match(by('+14155550101', { transfer: { referred_by: 'dropped' } }), {
    warnings: [/^referred_by is not sent/],
  });
  t.throws(() => by('nobody'), { code: 'invalid', message: /^referred_by / });
  t.same(
    shape('+14155550188', {}, { number: undefined }).headers.length,
    1,
    'a call without a number of ours',
  );
  t.end();
});

t.test('a header that is not to be sent is refused by its name', (t) => {
  const rows: [headers: Record<string, string>, message: RegExp][] = [
    [{ Subject: 'x' }, /^headers has a name/],
    [{ 'X-': 'x' }, /^headers has a name/],
    [{ 'X-A B': 'x' }, /^headers has a name/],
    [{ 'X-A\r\nVia': 'x' }, /^headers has a name/],
    [{ 'X-Call-Ref': 'x' }, /^headers\.X-Call-Ref is a header of the proxy's own/],
    [{ 'x-transferred-from': 'x' }, /^headers\.x-transferred-from is a header of the proxy's own/],
    [{ 'X-A': 'x', 'x-a': 'y' }, /^headers\.x-a is there twice/],
    [{ 'X-A': '' }, /^headers\.X-A is not 1 to 256/],
    [{ 'X-A': 'x'.repeat(257) }, /^headers\.X-A is not 1 to 256/],
    [{ 'X-A': ' x' }, /^headers\.X-A is not 1 to 256/],
    [{ 'X-A': 'x\r\nY: z' }, /^headers\.X-A is not 1 to 256/],
    [{ 'X-A': 'é' }, /^headers\.X-A is not 1 to 256/],
    [{ 'X-A': 'a!!b' }, /^headers\.X-A has !!/],
    [Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`X-${i}`, 'x'])), /^headers has 11 entries/],
  ];
  for (const [headers, message] of rows) {
    t.throws(
      () => shape('+14155550188', {}, { headers }),
      { code: 'invalid', message },
      JSON.stringify(headers),
    );
  }
  t.equal(shape('+14155550188', {}, { headers: { 'X-A': 'x'.repeat(256) } }).headers.length, 3);
  t.end();
});

t.test('a carrier that takes no REFER gets none', (t) => {
  t.throws(() => shape('+14155550188', { transfer: { refer: 'unsupported' } }), TransferError);
  t.throws(() => shape('+14155550188', { transfer: { refer: 'unsupported' } }), {
    code: 'unsupported',
    message: /sip_invite/,
  });
  t.end();
});

t.test('the host of a Contact', (t) => {
  for (const [uri, host] of [
    ['sip:198.51.100.10', '198.51.100.10'],
    ['sip:carrier@198.51.100.10:5060;transport=tcp', '198.51.100.10'],
    ['sips:a@sbc.example.com;lr', 'sbc.example.com'],
    ['sip:a@[2001:db8::7]:5060', '2001:db8::7'],
    ['sip:a:b@sbc.example.com', 'sbc.example.com'],
  ] as const) {
    t.equal(hostOfUri(uri), host, uri);
  }
  t.end();
});
