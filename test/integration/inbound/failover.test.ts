import t from 'tap';
import { freePort } from '../../../control-plane/src/cli/ports.js';
import { dial, noDialogLeft, recordOf, type Scene, startPeer, startScene } from '../../harness/scene.js';
import type { SipPeer } from '../../harness/sip-peer.js';
import { RETELL_HOST, type TestLike } from '../../harness/stack.js';

/** A first gateway that does as told, and a second one behind it that answers. */
async function twoGateways(t: TestLike, first: (peer: SipPeer) => void): Promise<Scene & { first: SipPeer }> {
  const peer = await startPeer(t, { host: RETELL_HOST });
  first(peer);
  const scene = await startScene(t, {
    gateways: (second) => [
      { uri: `sip:${RETELL_HOST}:${peer.port}`, priority: 1 },
      { uri: `sip:${RETELL_HOST}:${second.port}`, priority: 2 },
    ],
  });
  scene.retell.onInvite = (call) => {
    call.ring();
    call.answer();
  };
  return { ...scene, first: peer };
}

t.test('a gateway that answers 503 is passed over, and the attempt is in the timeline', async (t) => {
  const scene = await twoGateways(t, (peer) => {
    peer.onInvite = (call) => call.refuse(503);
  });
  const caller = dial(scene);
  await caller.answered();
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  t.equal(record.gateway, `sip:${RETELL_HOST}:${scene.retell.port}`);
  const failed = record.timeline.find((entry: { type: string }) => entry.type === 'attempt_failed');
  t.equal(failed.gateway, `sip:${RETELL_HOST}:${scene.first.port}`);
  t.equal(failed.status, 503);
  const [invite] = scene.retell.trace.filter(({ message }) => message.method === 'INVITE');
  t.match(invite?.message.requestUri, `@${RETELL_HOST}:${scene.retell.port}`);
  t.equal(invite?.message.get('x-call-ref'), record.id);
  t.equal(invite?.message.list('x-call-ref').length, 1);
  t.equal((await caller.bye()).status, 200);
  await noDialogLeft(scene.stack);
});

t.test('a gateway that says nothing is passed over', async (t) => {
  const scene = await twoGateways(t, (peer) => {
    peer.onInvite = () => {};
  });
  const caller = dial(scene);
  await caller.answered();
  t.ok(scene.first.count('INVITE') === 1 && scene.retell.count('INVITE') === 1);
  t.equal((await caller.bye()).status, 200);
});

t.test('every gateway is tried once, whichever of its priority comes first', async (t) => {
  const peers: SipPeer[] = [];
  for (let i = 0; i < 3; i++) peers.push(await startPeer(t, { host: RETELL_HOST }));
  const uriOf = ({ port }: SipPeer) => `sip:${RETELL_HOST}:${port}`;
  const scene = await startScene(t, {
    gateways: (last) => [
      ...peers.map((peer) => ({ uri: uriOf(peer), priority: 1 })),
      { uri: uriOf(last), priority: 2 },
    ],
  });
  for (const peer of [...peers, scene.retell]) peer.onInvite = (call) => call.refuse(503);
  const first = new Set<string>();
  // Whose turn it is comes from a list in a random order.
  for (let i = 0; i < 50 && first.size < 2; i++) {
    const caller = dial(scene);
    t.equal((await caller.finalResponse()).status, 503);
    const { attempts } = await recordOf(scene.stack, caller.callId, 'ended');
    const tried: string[] = attempts.map(({ gateway }: { gateway: string }) => gateway);
    t.same(tried.slice(0, 3).sort(), peers.map(uriOf).sort());
    t.same(tried.slice(3), [uriOf(scene.retell)]);
    first.add(tried[0] ?? '');
  }
  t.equal(first.size, 2);
});

t.test('a gateway that refuses the TCP connection is passed over', async (t) => {
  const closed = await freePort(RETELL_HOST);
  const scene = await startScene(t, {
    gateways: (second) => [
      { uri: `sip:${RETELL_HOST}:${closed};transport=tcp`, priority: 1 },
      { uri: `sip:${RETELL_HOST}:${second.port}`, priority: 2 },
    ],
  });
  scene.retell.onInvite = (call) => call.answer();
  const caller = dial(scene);
  await caller.answered();
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  t.equal(record.timeline.filter((entry: { type: string }) => entry.type === 'attempt_failed').length, 1);
  t.equal((await caller.bye()).status, 200);
});

for (const status of [486, 600, 603]) {
  t.test(`after ${status} nobody else is rung and the caller gets it`, async (t) => {
    const scene = await twoGateways(t, (peer) => {
      peer.onInvite = (call) => call.refuse(status);
    });
    const caller = dial(scene);
    t.equal((await caller.finalResponse()).status, status);
    const record = await recordOf(scene.stack, caller.callId, 'ended');
    t.equal(record.sip_status, status);
    t.equal(record.ended_by, 'failure');
    t.equal(scene.retell.count('INVITE'), 0);
    await noDialogLeft(scene.stack);
  });
}

t.test('after a CANCEL nobody else is rung', async (t) => {
  const scene = await twoGateways(t, (peer) => {
    peer.onInvite = (call) => call.ring();
  });
  const caller = dial(scene);
  await caller.response(180);
  await caller.cancel();
  t.equal((await caller.finalResponse()).status, 487);
  await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(scene.retell.count('INVITE'), 0);
});

t.test('where no gateway takes the call the caller gets 503 with Retry-After', async (t) => {
  const scene = await startScene(t);
  scene.retell.onInvite = (call) => call.refuse(500);
  const caller = dial(scene);
  const response = await caller.finalResponse();
  t.equal(response.status, 503);
  t.equal(response.get('retry-after'), '10');
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(record.sip_status, 503);
  await noDialogLeft(scene.stack);
});
