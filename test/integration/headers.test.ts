import t, { type Test } from 'tap';
import { hangUp, inbound, type Legs, outbound, place } from '../harness/legs.js';
import { noDialogLeft, recordOf, startPeer } from '../harness/scene.js';
import type { Header, IncomingCall, SipCall, SipMessage, SipPeer } from '../harness/sip-peer.js';
import { parseNameAddr } from '../harness/sip-values.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, startStack } from '../harness/stack.js';

/** What is handed over as it is, in its order. */
const HANDED_OVER: Header[] = [
  ['X-Case', '42'],
  ['X-Customer', 'Müller; "a,b" <c>'],
  ['User-to-User', '56a390f3d2b7310023a2;encoding=hex;content=isdn-uui'],
  ['Diversion', '<sip:+14155550141@example.com>;reason=unconditional;privacy=off'],
  ['Diversion', '<sip:+14155550142@example.com>;reason=user-busy'],
  ['History-Info', '<sip:+14155550143@example.com>;index=1, <sip:+14155550144@example.com>;index=1.1'],
  ['P-Asserted-Identity', '"Alice" <sip:+14155550145@example.com>'],
  ['P-Asserted-Identity', '<tel:+14155550145>'],
];

/** Those of a message. */
function handedOver(message: SipMessage): Header[] {
  const names = new Set(HANDED_OVER.map(([name]) => name));
  return message.headers.filter(([name]) => names.has(name)).map(([name, value]) => [name, value]);
}

function address(value: string | undefined) {
  const { uri, params } = parseNameAddr(value ?? '');
  return { uri, tag: params.get('tag') };
}

/** The addresses of a message, each with its tag. */
function parties(message: SipMessage) {
  return { from: address(message.get('from')), to: address(message.get('to')) };
}

const retell = await startPeer(t, { host: RETELL_HOST });
const carrier = await startPeer(t, { host: CARRIER_HOST });
const digits = await startPeer(t, { host: '127.0.0.4' });
const silent = await startPeer(t, { host: '127.0.0.5' });
const overridden = await startPeer(t, { host: '127.0.0.6' });
const added = await startPeer(t, { host: '127.0.0.7' });
const dropped = await startPeer(t, { host: '127.0.0.8' });
const hosted = await startPeer(t, { host: '127.0.0.9' });

/** A carrier that takes the calls to one prefix. */
function through(peer: SipPeer, prefix: string, keys: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    name: `carrier-${peer.host.split('.')[3]}`,
    networks: [peer.host],
    gateways: [{ uri: peer.uri(), priority: 2 }],
    prefixes: [prefix],
    probe: false,
    ...keys,
  };
}

const stack = await startStack(t, {
  gateways: [{ uri: retell.uri() }],
  config: {
    carriers: [
      through(carrier, '+1415'),
      through(digits, '+1416', { number_format: 'digits', x_headers: 'dropped' }),
      through(silent, '+1417', {
        gateways: [{ uri: silent.uri(), priority: 1 }],
        caller_id: { user: 'first', host: 'first.example.com' },
        number_format: 'digits',
      }),
      through(overridden, '+1417', { caller_id: { user: 'second', host: 'second.example.com' } }),
      through(added, '+1418', { caller_id: { p_asserted_identity: 'added' } }),
      through(dropped, '+1419', { caller_id: { p_asserted_identity: 'dropped' } }),
      through(hosted, '+1420', { caller_id: { host: 'us.example.com' } }),
    ],
  },
});

for (const [direction, call] of [
  ['inbound', (headers: Header[]) => inbound(stack, carrier, retell, { headers })],
  ['outbound', (headers: Header[]) => outbound(stack, retell, carrier, { headers })],
] as [string, (headers: Header[]) => Promise<Legs>][]) {
  t.test(`${direction}: headers pass with the INVITE and with requests in the call`, async (t) => {
    const legs = await call(HANDED_OVER);
    t.same(handedOver(legs.callee.message), HANDED_OVER);
    for (const [from, to] of [
      [legs.caller, legs.callee],
      [legs.callee, legs.caller],
    ] as [SipCall, SipCall][]) {
      to.on('INFO', (request) => request.reply(200, undefined, HANDED_OVER));
      const reply = await from.request('INFO', { headers: HANDED_OVER });
      t.same(handedOver((await to.next('INFO')).message), HANDED_OVER);
      t.same(handedOver(reply), HANDED_OVER);
    }
    t.equal((await legs.caller.bye(HANDED_OVER)).status, 200);
    t.same(handedOver((await legs.callee.next('BYE')).message), HANDED_OVER);
  });
}

for (const [direction, from, to, number] of [
  ['inbound', carrier, retell, NUMBER],
  ['outbound', retell, carrier, '+14155550177'],
] as const) {
  t.test(`${direction}: headers pass with every reply`, async (t) => {
    for (const status of [486, 200]) {
      const arrived = new Promise<IncomingCall>((resolve) => {
        to.onInvite = resolve;
      });
      const caller = place(stack, from, { to: number, ...(from === retell && { from: NUMBER }) });
      const callee = await arrived;
      callee.ring(183, HANDED_OVER);
      t.same(handedOver(await caller.response(183)), HANDED_OVER);
      if (status === 200) callee.answer({ headers: HANDED_OVER });
      else callee.refuse(status, undefined, HANDED_OVER);
      const final = await caller.finalResponse();
      t.equal(final.status, status);
      t.same(handedOver(final), HANDED_OVER);
      if (status !== 200) continue;
      await caller.answered();
      t.equal((await callee.bye()).status, 200);
    }
  });
}

t.test('a line over 1,024 bytes is dropped and the timeline says so', async (t) => {
  const line = (name: string, length: number): Header => [name, 'x'.repeat(length - name.length - 2)];
  const fits = [line('X-Fits', 1024), ['X-Case', '42'] as Header];
  const tooLong = [
    line('X-Long', 1025),
    line('User-to-User', 1100),
    line('Diversion', 1200),
    line('History-Info', 1300),
    line('P-Asserted-Identity', 1400),
  ];
  const headers = [...tooLong, ...fits];
  for (const call of [
    () => inbound(stack, carrier, retell, { headers }),
    () => outbound(stack, retell, carrier, { headers }),
  ]) {
    const legs = await call();
    for (const [name] of tooLong) t.equal(legs.callee.message.get(name), undefined, name);
    for (const [name, value] of fits) t.equal(legs.callee.message.get(name), value, name);
    const { timeline } = await recordOf(stack, legs.caller.callId, 'answered');
    t.same(
      timeline
        .filter(({ type }: { type: string }) => type === 'header_dropped')
        .map(({ header, length }: { header: string; length: number }) => [header, length]),
      tooLong.map(([name, value]) => [name, name.length + 2 + value.length]),
    );
    t.equal((await legs.caller.bye()).status, 200);
  }
});

t.test('X headers are kept or dropped as the carrier wants', async (t) => {
  const headers: Header[] = [
    ['X-Case', '42'],
    ['x-customer', '43'],
    ['Diversion', '<sip:+14155550141@example.com>'],
  ];
  const kept = await outbound(stack, retell, carrier, { headers });
  t.equal(kept.callee.message.get('x-case'), '42');
  t.equal(kept.callee.message.get('x-customer'), '43');
  const without = await outbound(stack, retell, digits, { to: '+14165550177', headers });
  t.equal(without.callee.message.get('x-case'), undefined);
  t.equal(without.callee.message.get('x-customer'), undefined);
  for (const legs of [kept, without]) {
    t.equal(legs.callee.message.get('x-call-ref'), undefined, 'our id of the call is for Retell');
    t.equal(legs.callee.message.get('diversion'), '<sip:+14155550141@example.com>');
    await hangUp(t, stack, legs);
  }
});

t.test('Retell sees our id of the call, whatever the carrier sends there', async (t) => {
  const legs = await inbound(stack, carrier, retell, { headers: [['X-Call-Ref', 'forged']] });
  const { id } = await recordOf(stack, legs.caller.callId, 'answered');
  t.same(legs.callee.message.getAll('x-call-ref'), [id]);
  await hangUp(t, stack, legs);
});

t.test('the caller id is what the carrier wants', async (t) => {
  const plus = NUMBER;
  const bare = NUMBER.slice(1);
  const own = `${RETELL_HOST}:${retell.port}`;
  const given = '<sip:+14155550145@example.com>';
  for (const { what, peer, to, from, number = to, sent, seen } of [
    { what: 'as it came', peer: carrier, to: '+14155550177', from: `sip:${plus}@${own}` },
    {
      what: 'as it came',
      peer: carrier,
      to: '+14155550177',
      from: `sip:${plus}@${own}`,
      sent: given,
      seen: given,
    },
    {
      what: 'digits',
      peer: digits,
      to: '+14165550177',
      from: `sip:${bare}@${RETELL_HOST}`,
      number: '14165550177',
    },
    {
      what: 'another user',
      peer: overridden,
      to: '+14175550177',
      from: 'sip:second@second.example.com',
      seen: `<sip:${plus}@second.example.com>`,
    },
    {
      what: 'another user',
      peer: overridden,
      to: '+14175550177',
      from: 'sip:second@second.example.com',
      sent: given,
      seen: given,
    },
    {
      what: 'added',
      peer: added,
      to: '+14185550177',
      from: `sip:${plus}@${own}`,
      seen: `<sip:${plus}@${RETELL_HOST}>`,
    },
    {
      what: 'added, but there',
      peer: added,
      to: '+14185550177',
      from: `sip:${plus}@${own}`,
      sent: given,
      seen: given,
    },
    { what: 'dropped', peer: dropped, to: '+14195550177', from: `sip:${plus}@${own}`, sent: given },
    { what: 'another host', peer: hosted, to: '+14205550177', from: `sip:${plus}@us.example.com` },
  ]) {
    await t.test(`${what}, P-Asserted-Identity ${sent ? '' : 'not '}sent`, async (t) => {
      silent.onInvite = (call) => call.refuse(503);
      const headers: Header[] = sent === undefined ? [] : [['P-Asserted-Identity', sent]];
      const legs = await outbound(stack, retell, peer, { to, headers });
      const { message } = legs.callee;
      t.equal(address(message.get('from')).uri, from);
      t.equal(message.get('p-asserted-identity'), seen);
      t.equal(message.requestUri, `sip:${number}@${peer.host}:${peer.port}`);
      await checkRequests(t, legs);
      await hangUp(t, stack, legs);
    });
  }
});

/** Each side sees in each request and reply of the call the addresses that it knows, with the right tags. */
async function checkRequests(t: Test, { caller, callee }: Legs): Promise<void> {
  const answer = await caller.response(200);
  const known = {
    caller: { from: address(caller.message.get('from')), to: address(answer.get('to')) },
    callee: {
      from: address(callee.message.get('from')),
      to: { ...address(callee.message.get('to')), tag: callee.localTag },
    },
  };
  t.same(parties(answer), known.caller);
  t.same(parties(await callee.acked), known.callee, 'ACK');
  for (const method of ['INFO', 'INVITE']) {
    callee.on('INVITE', (request) => request.reply(200));
    caller.on('INVITE', (request) => request.reply(200));
    const toCaller = await caller.request(method);
    t.same(parties(toCaller), known.caller, `answer to ${method} of the caller`);
    t.same(parties((await callee.next(method)).message), known.callee, `${method} of the caller`);
    // Kamailio restores a changed From in answers that go this way with the wrong URI (fixed after 6.0.1): tags count.
    const { from, to } = parties(await callee.request(method));
    t.same([from.tag, to.tag], [callee.localTag, caller.localTag], `answer to ${method} of the callee`);
    const seen = parties((await caller.next(method)).message);
    t.same({ from: seen.to, to: seen.from }, known.caller, `${method} of the callee`);
  }
}

t.test('carriers in failover: each sees its own caller id, and keeps it', async (t) => {
  silent.onInvite = (call) => call.refuse(503);
  const legs = await outbound(stack, retell, overridden, { to: '+14175550177', headers: [['X-Case', '42']] });
  const invite = await silent.next('INVITE');
  t.equal(address(invite.get('from')).uri, 'sip:first@first.example.com');
  t.equal(invite.requestUri, `sip:14175550177@${silent.host}:${silent.port}`);
  t.same(invite.getAll('p-asserted-identity'), [`<sip:${NUMBER.slice(1)}@first.example.com>`]);
  const { message } = legs.callee;
  t.equal(address(message.get('from')).uri, 'sip:second@second.example.com');
  t.equal(message.requestUri, `sip:+14175550177@${overridden.host}:${overridden.port}`);
  t.same(message.getAll('p-asserted-identity'), [`<sip:${NUMBER}@second.example.com>`]);
  await checkRequests(t, legs);
  for (const [from, to] of [
    [legs.caller, legs.callee],
    [legs.callee, legs.caller],
  ] as [SipCall, SipCall][]) {
    t.equal((await from.request('INFO')).status, 200);
    await to.next('INFO');
  }
  t.equal((await legs.callee.bye()).status, 200);
  const bye = parties((await legs.caller.next('BYE')).message);
  t.same(bye.to, address(legs.caller.message.get('from')));
  await noDialogLeft(stack);
});
