import t from 'tap';
import type { AnsweredEvent } from '../../../control-plane/src/kamailio/events.js';
import { EventFormatError, parseEvents } from '../../../control-plane/src/kamailio/parse-events.js';

const b64 = (text: string) => Buffer.from(text).toString('base64');

function answered(fields: Record<string, string>): AnsweredEvent {
  const event = {
    type: 'answered',
    at: '1795468584:568792',
    id: 'id1',
    gateway: b64('sip:198.51.100.20'),
    h_entry: '2723',
    h_id: '2256',
    from_uri: b64('sip:+14155550123@198.51.100.10'),
    to_uri: b64('sip:+14155550100@192.0.2.1'),
    caller_tag: b64('c1'),
    caller_contact: b64('sip:carrier@198.51.100.10'),
    caller_route_set: '',
    caller_cseq: '1',
    caller_socket: 'udp:192.0.2.1:5060',
    callee_tag: b64('r1'),
    callee_contact: b64('sip:retell@203.0.113.5'),
    record_routes: b64('<sip:192.0.2.1;lr;did=1.2>'),
    callee_socket: 'udp:192.0.2.1:5060',
    ...fields,
  };
  return parseEvents(JSON.stringify([event]))[0] as AnsweredEvent;
}

t.test('an answered call has both legs, its time in microseconds', (t) => {
  const event = answered({});
  t.equal(event.at, 1_795_468_584_568_792);
  t.same(event.caller, {
    tag: 'c1',
    contact: 'sip:carrier@198.51.100.10',
    route_set: [],
    cseq: 1,
    socket: 'udp:192.0.2.1:5060',
  });
  t.same(event.callee.route_set, [], 'only our own Record-Route');
  t.equal(event.h_entry, 2723);
  t.end();
});

t.test("the callee's route set is what stands above our Record-Route, in reverse", (t) => {
  const ours = '<sip:192.0.2.1;lr;did=1.2>';
  const doubled = '<sip:192.0.2.1;transport=tcp;r2=on;lr;did=1.2>, <sip:192.0.2.1;r2=on;lr;did=1.2>';
  const behind = '<sip:edge.example.com;lr;did=9.9>, <sip:core.example.com;lr>';
  const before = '<sip:sbc.example.com;lr>';
  const cases: [recordRoutes: string, callerRoutes: string, expected: string[]][] = [
    [`${behind}, ${ours}`, '', ['<sip:core.example.com;lr>', '<sip:edge.example.com;lr;did=9.9>']],
    [`${behind}, ${doubled}`, '', ['<sip:core.example.com;lr>', '<sip:edge.example.com;lr;did=9.9>']],
    [`${ours}, ${before}`, before, []],
    [`${doubled}, ${before}`, before, []],
    [
      `${behind}, ${doubled}, ${before}`,
      before,
      ['<sip:core.example.com;lr>', '<sip:edge.example.com;lr;did=9.9>'],
    ],
    ['', '', []],
  ];
  for (const [record_routes, caller_route_set, expected] of cases) {
    const event = answered({ record_routes: b64(record_routes), caller_route_set: b64(caller_route_set) });
    t.same(event.callee.route_set, expected, record_routes);
  }
  t.end();
});

t.test('what strangers write arrives as they wrote it', (t) => {
  const odd = `%s%n"a\\b{c}[d]<e>'\`;x=1 Zoë {"a":1}`;
  const invite = {
    type: 'invite',
    at: '1:5',
    id: 'id1',
    direction: 'inbound',
    carrier: 'acme',
    source: '198.51.100.10:5060',
    sip_call_id: b64(odd),
    from_tag: b64(odd),
    from: b64(odd),
    to: b64(odd),
    number: '',
  };
  const [event] = parseEvents(JSON.stringify([invite]));
  t.match(event, { sip_call_id: odd, from_tag: odd, from: odd, to: odd, number: undefined, at: 1_000_005 });
  t.end();
});

t.test('a call of Retell names the call that it continues, or does not', (t) => {
  const invite = {
    type: 'invite',
    at: '1:0',
    id: 'id2',
    direction: 'outbound',
    carrier: 'retell',
    source: '203.0.113.5:5060',
    sip_call_id: b64('a@example.com'),
    from_tag: b64('a'),
    from: b64('+14155550123'),
    to: b64('+14155550177'),
    number: '+14155550100',
  };
  const read = (more: object) => parseEvents(JSON.stringify([{ ...invite, ...more }]));
  t.match(read({ transferred_from: b64('call_1'), caller_call: 'id1' }), [
    { transferred_from: 'call_1', caller_call: 'id1' },
  ]);
  for (const nothing of [{ transferred_from: '', caller_call: '' }, { caller_call: '<null>' }, {}])
    t.match(read(nothing), [{ transferred_from: undefined, caller_call: undefined }]);
  t.end();
});

t.test("Kamailio's <null> is nothing", (t) => {
  const failed = { type: 'failed', at: '1:0', id: 'id1', code: '<null>', by: '<null>' };
  t.same(parseEvents(JSON.stringify([failed])), [
    {
      type: 'failed',
      at: 1_000_000,
      id: 'id1',
      code: undefined,
      by: undefined,
      reason: undefined,
      cause: undefined,
    },
  ]);
  t.end();
});

t.test('a call says how long it may last, and why its time was over', (t) => {
  t.equal(answered({ max_duration_s: '600' }).max_duration_s, 600);
  t.equal(answered({}).max_duration_s, undefined, 'an event from before there was such a field');
  const ended = { type: 'ended', at: '1:0', id: 'id1', by: 'timeout' };
  t.match(parseEvents(JSON.stringify([{ ...ended, reason: b64('peer gone') }])), [{ reason: 'peer gone' }]);
  t.match(parseEvents(JSON.stringify([{ ...ended, reason: '' }])), [{ reason: undefined }]);
  t.end();
});

t.test('what a peer says of the end of a call is kept as it wrote it', (t) => {
  const cause = 'Q.850;cause=17;text="besetzt, \\"ä\\""';
  const base = {
    at: '1:0',
    id: 'id1',
    by: 'carrier',
    code: '486',
    callee: 'retell',
    gateway: b64('sip:a'),
  };
  for (const type of ['attempt_failed', 'failed', 'ended', 'bye_untracked']) {
    t.match(parseEvents(JSON.stringify([{ ...base, type, cause: b64(cause) }])), [{ type, cause }]);
    for (const nothing of [{ cause: '' }, {}])
      t.match(parseEvents(JSON.stringify([{ ...base, type, ...nothing }])), [{ cause: undefined }]);
  }
  t.end();
});

t.test('an answered call names its codec, or none', (t) => {
  const audio = b64('m=audio 4000 RTP/AVP 0 101\r');
  t.equal(answered({ audio, rtpmap: '' }).codec, 'PCMU');
  for (const nothing of [
    { audio: '', rtpmap: '' },
    { audio: '<null>' },
    {},
    { audio: '%%%', rtpmap: '\u0000' },
  ])
    t.equal(answered(nothing).codec, undefined, JSON.stringify(nothing));
  t.end();
});

t.test("the response to a side's BYE", (t) => {
  const confirmed = { type: 'bye_confirmed', at: '1:5', id: 'id1', code: '481' };
  t.same(parseEvents(JSON.stringify([confirmed])), [
    { type: 'bye_confirmed', at: 1_000_005, id: 'id1', code: 481 },
  ]);
  t.end();
});

t.test('what cannot be read says what is wrong with it', (t) => {
  for (const [batch, message] of [
    ['{', /not JSON/],
    ['{}', /not a list/],
    ['[5]', /no object/],
    ['[{"type":"odd","at":"1:0"}]', /unknown type "odd"/],
    ['[{"type":"ended","at":"1:0","id":"x"}]', /without by/],
    ['[{"type":"ended","at":"soon","id":"x","by":"caller"}]', /at is no time/],
    ['[{"type":"failed","at":"1:0","id":"x","code":"4o4"}]', /code is no whole number/],
  ] as const) {
    t.throws(() => parseEvents(batch), { name: 'EventFormatError', message }, batch);
  }
  t.ok(new EventFormatError('x') instanceof Error);
  t.end();
});

t.test('the events of a transfer', (t) => {
  const events = parseEvents(
    JSON.stringify(
      [
        { type: 'refer_sent', cseq: '2' },
        { type: 'refer_answered', cseq: '2', code: '407', challenge: b64('Digest realm="a"') },
        { type: 'refer_answered', cseq: '3', code: '202', challenge: '' },
        { type: 'refer_notified', code: '', subscription: b64('active;expires=60') },
        { type: 'refer_notified', code: '200', subscription: '' },
        {
          type: 'refer_received',
          refer_to: b64('<tel:+14155550188>'),
          destination: b64('sip:+14155550188@198.51.100.10'),
          timeout_s: '60',
        },
        { type: 'refer_refused', refer_to: '', code: '405', reason: b64('why') },
      ].map((event) => ({ at: '1795468584:568792', id: 'id1', transfer: 'x1', ...event })),
    ),
  );
  const base = { at: 1_795_468_584_568_792, id: 'id1', transfer: 'x1' };
  t.same(events, [
    { type: 'refer_sent', ...base, cseq: 2 },
    { type: 'refer_answered', ...base, cseq: 2, code: 407, challenge: 'Digest realm="a"' },
    { type: 'refer_answered', ...base, cseq: 3, code: 202, challenge: undefined },
    { type: 'refer_notified', ...base, code: undefined, subscription: 'active;expires=60' },
    { type: 'refer_notified', ...base, code: 200, subscription: '' },
    {
      type: 'refer_received',
      ...base,
      refer_to: '<tel:+14155550188>',
      destination: 'sip:+14155550188@198.51.100.10',
      timeout_s: 60,
    },
    { type: 'refer_refused', ...base, refer_to: '', code: 405, reason: 'why' },
  ]);
  t.end();
});
