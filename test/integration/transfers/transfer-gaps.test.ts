import t, { type Test } from 'tap';
import { oneCarrier } from '../../harness/outbound.js';
import { nothingLeft, recordOf } from '../../harness/scene.js';
import type { SipCall } from '../../harness/sip-peer.js';
import { type Direction, received, Stage, type StagedCall } from '../../harness/staged-calls.js';
import { begin, endOf, inState, nextRefer, notify, sidesOf } from '../../harness/transfers.js';

/** How far a transfer has come when somebody hangs up. */
const GAPS = ['requested', 'accepted', 'trying', 'ringing', 'with the final NOTIFY'] as const;
type Gap = (typeof GAPS)[number];

interface Enders {
  stage: Stage;
  call: StagedCall;
  carrier: SipCall;
  retell: SipCall;
}

const ENDERS: Record<'retell' | 'carrier' | 'api', (ends: Enders) => Promise<unknown>> = {
  retell: ({ retell }) => retell.bye(),
  carrier: ({ carrier }) => carrier.bye(),
  api: ({ stage, call }) => stage.scene.stack.api.post(`/v1/calls/${call.id}/hangup`),
};

t.test('a transfer whose call ends first', async (t) => {
  t.jobs = 10;
  const stage = new Stage(await oneCarrier(t, { first: { transfer: { timeout_s: 30 } } }));
  await Promise.all(
    Object.entries(ENDERS).flatMap(([by, end]) =>
      (['inbound', 'outbound'] as const).flatMap((direction) =>
        GAPS.map((gap) =>
          t.test(`by ${by}, ${gap}, ${direction}`, { buffered: true }, (t) =>
            play(t, stage, direction, gap, by, end),
          ),
        ),
      ),
    ),
  );
  await nothingLeft(t, stage.scene);
});

async function play(
  t: Test,
  stage: Stage,
  direction: Direction,
  gap: Gap,
  by: string,
  end: (ends: Enders) => Promise<unknown>,
): Promise<void> {
  const { stack, retell: retellPeer, carrier: carrierPeer } = stage.scene;
  const call = await stage.answered(direction);
  const { carrier, retell } = sidesOf(call, direction);
  const arrived = nextRefer(carrier);
  const { id } = await begin(stack, call.id);
  const refer = await arrived;
  const final = gap === 'with the final NOTIFY';
  const reached = final ? GAPS.length : GAPS.indexOf(gap);
  if (reached > 0) refer.reply(202);
  if (reached > 1) await notify(carrier, 100);
  if (reached > 2) await notify(carrier, 180);
  if (!final) await inState(stack, call.id, id, gap);
  const told = final ? notify(carrier, 200) : undefined;
  await Promise.all([told, end({ stage, call, carrier, retell })]);
  if (told !== undefined) t.equal((await told).status, 200);

  const transfer = await endOf(stack, call.id, id);
  t.equal(transfer.state, final ? 'succeeded' : 'call_ended');
  const record = await recordOf(stack, call.caller.callId, 'ended');
  // A side that hangs up at the same moment as we do may come first.
  t.match(record.ended_by, final ? /^(api|retell|carrier)$/ : by);
  t.equal(record.timeline.filter(({ type }: { type: string }) => type === 'transfer_ended').length, 1);
  await Promise.all([carrier.ended, retell.ended]);
  for (const method of ['REFER', 'NOTIFY']) t.equal(received(retellPeer, method, call.caller), 0, method);
  t.equal(received(carrierPeer, 'REFER', call.caller), 1);
}

t.test('of a call that ended in the meantime nothing more is sent', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const { stack, carrier: peer } = stage.scene;
  const call = await stage.answered();
  await call.caller.bye();
  await recordOf(stack, call.caller.callId, 'ended');
  t.match(await stack.api.post(`/v1/calls/${call.id}/transfers`, { to: '+14155550188' }), {
    status: 409,
    body: { code: 'call_ended' },
  });
  t.equal(received(peer, 'REFER', call.caller), 0);
});
