import t, { type Test } from 'tap';
import { eventually } from '../../harness/await.js';
import { oneCarrier } from '../../harness/outbound.js';
import { noDialogLeft, nothingLeft, recordOf } from '../../harness/scene.js';
import type { SipCall, SipPeer } from '../../harness/sip-peer.js';
import { type Direction, Stage, type StagedCall } from '../../harness/staged-calls.js';
import { begin, endOf, nextRefer, notify, sidesOf } from '../../harness/transfers.js';

const DIGEST = { username: 'proxy', password: 'proxy-password', realm: 'carrier.example.com' };
const METHODS = ['INVITE', 'INFO', 'UPDATE', 'OPTIONS'];
const ROUNDS = 5;

/** A transfer that fails, by a NOTIFY or at once. */
async function fail(stage: Stage, call: StagedCall, direction: Direction): Promise<void> {
  const { carrier } = sidesOf(call, direction);
  const arrived = nextRefer(carrier);
  const { id } = await begin(stage.scene.stack, call.id);
  (await arrived).reply(202);
  await notify(carrier, 486);
  await endOf(stage.scene.stack, call.id, id);
}

/** So many requests of each kind from each side, each answered with its own CSeq. */
async function exchange(t: Test, carrier: SipCall, retell: SipCall, rounds = ROUNDS): Promise<void> {
  for (const call of [carrier, retell]) {
    for (const method of METHODS) call.on(method, (request) => request.reply(200));
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const method of METHODS) {
      for (const from of [carrier, retell]) {
        const response = await from.request(method);
        t.equal(response.status, 200, `${method} ${from === carrier ? 'of the carrier' : "of Retell's"}`);
      }
    }
  }
}

/** The CSeq numbers of the requests that a peer got in a call, in order, each once. */
function cseqsAt(peer: SipPeer, { callId }: { callId: string }): number[] {
  const seen = peer.trace
    .filter(({ direction, retransmission, message }) => {
      return direction === 'in' && !retransmission && message.kind === 'request' && message.callId === callId;
    })
    .map(({ message }) => message)
    .filter(({ method }) => method !== 'ACK' && method !== 'CANCEL');
  return seen.map(({ cseq }) => cseq);
}

/** No number twice, none lower than one before it, and each ACK for an INVITE that came. */
function assertInOrder(t: Test, peer: SipPeer, call: StagedCall): void {
  const cseqs = cseqsAt(peer, call.caller);
  t.same(
    cseqs,
    [...new Set(cseqs)].sort((a, b) => a - b),
    'numbers go up',
  );
  const inbound = peer.trace.filter(
    ({ direction, message }) =>
      direction === 'in' && message.kind === 'request' && message.callId === call.caller.callId,
  );
  const of = (method: string) =>
    new Set(inbound.filter(({ message }) => message.method === method).map(({ message }) => message.cseq));
  t.same([...of('ACK')].sort(), [...of('INVITE')].sort(), 'each INVITE of the peer has its ACK');
}

for (const direction of ['inbound', 'outbound'] as const) {
  t.test(`after failed transfers requests go on in both directions of an ${direction} call`, async (t) => {
    t.jobs = 4;
    const stage = new Stage(await oneCarrier(t));
    const { stack, carrier: carrierPeer, retell: retellPeer } = stage.scene;
    const enders: [
      string,
      (ends: { carrier: SipCall; retell: SipCall; call: StagedCall }) => Promise<unknown>,
    ][] = [
      ['the carrier', ({ carrier }) => carrier.bye()],
      ['Retell', ({ retell }) => retell.bye()],
      ['the API', ({ call }) => stack.api.post(`/v1/calls/${call.id}/hangup`)],
    ];
    await Promise.all(
      enders.map(([who, end]) =>
        t.test(`and ${who} ends it`, { buffered: true }, async (t) => {
          const call = await stage.answered(direction);
          const { carrier, retell } = sidesOf(call, direction);
          await exchange(t, carrier, retell, 1);
          await fail(stage, call, direction);
          await exchange(t, carrier, retell);
          await fail(stage, call, direction);
          await exchange(t, carrier, retell, 1);
          await end({ carrier, retell, call });
          await Promise.all([carrier.ended, retell.ended]);
          t.match(await recordOf(stack, call.caller.callId, 'ended'), {
            transfers: [{ state: 'failed' }, { state: 'failed' }],
          });
          assertInOrder(t, carrierPeer, call);
          assertInOrder(t, retellPeer, call);
        }),
      ),
    );
    await nothingLeft(t, stage.scene);
  });
}

t.test('a call whose INVITE was challenged has CSeqs of its own for REFERs too', async (t) => {
  const stage = new Stage(await oneCarrier(t, { first: { digest: DIGEST } }));
  const { stack, carrier: peer } = stage.scene;
  peer.behaviour.digest = { ...DIGEST, status: 407 };
  for (const end of ['api', 'retell'] as const) {
    const call = await stage.answered('outbound');
    const { carrier, retell } = sidesOf(call, 'outbound');
    await fail(stage, call, 'outbound');
    await exchange(t, carrier, retell, 2);
    await fail(stage, call, 'outbound');
    if (end === 'api')
      t.match((await stack.api.post(`/v1/calls/${call.id}/hangup`)).body, { outcome: 'ended' });
    else t.equal((await retell.bye()).status, 200);
    await Promise.all([carrier.ended, retell.ended]);
    const cseqs = cseqsAt(peer, call.caller);
    t.same(
      cseqs,
      [...new Set(cseqs)].sort((a, b) => a - b),
      'numbers go up',
    );
  }
  await noDialogLeft(stack);
});

t.test('an ACK keeps the CSeq of its INVITE where a REFER left between them', async (t) => {
  const stage = new Stage(await oneCarrier(t));
  const { stack } = stage.scene;
  const call = await stage.answered();
  const { carrier, retell } = sidesOf(call, 'inbound');
  const invited = new Promise<import('../../harness/sip-peer.js').IncomingRequest>((resolve) =>
    carrier.on('INVITE', resolve),
  );
  const answered = retell.request('INVITE');
  const invite = await invited;
  const arrived = nextRefer(carrier);
  const { id } = await begin(stack, call.id);
  (await arrived).reply(603);
  t.match(await endOf(stack, call.id, id), { state: 'rejected', status: 603 });
  invite.reply(200);
  t.equal((await answered).status, 200);
  const acks = () =>
    stage.scene.carrier.trace.filter(
      ({ direction, message }) =>
        direction === 'in' && message.method === 'ACK' && message.callId === carrier.callId,
    );
  await eventually('the ACK', () => acks().some(({ message }) => message.cseq === invite.message.cseq));
  t.equal((await retell.bye()).status, 200);
  await carrier.ended;
});

t.test('a call whose dialog Kamailio has lost can still be transferred', async (t) => {
  for (const direction of ['inbound', 'outbound'] as const) {
    const stage = new Stage(await oneCarrier(t));
    const { stack } = stage.scene;
    const call = await stage.answered(direction);
    const { carrier, retell } = sidesOf(call, direction);
    await retell.request('INFO');
    await stack.parts.kamailio.kill();
    await stack.parts.kamailio.start();
    await fail(stage, call, direction);
    for (const from of [retell, carrier]) t.equal((await from.request('INFO')).status, 200);
    const arrived = nextRefer(carrier);
    const { id } = await begin(stack, call.id);
    (await arrived).reply(202);
    t.equal((await notify(carrier, 200)).status, 200);
    t.match(await endOf(stack, call.id, id), { state: 'succeeded' });
    await Promise.all([carrier.ended, retell.ended]);
    t.match(await recordOf(stack, call.caller.callId, 'ended'), { ended_by: 'api' });
  }
});
