import t, { type Test } from 'tap';
import { eventually } from '../harness/await.js';
import { carrierAt } from '../harness/outbound.js';
import { nothingLeft, recordOf, startScene } from '../harness/scene.js';
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
          t.match(message?.get('referred-by'), `<sip:+14155550100@${host}>`);
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
  const sent: Header[] = [
    ['Refer-To', `<tel:${TARGET}>`],
    ['Referred-By', '<sip:agent@sip.retellai.com>'],
    ['X-Case', '17'],
    ['User-to-User', '616263;encoding=hex'],
  ];
  await t.test('scheme, host, format, headers', async (t) => {
    const stage = await startStage(
      t,
      {
        refer_to: 'sips',
        host: 'trunk.example.com',
        referred_by: 'dropped',
        diversion: 'added',
        p_asserted_identity: 'added',
        headers: 'dropped',
      },
      { number_format: 'digits' },
    );
    const { message } = await passed(stage, sent, { direction: 'outbound' });
    t.equal(message?.get('refer-to'), '<sips:14155550188@trunk.example.com>');
    t.equal(message?.get('referred-by'), undefined);
    t.equal(message?.get('diversion'), '<sip:14155550100@trunk.example.com>');
    t.equal(message?.get('p-asserted-identity'), '<sip:14155550100@trunk.example.com>');
    t.equal(message?.get('x-case'), undefined);
    t.equal(message?.get('user-to-user'), undefined);
  });
  await t.test('tel, which always has the +', async (t) => {
    const stage = await startStage(t, { refer_to: 'tel' }, { number_format: 'digits' });
    const { message } = await passed(stage, sent);
    t.equal(message?.get('refer-to'), `<tel:${TARGET}>`);
    t.match(message?.get('referred-by'), /^<sip:14155550100@/);
    t.equal(message?.get('x-case'), '17');
    t.equal(message?.get('user-to-user'), '616263;encoding=hex');
  });
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
    name: 'and is told of no more',
    carrier: async (request) => request.reply(202),
    answer: 202,
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
          t.match(await transferOf(stage, call), {
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
  for (const { callee } of calls) statuses.push((await refer(callee)).status);
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
    const acknowledged = notify(carrier, 486, { id: request.message.cseq });
    const notification = await told;
    t.equal(notification.message.get('event'), 'refer;id=1');
    notification.reply(200);
    t.equal((await acknowledged).status, 200);
    t.match(await transferOf(stage, call), { source: 'retell', state: 'failed', status: 486 });
    await carrier.bye();
  },
);
