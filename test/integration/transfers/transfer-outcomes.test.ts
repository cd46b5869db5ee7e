import t, { type Test } from 'tap';
import { oneCarrier } from '../../harness/outbound.js';
import { nothingLeft, recordOf } from '../../harness/scene.js';
import { challengeHeader, DigestGuard } from '../../harness/sip-digest.js';
import type { IncomingRequest, SipCall } from '../../harness/sip-peer.js';
import { type Direction, received, Stage } from '../../harness/staged-calls.js';
import { begin, endOf, nextRefer, notify, sidesOf, TARGET } from '../../harness/transfers.js';

const DIGEST = { username: 'proxy', password: 'proxy-password', realm: 'carrier.example.com' };

interface Row {
  name: string;
  /** What the carrier does with the first REFER, until it has nothing more to say. */
  carrier: (refer: IncomingRequest, call: SipCall) => Promise<unknown> | undefined;
  state: string;
  status?: number | null;
  /** Stages that were reached. */
  stages?: string[];
  body?: Record<string, unknown>;
  /** Whether the call goes on. */
  goesOn: boolean;
  /** REFERs that the carrier got. Default 1. */
  refers?: number;
  /** Who ended the call. */
  endedBy?: string;
}

const allStages = ['accepted', 'trying', 'ringing'];

const ROWS: Row[] = [
  {
    name: 'accepts and tells 100, 180, 200',
    carrier: async (refer, call) => {
      refer.reply(202);
      for (const status of [100, 180, 200]) await notify(call, status);
    },
    state: 'succeeded',
    status: 200,
    stages: allStages,
    goesOn: false,
  },
  {
    name: 'accepts with 200 and names the REFER in Event',
    carrier: async (refer, call) => {
      refer.reply(200);
      for (const status of [100, 200]) await notify(call, status, { id: refer.message.cseq });
    },
    state: 'succeeded',
    status: 200,
    stages: ['accepted', 'trying'],
    goesOn: false,
  },
  ...[403, 405, 603].map(
    (status): Row => ({
      name: `refuses with ${status}`,
      carrier: async (refer) => refer.reply(status),
      state: 'rejected',
      status,
      goesOn: true,
    }),
  ),
  {
    name: 'refuses with 403 where the call is not to go on',
    carrier: async (refer) => refer.reply(403),
    body: { on_failure: 'hangup' },
    state: 'rejected',
    status: 403,
    goesOn: false,
  },
  {
    name: 'accepts and tells nothing',
    carrier: async (refer) => refer.reply(202),
    state: 'timed_out',
    status: null,
    stages: ['accepted'],
    goesOn: true,
  },
  {
    name: 'does not answer at all',
    carrier: () => undefined,
    state: 'timed_out',
    status: null,
    goesOn: true,
  },
  {
    name: 'tells that it is busy',
    carrier: async (refer, call) => {
      refer.reply(202);
      for (const status of [100, 486]) await notify(call, status);
    },
    state: 'failed',
    status: 486,
    stages: ['accepted', 'trying'],
    goesOn: true,
  },
  {
    name: 'hangs up right after 202',
    carrier: async (refer, call) => {
      refer.reply(202);
      await call.bye();
    },
    state: 'call_ended',
    status: null,
    stages: ['accepted'],
    goesOn: false,
    endedBy: 'carrier',
  },
  {
    name: 'hangs up right after the final NOTIFY',
    carrier: async (refer, call) => {
      refer.reply(202);
      await notify(call, 100);
      const last = notify(call, 200);
      await Promise.all([last, call.bye()]);
    },
    state: 'succeeded',
    status: 200,
    stages: ['accepted', 'trying'],
    goesOn: false,
    endedBy: 'carrier',
  },
  {
    name: 'tells its outcome right after it has hung up',
    carrier: async (refer, call) => {
      refer.reply(202);
      await call.bye();
      await notify(call, 200);
    },
    state: 'succeeded',
    status: 200,
    stages: ['accepted'],
    goesOn: false,
    endedBy: 'carrier',
  },
  {
    name: 'sends NOTIFYs before its 202',
    carrier: async (refer, call) => {
      for (const status of [100, 180]) await notify(call, status);
      refer.reply(202);
      await notify(call, 200);
    },
    state: 'succeeded',
    status: 200,
    stages: allStages,
    goesOn: false,
  },
  {
    name: 'sends even the last NOTIFY before its 202',
    carrier: async (refer, call) => {
      for (const status of [100, 404]) await notify(call, status);
      refer.reply(202);
    },
    state: 'failed',
    status: 404,
    stages: ['accepted', 'trying'],
    goesOn: true,
  },
  {
    name: 'sends a NOTIFY without a body first',
    carrier: async (refer, call) => {
      refer.reply(202);
      await notify(call, undefined);
      await notify(call, 200);
    },
    state: 'succeeded',
    status: 200,
    stages: ['accepted'],
    goesOn: false,
  },
  {
    name: 'closes the subscription without a body',
    carrier: async (refer, call) => {
      refer.reply(202);
      await notify(call, undefined, { subscription: 'terminated;reason=timeout' });
    },
    state: 'failed',
    status: null,
    stages: ['accepted'],
    goesOn: true,
  },
  {
    name: 'closes the subscription while it still rings',
    carrier: async (refer, call) => {
      refer.reply(202);
      await notify(call, 180, { subscription: 'terminated;reason=noresource' });
    },
    state: 'failed',
    status: null,
    stages: ['accepted', 'ringing'],
    goesOn: true,
  },
  {
    name: 'leaves the subscription open after a final status',
    carrier: async (refer, call) => {
      refer.reply(202);
      await notify(call, 603, { subscription: 'active;expires=30' });
    },
    state: 'failed',
    status: 603,
    stages: ['accepted'],
    goesOn: true,
  },
  {
    name: 'tells the final status twice, and another one after it',
    carrier: async (refer, call) => {
      refer.reply(202);
      for (const status of [486, 486, 200]) await notify(call, status);
    },
    state: 'failed',
    status: 486,
    stages: ['accepted'],
    goesOn: true,
  },
  {
    name: 'sends a body that is no status line',
    carrier: async (refer, call) => {
      refer.reply(202);
      await notify(call, undefined, { body: 'all is well\r\n' });
      await notify(call, 480);
    },
    state: 'failed',
    status: 480,
    stages: ['accepted'],
    goesOn: true,
  },
];

t.test('transfers whose carrier', async (t) => {
  t.jobs = 24;
  const stage = new Stage(await oneCarrier(t, { first: { transfer: { timeout_s: 5 } } }));
  await Promise.all(
    (['inbound', 'outbound'] as const).flatMap((direction) =>
      ROWS.map((row) =>
        t.test(`${row.name}, ${direction}`, { buffered: true }, (t) => play(t, stage, direction, row)),
      ),
    ),
  );
  await nothingLeft(t, stage.scene);
});

async function play(t: Test, stage: Stage, direction: Direction, row: Row): Promise<void> {
  const { stack, carrier: carrierPeer, retell: retellPeer } = stage.scene;
  const call = await stage.answered(direction);
  const { carrier, retell } = sidesOf(call, direction);
  const arrived = nextRefer(carrier);
  const { id } = await begin(stack, call.id, row.body);
  const refer = await arrived;
  t.match(refer.message.get('refer-to'), `<sip:${TARGET}@${carrierPeer.host}>`);
  await row.carrier(refer, carrier);
  const transfer = await endOf(stack, call.id, id);
  t.match(transfer, { state: row.state, status: row.status ?? null, source: 'api', by: 'all' });
  const { stages = [] } = row;
  for (const stageName of allStages) {
    t.equal(transfer[`${stageName}_at`] !== null, stages.includes(stageName), `${stageName} or not`);
  }
  if (row.goesOn) await goesOn(t, carrier, retell);
  const record = await recordOf(stack, call.caller.callId, row.goesOn ? 'answered' : 'ended');
  if (row.goesOn) await retell.bye();
  else t.equal(record.ended_by, row.endedBy ?? 'api');
  await Promise.all([carrier.ended, retell.ended]);
  // Nothing of it reached Retell but the end.
  for (const method of ['REFER', 'NOTIFY']) t.equal(received(retellPeer, method, call.caller), 0, method);
  t.equal(received(carrierPeer, 'REFER', call.caller), row.refers ?? 1);
  const ended = await recordOf(stack, call.caller.callId, 'ended');
  t.equal(ended.timeline.filter(({ type }: { type: string }) => type === 'transfer_ended').length, 1);
  t.same(
    ended.transfers.map(({ state }: { state: string }) => state),
    [row.state],
  );
}

/** Each side reaches the other. */
async function goesOn(t: Test, carrier: SipCall, retell: SipCall): Promise<void> {
  t.equal((await carrier.request('INFO')).status, 200);
  t.equal((await retell.request('INFO')).status, 200);
}

t.test('a REFER that is challenged', async (t) => {
  t.jobs = 8;
  const stage = new Stage(await oneCarrier(t, { first: { digest: DIGEST, transfer: { timeout_s: 5 } } }));
  const { stack, carrier: peer } = stage.scene;
  for (const status of [401, 407] as const) {
    for (const direction of ['inbound', 'outbound'] as const) {
      for (const qop of [true, false]) {
        t.test(
          `with ${status} ${qop ? 'and qop ' : ''}in an ${direction} call is sent again with credentials`,
          async (t) => {
            const call = await stage.answered(direction);
            const { carrier, retell } = sidesOf(call, direction);
            const guard = new DigestGuard();
            const cseqs: number[] = [];
            const accepted = new Promise<void>((resolve) => {
              carrier.on('REFER', (refer) => {
                cseqs.push(refer.message.cseq);
                const refusal = guard.refusal(refer.message, { ...DIGEST, status, qop });
                if (refusal === undefined) resolve();
                refer.reply(refusal?.status ?? 202, undefined, refusal?.headers);
              });
            });
            const { id } = await begin(stack, call.id);
            await accepted;
            t.equal(cseqs.length, 2);
            t.ok((cseqs[1] ?? 0) > (cseqs[0] ?? 0), 'the second has a CSeq of its own');
            await notify(carrier, 486);
            t.match(await endOf(stack, call.id, id), { state: 'failed', status: 486 });
            await goesOn(t, carrier, retell);
            await carrier.bye();
          },
        );
      }
    }
  }
  t.test('again is rejected', async (t) => {
    const call = await stage.answered();
    const { carrier } = sidesOf(call, 'inbound');
    carrier.on('REFER', (refer) => refer.reply(407, undefined, [challengeHeader(DIGEST)]));
    const { id } = await begin(stack, call.id);
    t.match(await endOf(stack, call.id, id), { state: 'rejected', status: 407 });
    t.equal(received(peer, 'REFER', call.caller), 2);
    await carrier.bye();
  });
  t.test('for another realm is rejected', async (t) => {
    const call = await stage.answered();
    const { carrier } = sidesOf(call, 'inbound');
    const elsewhere = challengeHeader({ realm: 'elsewhere.example.com' });
    carrier.on('REFER', (refer) => refer.reply(407, undefined, [elsewhere]));
    const { id } = await begin(stack, call.id);
    t.match(await endOf(stack, call.id, id), {
      state: 'rejected',
      status: 407,
      reason: /cannot be answered/,
    });
    t.equal(received(peer, 'REFER', call.caller), 1);
    // The next transfer is not kept waiting by it.
    const refer = nextRefer(carrier);
    const next = await begin(stack, call.id);
    (await refer).reply(603);
    t.match(await endOf(stack, call.id, next.id), { state: 'rejected', status: 603 });
    await carrier.bye();
  });
});
