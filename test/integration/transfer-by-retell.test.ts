import t from 'tap';
import { nothingLeft, recordOf } from '../harness/scene.js';
import { challengeHeader } from '../harness/sip-digest.js';
import type { IncomingRequest, SipCall, SipMessage } from '../harness/sip-peer.js';
import { nextRefer, notify, sidesOf, TARGET } from '../harness/transfers.js';
import { refer, startStage, transferOf } from '../harness/transfers-by-retell.js';

interface Play {
  name: string;
  /** What the carrier does with the REFER. */
  carrier: (refer: IncomingRequest, call: SipCall, retell: SipCall) => Promise<unknown> | undefined;
  /** What Retell's REFER is answered with. */
  answer: number;
  /** Status lines that reach Retell. */
  told?: string[];
  state: string;
  status?: number;
  /** What it went through before that. */
  stages?: ('accepted' | 'trying' | 'ringing')[];
  /** Whether Retell hangs up: at the end of the transfer, or before it. */
  hangsUp?: boolean | 'early';
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
    name: 'and is not answered',
    carrier: () => undefined,
    answer: 408,
    state: 'timed_out',
    hangsUp: true,
    endedBy: 'retell',
  },
  {
    name: 'and Retell hangs up before its end',
    carrier: async (request, call) => {
      request.reply(202);
      await notify(call, 100);
    },
    answer: 202,
    told: ['SIP/2.0 100 Whatever'],
    stages: ['accepted', 'trying'],
    hangsUp: 'early',
    state: 'call_ended',
    endedBy: 'retell',
  },
  {
    name: 'and the carrier hangs up just before the last NOTIFY',
    carrier: async (request, call, retell) => {
      request.reply(202);
      // Sent back to back they may overtake each other in Kamailio's workers.
      const arrived = new Promise<IncomingRequest>((resolve) => retell.on('BYE', resolve));
      const ended = call.bye();
      const bye = await arrived;
      await notify(call, 200);
      bye.reply(200);
      await ended;
    },
    answer: 202,
    told: ['SIP/2.0 200 Whatever'],
    stages: ['accepted'],
    state: 'succeeded',
    status: 200,
    endedBy: 'carrier',
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
          await play.carrier(await arrived, carrier, retell);
          t.equal((await answer).status, play.answer);
          if (play.hangsUp === 'early') await retell.bye();
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
          if (play.hangsUp === true) await retell.bye();
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
    const ended = ({ source, ended_at }: Record<string, unknown>) => source === 'retell' && ended_at !== null;
    t.match(await transferOf(stage, call, ended), { source: 'retell', state: 'failed', status: 486 });
    await carrier.bye();
  },
);
