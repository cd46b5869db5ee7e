import t from 'tap';
import { freePort } from '../../control-plane/src/cli/ports.js';
import {
  DESTINATION,
  dialOut,
  noDialogLeft,
  recordOf,
  type Scene,
  startPeer,
  startScene,
} from '../harness/scene.js';
import type { SipPeer } from '../harness/sip-peer.js';
import { CARRIER_HOST, type ConfigSections, NUMBER, type TestLike } from '../harness/stack.js';

type CarrierKeys = Record<string, unknown>;

/** A carrier with one gateway. */
function carrier(name: string, network: string, uri: string, keys: CarrierKeys = {}): CarrierKeys {
  return { name, networks: [network], gateways: [{ uri }], prefixes: ['+1'], probe: false, ...keys };
}

/** A scene whose one carrier takes calls to +1. */
async function oneCarrier(t: TestLike, keys: CarrierKeys = {}, config: ConfigSections = {}): Promise<Scene> {
  return startScene(t, {
    config: ({ carrier: peer }) => ({
      carriers: [carrier('acme', CARRIER_HOST, `sip:${peer.host}:${peer.port}`, keys)],
      ...config,
    }),
  });
}

function answering(peer: SipPeer): void {
  peer.onInvite = async (call) => {
    call.ring();
    call.answer();
  };
}

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
    carrier: 'acme',
    gateway: `sip:${scene.carrier.host}:${scene.carrier.port}`,
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
    second.onInvite = (call) => call.refuse(503);
    const third = await startPeer(t, {
      host: '127.0.0.5',
      behaviour: { digest: { realm: 'acme', username: 'us', password: 'secret', status: 407 } },
    });
    answering(third);
    const closed = await freePort(CARRIER_HOST);
    const scene = await startScene(t, {
      config: {
        carriers: [
          carrier('first', CARRIER_HOST, `sip:${CARRIER_HOST}:${closed};transport=tcp`),
          carrier('second', second.host, `sip:${second.host}:${second.port}`, {
            gateways: [{ uri: `sip:${second.host}:${second.port}`, priority: 2 }],
          }),
          carrier('third', third.host, '', {
            gateways: [{ uri: `sip:${third.host}:${third.port}`, priority: 3 }],
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
    t.match(
      record.timeline.filter((entry: { type: string }) => entry.type === 'attempt_failed'),
      [
        { carrier: 'first', status: 477 },
        { carrier: 'second', status: 503 },
      ],
    );
    const invites = third.trace
      .map(({ message }) => message)
      .filter(({ method, status }) => method === 'INVITE' && status === 0);
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
