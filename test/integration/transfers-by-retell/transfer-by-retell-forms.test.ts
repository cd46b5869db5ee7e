import t from 'tap';
import { carrierAt } from '../../harness/outbound.js';
import { startScene } from '../../harness/scene.js';
import type { Header, IncomingRequest } from '../../harness/sip-peer.js';
import { NUMBER } from '../../harness/stack.js';
import { type Direction, Stage } from '../../harness/staged-calls.js';
import { DESTINATIONS, DESTINATIONS_OF_LISTED, LISTED, LISTS } from '../../harness/transfer-destinations.js';
import { nextRefer, sidesOf, TARGET } from '../../harness/transfers.js';
import { refer, startStage } from '../../harness/transfers-by-retell.js';

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
