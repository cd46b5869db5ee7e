import t, { type Test } from 'tap';
import { eventually } from '../harness/await.js';
import { carrierAt } from '../harness/outbound.js';
import { nothingLeft, recordOf, startScene } from '../harness/scene.js';
import { challengeHeader } from '../harness/sip-digest.js';
import type { Header, IncomingRequest, SipCall, SipMessage } from '../harness/sip-peer.js';
import { NUMBER } from '../harness/stack.js';
import { type Direction, received, Stage, type StagedCall } from '../harness/staged-calls.js';
import { DESTINATIONS, DESTINATIONS_OF_LISTED, LISTED, LISTS } from '../harness/transfer-destinations.js';
import { begin, endOf, nextRefer, notify, sidesOf, TARGET } from '../harness/transfers.js';

/** A stage whose one carrier has this transfer profile and these keys. */
async function startStage(
  t: Test,
  profile: Record<string, unknown> = {},
  keys: Record<string, unknown> = {},
  transfers: Record<string, unknown> = {},
): Promise<Stage> {
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      carriers: [carrierAt('first', carrier, { transfer: profile, ...keys })],
      transfers,
    }),
  });
  return new Stage(scene);
}

function refer(
  retell: SipCall,
  headers: readonly Header[] = [['Refer-To', `<tel:${TARGET}>`]],
): Promise<SipMessage> {
  return retell.request('REFER', { headers });
}

/** The one transfer of a call, once `ready` holds. */
async function transferOf(
  { scene }: Stage,
  { id }: StagedCall,
  ready: (transfer: Record<string, unknown>) => boolean = ({ ended_at }) => ended_at !== null,
) {
  return eventually(
    'the transfer',
    async () => {
      const { body } = await scene.stack.api.get(`/v1/calls/${id}`);
      const transfer = body.transfers.at(-1);
      return transfer !== undefined && ready(transfer) ? transfer : undefined;
    },
    15_000,
  );
}

/** Retell sends a REFER, which the carrier refuses: what the carrier got of it. */
async function passed(
  stage: Stage,
  headers: readonly Header[],
  { direction = 'inbound', number }: { direction?: Direction; number?: string } = {},
) {
  const call = await stage.answered(direction, number === undefined ? {} : { number });
  const { carrier, retell } = sidesOf(call, direction);
  const arrived = nextRefer(carrier);
  const answer = refer(retell, headers);
  const got = await Promise.race([arrived, answer.then((response) => response.status)]);
  if (typeof got !== 'number') got.reply(603);
  const { status } = await answer;
  await carrier.bye();
  return { status, message: typeof got === 'number' ? undefined : (got as IncomingRequest).message };
}

t.test("a destination of Retell's, in whatever form, is put into the carrier's", async (t) => {
  t.jobs = 8;
  const hosts = ['pbx.example.com', '[2001:db8::1]'];
  const stage = await startStage(t, {}, {}, { hosts, deny: ['+1809'] });
  const { host } = stage.scene.carrier;
  const rows: [form: string, headers: Header[], referTo: string | number][] = [
    ['tel:, bare', [['Refer-To', `tel:${TARGET}`]], `<sip:${TARGET}@${host}>`],
    ['tel: in brackets', [['Refer-To', `<tel:${TARGET}>`]], `<sip:${TARGET}@${host}>`],
    ['tel: with separators', [['Refer-To', '<tel:+1-415-555-0188>']], `<sip:${TARGET}@${host}>`],
    ['tel: with parameters', [['Refer-To', `<tel:${TARGET};ext=7>`]], `<sip:${TARGET}@${host}>`],
    [
      'a number at some host',
      [['Refer-To', `<sip:${TARGET}@sip.retellai.com;transport=tcp>`]],
      `<sip:${TARGET}@${host}>`,
    ],
    [
      'a number at some host, bare',
      [['Refer-To', `sip:${TARGET}@sip.retellai.com`]],
      `<sip:${TARGET}@${host}>`,
    ],
    [
      'with a display name',
      [['Refer-To', `"Front, desk" <sip:${TARGET}@example.com>`]],
      `<sip:${TARGET}@${host}>`,
    ],
    ['with header parameters', [['Refer-To', `<tel:${TARGET}>;early-only`]], `<sip:${TARGET}@${host}>`],
    [
      'with another number in the display name',
      [['Refer-To', `"a <tel:+18095550188>, \\"b\\"" <tel:${TARGET}>`]],
      `<sip:${TARGET}@${host}>`,
    ],
    ['on two lines', [['Refer-To', `"desk"\r\n <tel:${TARGET}>`]], `<sip:${TARGET}@${host}>`],
    ['with spaces in brackets', [['Refer-To', `< tel:${TARGET} >`]], `<sip:${TARGET}@${host}>`],
    ['broken in its number', [['Refer-To', '<tel:+1415\r\n 5550188>']], 403],
    ['a SIP address, bare', [['Refer-To', 'sip:200@pbx.example.com']], '<sip:200@pbx.example.com>'],
    // Without brackets what follows the ; belongs to the header (RFC 3261 section 20.10).
    [
      'a SIP address, bare, with parameters',
      [['Refer-To', 'sip:200@pbx.example.com;maddr=192.0.2.66']],
      '<sip:200@pbx.example.com>',
    ],
    ['bare, with a header part', [['Refer-To', `sip:${TARGET}@example.com?Replaces=1`]], 403],
    ['two in one header', [['Refer-To', `<tel:${TARGET}>, <tel:+18095550188>`]], 403],
    ['two bare in one header', [['Refer-To', `tel:${TARGET},tel:+18095550188`]], 403],
    [
      'one in the short form too',
      [
        ['Refer-To', `<tel:${TARGET}>`],
        ['r', '<tel:+14155550189>'],
      ],
      403,
    ],
    ['an empty one', [['Refer-To', '']], 403],
    ['empty brackets', [['Refer-To', '<>']], 403],
    ['without the closing bracket', [['Refer-To', `<tel:${TARGET}`]], 403],
    ['with a NUL', [['Refer-To', `<sip:200@pbx.example.com\0@elsewhere.example.com>`]], 403],
    ['a number with a NUL', [['Refer-To', `<tel:${TARGET}\0;x=y>`]], 403],
    ['in the short form', [['r', `<tel:${TARGET}>`]], `<sip:${TARGET}@${host}>`],
    [
      'a SIP address that is allowed',
      [['Refer-To', '<sip:200@PBX.example.com:5080;transport=tcp>']],
      '<sip:200@PBX.example.com:5080;transport=tcp>',
    ],
    ['an IPv6 address that is allowed', [['Refer-To', '<sip:200@[2001:db8::1]>']], '<sip:200@[2001:db8::1]>'],
    ['a SIP address elsewhere', [['Refer-To', '<sip:200@elsewhere.example.com>']], 403],
    ['a denied number', [['Refer-To', '<tel:+18095550188>']], 403],
    ['a denied number in disguise', [['Refer-To', '<sip:0018095550188@pbx.example.com>']], 403],
    ['a premium number', [['Refer-To', '<tel:+19005550188>']], 403],
    ['a local number', [['Refer-To', '<tel:5550188;phone-context=example.com>']], 403],
    ['an attended transfer', [['Refer-To', '<sip:200@pbx.example.com?Replaces=1%3Bto-tag%3D2>']], 403],
    ['another parameter', [['Refer-To', '<sip:200@pbx.example.com;maddr=192.0.2.66>']], 403],
    ['another scheme', [['Refer-To', '<https://pbx.example.com/200>']], 403],
    [
      'two destinations',
      [
        ['Refer-To', `<tel:${TARGET}>`],
        ['Refer-To', '<tel:+14155550189>'],
      ],
      403,
    ],
    ['none', [['Subject', 'none']], 403],
  ];
  await Promise.all(
    rows.map(([form, headers, referTo]) =>
      t.test(form, { buffered: true }, async (t) => {
        const { status, message } = await passed(stage, headers);
        if (typeof referTo === 'number') {
          t.equal(status, referTo);
          t.equal(message, undefined, 'the carrier sees nothing of it');
        } else {
          t.equal(status, 603);
          t.same(message?.getAll('refer-to'), [referTo]);
          t.same(message?.getAll('referred-by'), [`<sip:+14155550100@${host}>`]);
        }
      }),
    ),
  );
});

t.test("Kamailio lets Retell's REFER go where the control plane lets calls go", async (t) => {
  t.jobs = 8;
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      numbers: [{ number: NUMBER }, LISTED],
      carriers: [carrierAt('first', carrier)],
      transfers: { ...LISTS, per_minute: 1000 },
    }),
  });
  const stage = new Stage(scene);
  const tables = [
    ['', DESTINATIONS, NUMBER],
    ['of a number with a list: ', DESTINATIONS_OF_LISTED, LISTED.number],
  ] as const;
  await Promise.all(
    tables.flatMap(([whose, rows, number]) =>
      rows.map(({ to, is, byRetell = is, as }) =>
        t.test(`${whose}${to}`, { buffered: true }, async (t) => {
          const { status, message } = await passed(stage, [['Refer-To', `<${to}>`]], { number });
          if (byRetell === 'no') {
            t.equal(status, 403);
            t.equal(message, undefined);
          } else {
            t.equal(
              message?.get('refer-to'),
              byRetell === 'number' ? `<sip:${as}@${scene.carrier.host}>` : `<${as}>`,
            );
          }
        }),
      ),
    ),
  );
});

t.test('each key of a profile shapes the REFER', async (t) => {
  t.jobs = 4;
  const sent: Header[] = [
    ['Refer-To', `<tel:${TARGET}>`],
    ['b', '<sip:agent@sip.retellai.com>'],
    ['Diversion', '<sip:agent@sip.retellai.com>'],
    ['P-Asserted-Identity', '<sip:agent@sip.retellai.com>'],
    ['X-Call-Ref', 'ours'],
    ['x-transferred-from', 'ours'],
    ['X-Case', '17'],
    ['User-to-User', '616263;encoding=hex'],
  ];
  const rows: {
    name: string;
    profile: Record<string, unknown>;
    digits?: boolean;
    direction?: Direction;
    /** Headers as the carrier gets them, {} for its host. */
    gets: Record<string, string | undefined>;
  }[] = [
    {
      name: 'none',
      profile: {},
      gets: {
        'refer-to': `<sip:${TARGET}@{}>`,
        'referred-by': '<sip:+14155550100@{}>',
        diversion: undefined,
        'p-asserted-identity': undefined,
        'x-case': '17',
        'user-to-user': '616263;encoding=hex',
        // The proxy's own.
        'x-call-ref': undefined,
        'x-transferred-from': undefined,
      },
    },
    {
      name: 'scheme, host, format, headers',
      profile: {
        refer_to: 'sips',
        host: 'trunk.example.com',
        referred_by: 'dropped',
        diversion: 'added',
        p_asserted_identity: 'added',
        headers: 'dropped',
      },
      digits: true,
      direction: 'outbound',
      gets: {
        'refer-to': '<sips:14155550188@trunk.example.com>',
        'referred-by': undefined,
        diversion: '<sip:14155550100@trunk.example.com>',
        'p-asserted-identity': '<sip:14155550100@trunk.example.com>',
        'x-case': undefined,
        'user-to-user': undefined,
      },
    },
    {
      name: 'tel, which always has the +',
      profile: { refer_to: 'tel' },
      digits: true,
      gets: { 'refer-to': `<tel:${TARGET}>`, 'referred-by': '<sip:14155550100@{}>' },
    },
    {
      name: 'digits and an IPv6 host',
      profile: { host: '[2001:db8::9]' },
      digits: true,
      gets: {
        'refer-to': '<sip:14155550188@[2001:db8::9]>',
        'referred-by': '<sip:14155550100@[2001:db8::9]>',
      },
    },
  ];
  await Promise.all(
    rows.map(({ name, profile, digits, direction = 'inbound', gets }) =>
      t.test(name, { buffered: true }, async (t) => {
        const stage = await startStage(t, profile, digits === true ? { number_format: 'digits' } : {});
        const { message } = await passed(stage, sent, { direction });
        for (const [header, value] of Object.entries(gets)) {
          const wanted = value === undefined ? [] : [value.replace('{}', stage.scene.carrier.host)];
          t.same(message?.getAll(header), wanted, header);
        }
      }),
    ),
  );
});

t.test('a carrier that takes no REFER gets none, and Retell 405 with the way out', async (t) => {
  const stage = await startStage(t, { refer: 'unsupported' });
  const call = await stage.answered();
  const answer = await refer(call.callee);
  t.equal(answer.status, 405);
  t.match(answer.get('reason'), /sip_invite/);
  t.notMatch(answer.get('allow'), /REFER/);
  t.match(await transferOf(stage, call), {
    state: 'rejected',
    status: 405,
    source: 'retell',
    refer_to: null,
    reason: /sip_invite/,
  });
  t.equal(received(stage.scene.carrier, 'REFER', call.caller), 0);
  t.equal((await call.callee.request('INFO')).status, 200, 'the call goes on');
  await call.caller.bye();
});

interface Play {
  name: string;
  /** What the carrier does with the REFER. */
  carrier: (refer: IncomingRequest, call: SipCall) => Promise<unknown> | undefined;
  /** What Retell's REFER is answered with. */
  answer: number;
  /** Status lines that reach Retell. */
  told?: string[];
  state: string;
  status?: number;
  /** What it went through before that. */
  stages?: ('accepted' | 'trying' | 'ringing')[];
  /** Whether Retell hangs up at the end. */
  hangsUp?: boolean;
  endedBy: string;
}

const PLAYS: Play[] = [
  {
    name: 'and works',
    carrier: async (request, call) => {
      request.reply(202);
      for (const status of [100, 180, 200]) await notify(call, status);
    },
    answer: 202,
    told: ['SIP/2.0 100 Whatever', 'SIP/2.0 180 Whatever', 'SIP/2.0 200 Whatever'],
    stages: ['accepted', 'trying', 'ringing'],
    state: 'succeeded',
    status: 200,
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and works, but Retell does not hang up',
    carrier: async (request, call) => {
      request.reply(202);
      await notify(call, 200);
    },
    answer: 202,
    told: ['SIP/2.0 200 Whatever'],
    stages: ['accepted'],
    state: 'succeeded',
    status: 200,
    endedBy: 'reaper',
  },
  {
    name: 'and is busy',
    carrier: async (request, call) => {
      request.reply(202);
      for (const status of [100, 486]) await notify(call, status);
    },
    answer: 202,
    told: ['SIP/2.0 100 Whatever', 'SIP/2.0 486 Whatever'],
    stages: ['accepted', 'trying'],
    state: 'failed',
    status: 486,
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and is refused',
    carrier: async (request) => request.reply(603),
    answer: 603,
    state: 'rejected',
    status: 603,
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and is challenged, which nobody answers for Retell',
    carrier: async (request) =>
      request.reply(407, undefined, [challengeHeader({ realm: 'carrier.example.com' })]),
    answer: 407,
    state: 'rejected',
    status: 407,
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and its end is told before its answer',
    carrier: async (request, call) => {
      await notify(call, 200);
      request.reply(202);
    },
    answer: 202,
    told: ['SIP/2.0 200 Whatever'],
    stages: ['accepted'],
    state: 'succeeded',
    status: 200,
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and its subscription ends without an outcome',
    carrier: async (request, call) => {
      request.reply(202);
      await notify(call, 180, { subscription: 'terminated;reason=giveup' });
    },
    answer: 202,
    told: ['SIP/2.0 180 Whatever'],
    stages: ['accepted', 'ringing'],
    state: 'failed',
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and is told of no more',
    carrier: async (request) => request.reply(202),
    answer: 202,
    stages: ['accepted'],
    state: 'timed_out',
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and the carrier hangs up right after 202',
    carrier: async (request, call) => {
      request.reply(202);
      await call.bye();
    },
    answer: 202,
    stages: ['accepted'],
    state: 'call_ended',
    endedBy: 'carrier',
  },
];

for (const direction of ['inbound', 'outbound'] as const) {
  t.test(`a REFER of Retell's in an ${direction} call is passed on`, async (t) => {
    t.jobs = PLAYS.length;
    const stage = await startStage(t, { timeout_s: 5 });
    await Promise.all(
      PLAYS.map((play) =>
        t.test(play.name, { buffered: true }, async (t) => {
          const call = await stage.answered(direction);
          const { carrier, retell } = sidesOf(call, direction);
          const told: SipMessage[] = [];
          retell.on('NOTIFY', (request) => {
            told.push(request.message);
            request.reply(200);
          });
          const arrived = nextRefer(carrier);
          const answer = refer(retell);
          await play.carrier(await arrived, carrier);
          t.equal((await answer).status, play.answer);
          const transfer = await transferOf(stage, call);
          t.same(
            (['accepted', 'trying', 'ringing'] as const).filter((stage) => transfer[`${stage}_at`] !== null),
            play.stages ?? [],
          );
          t.match(transfer, {
            state: play.state,
            status: play.status ?? null,
            source: 'retell',
            by: 'retell',
            to: `<tel:${TARGET}>`,
            refer_to: `sip:${TARGET}@${stage.scene.carrier.host}`,
          });
          t.same(
            told.map(({ body }) => body.split('\r\n')[0]),
            play.told ?? [],
          );
          for (const message of told) {
            t.equal(message.get('event'), 'refer');
            t.match(message.get('subscription-state'), /^(active|terminated)/);
          }
          if (play.hangsUp) await retell.bye();
          await Promise.all([carrier.ended, retell.ended]);
          const record = await recordOf(stage.scene.stack, call.caller.callId, 'ended');
          t.equal(record.ended_by, play.endedBy);
          t.equal(
            record.timeline.filter(({ type }: { type: string }) => type === 'transfer_ended').length,
            1,
          );
        }),
      ),
    );
    await nothingLeft(t, stage.scene);
  });
}

t.test('what the carrier tells reaches Retell as it is, and so does its answer the carrier', async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  const { carrier, retell } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const answer = refer(retell);
  (await arrived).reply(202, undefined, [['X-Carrier', 'first']]);
  t.equal((await answer).get('x-carrier'), 'first');
  const rows: [status: number, answer: number, subscription: string, body: string][] = [
    [100, 200, 'active;expires=60', 'SIP/2.0 100 Trying\r\n'],
    [180, 202, 'active', 'SIP/2.0 180 Ringing\r\nWarning: 399 example.com "ringing"\r\n\r\n'],
    [500, 489, 'terminated;reason=noresource', 'SIP/2.0 500 Zo\u00eb says no'],
  ];
  for (const [status, answered, subscription, body] of rows) {
    const told = new Promise<IncomingRequest>((resolve) => retell.on('NOTIFY', resolve));
    const acknowledged = notify(carrier, status, { subscription, body });
    const request = await told;
    t.equal(request.message.body, body);
    t.equal(request.message.get('event'), 'refer');
    t.equal(request.message.get('subscription-state'), subscription);
    t.equal(request.message.get('content-type'), 'message/sipfrag;version=2.0');
    request.reply(answered, 'As Retell Says');
    t.match(await acknowledged, { status: answered, reason: 'As Retell Says' });
  }
  t.match(await transferOf(stage, call), { state: 'failed', status: 500 });
  await carrier.bye();
});

t.test("a second REFER of Retell's, or a command, during a transfer has to wait", async (t) => {
  const stage = await startStage(t);
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier, retell } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const first = refer(retell);
  (await arrived).reply(202);
  t.equal((await first).status, 202);
  t.equal((await refer(retell)).status, 491);
  await transferOf(stage, call, ({ status }) => status === 491);
  t.match(await stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET }), {
    status: 409,
    body: { code: 'transfer_in_progress' },
  });
  await notify(carrier, 486);
  const again = nextRefer(carrier);
  const second = refer(retell);
  (await again).reply(603);
  t.equal((await second).status, 603);
  await carrier.bye();
});

t.test("a REFER of Retell's during a command's has to wait", async (t) => {
  const stage = await startStage(t);
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier, retell } = sidesOf(call, 'inbound');
  const arrived = nextRefer(carrier);
  const { id } = await begin(stack, call.id);
  const request = await arrived;
  t.equal((await refer(retell)).status, 491);
  request.reply(603);
  t.match(await endOf(stack, call.id, id), { state: 'rejected', status: 603 });
  await carrier.bye();
});

t.test('over transfers.per_minute Retell gets 503', async (t) => {
  const stage = await startStage(t, {}, {}, { per_minute: 1 });
  const calls = await Promise.all([1, 2, 3].map(() => stage.answered()));
  for (const { caller } of calls) caller.on('REFER', (request) => request.reply(603));
  const statuses: number[] = [];
  for (const { callee } of calls) {
    const answer = await refer(callee);
    statuses.push(answer.status);
    if (answer.status === 503) t.match(answer.get('retry-after'), /^\d+$/);
  }
  // A minute may end between them, once.
  t.ok(statuses.filter((status) => status === 503).length >= 1, String(statuses));
  t.ok(statuses.includes(603));
  await Promise.all(calls.map(({ caller }) => caller.bye()));
});

t.test('a REFER of a carrier passes to Retell as it is', async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  const arrived = new Promise<IncomingRequest>((resolve) => call.callee.on('REFER', resolve));
  const answer = refer(call.caller, [['Refer-To', '<sip:200@pbx.example.com>']]);
  const request = await arrived;
  t.equal(request.message.get('refer-to'), '<sip:200@pbx.example.com>');
  request.reply(501);
  t.equal((await answer).status, 501);
  t.same((await stage.scene.stack.api.get(`/v1/calls/${call.id}`)).body.transfers, []);
  await call.caller.bye();
});

t.test("in a dialog that Kamailio does not know no REFER of Retell's passes", async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  await stage.scene.stack.parts.kamailio.kill();
  await stage.scene.stack.parts.kamailio.start();
  t.equal((await refer(call.callee)).status, 403);
  t.equal(received(stage.scene.carrier, 'REFER', call.caller), 0);
  await call.caller.bye();
});

t.test(
  "after a command's REFER Retell's own has another CSeq at the carrier, and its own at Retell",
  async (t) => {
    const stage = await startStage(t);
    const { stack } = stage.scene;
    const call = await stage.answered();
    const { carrier, retell } = sidesOf(call, 'inbound');
    const first = nextRefer(carrier);
    await stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET });
    (await first).reply(603);
    await transferOf(stage, call);
    const arrived = nextRefer(carrier);
    const told = new Promise<IncomingRequest>((resolve) => retell.on('NOTIFY', resolve));
    const answer = refer(retell);
    const request = await arrived;
    request.reply(202);
    const response = await answer;
    t.equal(response.status, 202);
    t.equal(response.cseq, 1, "the reply has Retell's own number");
    t.equal(request.message.cseq, 2, 'the REFER one above that of the command');
    const trying = carrier.request('NOTIFY', {
      headers: [
        ['o', 'refer ; id=2'],
        ['Subscription-State', 'active'],
        ['Content-Type', 'message/sipfrag'],
      ],
      body: 'SIP/2.0 100 Trying\r\n',
    });
    const ringing = await told;
    t.same(ringing.message.getAll('event'), ['refer;id=1'], 'in the short form too');
    ringing.reply(200);
    t.equal((await trying).status, 200);
    const toldAgain = new Promise<IncomingRequest>((resolve) => retell.on('NOTIFY', resolve));
    const acknowledged = notify(carrier, 486, { id: request.message.cseq });
    const notification = await toldAgain;
    t.same(notification.message.getAll('event'), ['refer;id=1']);
    notification.reply(200);
    t.equal((await acknowledged).status, 200);
    t.match(await transferOf(stage, call), { source: 'retell', state: 'failed', status: 486 });
    await carrier.bye();
  },
);
