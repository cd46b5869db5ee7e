import t from 'tap';
import { freePort } from '../../../control-plane/src/cli/ports.js';
import {
  answering,
  carrierAt,
  counter,
  failedAttempts,
  gatewayOf,
  invitesOf,
  oneCarrier,
  refusing,
} from '../../harness/outbound.js';
import { DESTINATION, dialOut, noDialogLeft, recordOf, startPeer, startScene } from '../../harness/scene.js';
import type { IncomingCall } from '../../harness/sip-peer.js';
import { CARRIER_HOST, NUMBER } from '../../harness/stack.js';

t.test('a call from Retell reaches the carrier, both ways work and the record says so', async (t) => {
  const scene = await oneCarrier(t);
  answering(scene.carrier);
  const caller = dialOut(scene, {
    headers: [
      ['X-Case', '42'],
      ['Diversion', '<sip:+14155550100@example.com>'],
    ],
  });
  await caller.answered();
  const invite = await scene.carrier.next('INVITE');
  t.match(invite.requestUri, `sip:${DESTINATION}@${scene.carrier.host}:${scene.carrier.port}`);
  t.equal(invite.get('x-case'), '42');
  t.match(invite.get('diversion'), NUMBER);
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  t.match(record, {
    direction: 'outbound',
    carrier: 'first',
    gateway: gatewayOf(scene.carrier),
    number: NUMBER,
    from: NUMBER,
    to: DESTINATION,
  });
  t.equal((await caller.bye()).status, 200);
  t.equal((await recordOf(scene.stack, caller.callId, 'ended')).ended_by, 'retell');
  await noDialogLeft(scene.stack);
});

t.test(
  'three carriers: one refuses TCP, one answers 503, the third wants credentials and takes the call',
  async (t) => {
    const second = await startPeer(t, { host: '127.0.0.4' });
    refusing(second, 503);
    const third = await startPeer(t, {
      host: '127.0.0.5',
      behaviour: { digest: { realm: 'acme', username: 'us', password: 'secret', status: 407 } },
    });
    answering(third);
    const unreachable = `sip:${CARRIER_HOST}:${await freePort(CARRIER_HOST)};transport=tcp`;
    const scene = await startScene(t, {
      config: {
        carriers: [
          carrierAt('first', { host: CARRIER_HOST, port: 0 }, { gateways: [{ uri: unreachable }] }),
          carrierAt('second', second, { priority: 2 }),
          carrierAt('third', third, {
            priority: 3,
            digest: { username: 'us', password: 'secret' },
            number_format: 'digits',
            caller_id: { user: 'account', host: 'acme.example.com' },
            x_headers: 'dropped',
          }),
        ],
      },
    });
    const caller = dialOut(scene, { headers: [['X-Case', '42']] });
    await caller.answered();
    const record = await recordOf(scene.stack, caller.callId, 'answered');
    t.equal(record.carrier, 'third');
    t.match(failedAttempts(record), [
      { carrier: 'first', gateway: unreachable, status: 477 },
      { carrier: 'second', gateway: gatewayOf(second), status: 503 },
    ]);
    const invites = invitesOf(third, caller);
    t.equal(invites.length, 2);
    const invite = invites[1];
    t.match(invite?.requestUri, `sip:${DESTINATION.slice(1)}@${third.host}:${third.port}`);
    t.match(invite?.get('from'), 'sip:account@acme.example.com');
    t.match(invite?.get('p-asserted-identity'), `sip:${NUMBER.slice(1)}@acme.example.com`);
    t.equal(invite?.get('x-case'), undefined);
    t.equal(invite?.get('x-call-ref'), undefined);
    t.ok((invite?.cseq ?? 0) > (invites[0]?.cseq ?? 0), 'the answer to the challenge has a CSeq of its own');
    t.equal((await caller.bye()).status, 200);
    const bye = await third.next('BYE');
    t.match(bye.get('from'), 'sip:account@acme.example.com');
    t.ok((bye.cseq ?? 0) > (invite?.cseq ?? 0), 'CSeq keeps growing towards the carrier');
    await noDialogLeft(scene.stack);
  },
);

t.test('numbers of Retell without + are the same numbers', async (t) => {
  const scene = await oneCarrier(t);
  answering(scene.carrier);
  const caller = dialOut(scene, { from: NUMBER.slice(1), to: DESTINATION.slice(1) });
  await caller.answered();
  const [invite] = invitesOf(scene.carrier, caller);
  t.match(invite?.requestUri, `sip:${DESTINATION}@`);
  t.match(invite?.get('from'), `sip:${NUMBER}@`);
  t.match(await recordOf(scene.stack, caller.callId, 'answered'), {
    number: NUMBER,
    to: DESTINATION.slice(1),
  });
  t.equal((await caller.bye()).status, 200);
});

t.test('an INVITE that was forked on its way here is one call', async (t) => {
  const scene = await oneCarrier(t);
  let ringing: IncomingCall | undefined;
  scene.carrier.onInvite = (call) => {
    ringing = call;
    call.ring();
  };
  const caller = dialOut(scene);
  await caller.response(180);
  t.equal((await caller.fork().finalResponse()).status, 482);
  caller.retransmit();
  ringing?.answer();
  await caller.answered();
  t.equal((await caller.fork().finalResponse()).status, 482, 'also once it is answered');
  t.equal(invitesOf(scene.carrier, caller).length, 1);
  t.equal(await counter(scene.stack, 'refused_merged'), 2);
  t.equal((await caller.bye()).status, 200);

  answering(scene.carrier);
  const again = scene.retell.invite({
    to: caller.message.requestUri,
    via: scene.stack.sip,
    callId: caller.callId,
    cseq: 9,
    headers: [['From', caller.message.get('from') ?? '']],
  });
  await again.answered();
  t.equal(invitesOf(scene.carrier, caller).length, 2, 'after its end the same Call-ID may call again');
  t.equal((await again.bye()).status, 200);
  await noDialogLeft(scene.stack);
});
