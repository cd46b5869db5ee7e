import t, { type Test } from 'tap';
import { eventually } from '../harness/await.js';
import { inbound, type Legs, outbound } from '../harness/legs.js';
import { carrierAt } from '../harness/outbound.js';
import { startRegisterScene } from '../harness/register-scene.js';
import { dial, noDialogLeft, recordOf, type Scene, startPeer, startScene } from '../harness/scene.js';
import type { SipCall, SipMessage, SipPeer } from '../harness/sip-peer.js';
import { parseUri } from '../harness/sip-values.js';

/** Kamailio takes no shorter interval. */
const KEEPALIVE_S = 30;
/** Longer than two intervals, the time in which the second OPTIONS may be answered, and what the call has left then. */
const PATIENCE_MS = 120_000;

/** A scene with keepalive and carriers whose peers restart and die; the first one challenges calls. */
async function startKeepalive(t: Test): Promise<Scene & { restarting: SipPeer; dying: SipPeer }> {
  const restarting = await startPeer(t, { host: '127.0.0.4' });
  const dying = await startPeer(t, { host: '127.0.0.5' });
  const digest = { username: 'us', password: 'secret' };
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      calls: { keepalive_s: KEEPALIVE_S },
      carriers: [
        carrierAt('challenging', carrier, { digest }),
        carrierAt('restarting', restarting, { prefixes: ['+33'] }),
        carrierAt('dying', dying, { prefixes: ['+44'] }),
      ],
    }),
  });
  scene.carrier.digest = { ...digest, realm: 'challenging.example.com', status: 407 };
  return { ...scene, restarting, dying };
}

/** The OPTIONS that this peer got in a call, and how often it got any of them again. */
function asked(peer: SipPeer, { callId }: SipCall): { requests: SipMessage[]; repeated: number } {
  const entries = peer.trace.filter(
    ({ direction, message }) =>
      direction === 'in' && message.method === 'OPTIONS' && message.callId === callId,
  );
  const requests = entries.filter(({ retransmission }) => !retransmission).map(({ message }) => message);
  return { requests, repeated: entries.length - requests.length };
}

/** A call is ended because a side of it is gone; Kamailio sent a BYE to each, answered or not. */
async function endedAsGone(t: Test, { stack }: Scene, { caller }: Legs): Promise<void> {
  const record = await recordOf(stack, caller.callId, 'ended');
  t.match(record, { ended_by: 'timeout', reason: 'peer gone' });
  await eventually('a BYE to each side in the record', async () => {
    const { body } = await stack.api.get(`/v1/calls/${record.id}`);
    const sent = body.timeline.filter(({ type }: { type: string }) => type === 'bye_sent');
    return ['carrier', 'retell'].every((leg) => sent.some((bye: { leg: string }) => bye.leg === leg));
  });
}

t.test('keepalive ends the calls whose peer is gone, and no others', async (t) => {
  t.setTimeout(2 * PATIENCE_MS);
  const scene = await startKeepalive(t);
  const { stack, carrier, retell, restarting, dying } = scene;
  const registered = await startRegisterScene(t, { calls: { keepalive_s: KEEPALIVE_S } });
  const registeredCaller = dial(registered);
  await registeredCaller.answered();

  const answering: Legs[] = [];
  for (const status of [200, 405, 500, 501]) {
    const legs = await inbound(stack, carrier, retell);
    legs.caller.on('OPTIONS', (request) => request.reply(status));
    answering.push(legs);
  }
  const challenged = await outbound(stack, retell, carrier);
  const silent = await inbound(stack, carrier, retell);
  silent.caller.on('OPTIONS', () => {});
  const unknown = await inbound(stack, carrier, retell);
  unknown.caller.on('OPTIONS', (request) => request.reply(481));
  const died = await outbound(stack, retell, dying, { to: '+442079460100' });
  await dying.stop();
  const restarted = await outbound(stack, retell, restarting, { to: '+33199000100' });
  const { host, port } = restarting;
  await restarting.stop();
  const again = await startPeer(t, { host, port });

  const byes = [silent.caller, silent.callee, unknown.caller, unknown.callee, died.caller, restarted.caller];
  await Promise.all([...byes.map((call) => call.next('BYE', PATIENCE_MS)), again.next('BYE', PATIENCE_MS)]);
  for (const legs of [silent, unknown, died, restarted]) await endedAsGone(t, scene, legs);

  for (const legs of [...answering, challenged]) {
    for (const [peer, call] of [
      [legs === challenged ? retell : carrier, legs.caller],
      [legs === challenged ? carrier : retell, legs.callee],
    ] as [SipPeer, SipCall][]) {
      const { requests, repeated } = asked(peer, call);
      t.ok(requests.length >= 2, `${requests.length} OPTIONS`);
      t.equal(repeated, 0, 'their answers reached Kamailio');
      // A higher one would make the other side's next request seem old.
      const last = call === legs.caller ? 0 : legs.callee.message.cseq;
      t.ok(
        requests.every(({ cseq }) => cseq <= last),
        'with a CSeq that leaves the next ones free',
      );
    }
    const [before, after] = [await legs.caller.request('INFO'), await legs.callee.request('INFO')];
    t.same([before.status, after.status], [200, 200], 'the call is up, and its CSeqs are as they were');
    t.equal((await legs.caller.bye()).status, 200);
  }
  await noDialogLeft(stack);

  const { requests } = asked(registered.carrier, registeredCaller);
  t.ok(requests.length >= 2);
  const [callee] = registered.atRetell;
  const { user = '' } = parseUri(callee?.message.requestUri ?? '');
  t.match(user, /^call_/);
  t.notOk(
    registered.carrier.trace.some(({ message }) => message.raw.includes(user)),
    "the carrier is not shown Retell's id of the call",
  );
  if (callee) t.ok(asked(registered.retell, callee).requests.length >= 2);
  t.equal((await registeredCaller.bye()).status, 200);
});
