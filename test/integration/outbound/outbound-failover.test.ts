import t, { type Test } from 'tap';
import { freePort } from '../../../control-plane/src/cli/ports.js';
import {
  failedAttempts,
  gatewayOf,
  refusing,
  type TwoCarriers,
  twoCarriers,
} from '../../harness/outbound.js';
import { dialOut, noDialogLeft, recordOf, type Scene, startPeer } from '../../harness/scene.js';
import type { IncomingCall } from '../../harness/sip-peer.js';
import { CARRIER_HOST } from '../../harness/stack.js';

/** The callee answers provisionally, and refuses once Retell has seen that. */
function ringsFirst({ retell }: Scene, ring: (call: IncomingCall) => void, status: number) {
  return async (call: IncomingCall) => {
    ring(call);
    await retell.next(({ callId, status: seen }) => callId === call.callId && seen > 100 && seen < 200);
    call.refuse(status);
  };
}

/** The first carrier does as told: the second is not rung, and Retell gets the status. */
async function endsWith(t: Test, scene: TwoCarriers, first: (call: IncomingCall) => void, status: number) {
  const { stack, carrier, second } = scene;
  const [tried, rung] = [carrier.count('INVITE'), second.count('INVITE')];
  carrier.onInvite = first;
  const caller = dialOut(scene);
  t.equal((await caller.finalResponse()).status, status);
  const record = await recordOf(stack, caller.callId, 'ended');
  t.match(record, { carrier: 'first', gateway: gatewayOf(carrier), ended_by: 'failure' });
  t.same([carrier.count('INVITE'), second.count('INVITE')], [tried + 1, rung], 'nobody else rings');
}

/** The first carrier does as told: the second takes the call. */
async function passesOn(t: Test, scene: TwoCarriers, first: (call: IncomingCall) => void, status: number) {
  scene.carrier.onInvite = first;
  const caller = dialOut(scene);
  await caller.answered();
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  t.match(record, { carrier: 'second', gateway: gatewayOf(scene.second) });
  t.match(failedAttempts(record), [{ carrier: 'first', gateway: gatewayOf(scene.carrier), status }]);
  t.equal((await caller.bye()).status, 200);
  t.equal((await recordOf(scene.stack, caller.callId, 'ended')).ended_by, 'retell');
}

t.test("a callee's answer, or a refusal after ringing, reaches Retell and nobody else rings", async (t) => {
  const scene = await twoCarriers(t);
  for (const status of [486, 487, 600, 603]) {
    await t.test(`${status}`, (t) => endsWith(t, scene, (call) => call.refuse(status), status));
  }
  for (const status of [404, 480, 486, 603]) {
    const rings = ringsFirst(scene, (call) => call.ring(), status);
    await t.test(`${status} after 180`, (t) => endsWith(t, scene, rings, status));
  }
  // A proxy's 503 would say that all of it is overloaded: RFC 3261 16.7 makes it 500.
  const speaks = ringsFirst(scene, (call) => call.earlyMedia(), 503);
  await t.test('503 after 183 with SDP', (t) => endsWith(t, scene, speaks, 500));
  await noDialogLeft(scene.stack);
});

t.test('a refusal before ringing, and a server error without media, go to the next carrier', async (t) => {
  const scene = await twoCarriers(t);
  for (const status of [302, 401, 403, 404, 407, 408, 480, 488, 500, 503, 504]) {
    await t.test(`${status}`, (t) => passesOn(t, scene, (call) => call.refuse(status), status));
  }
  const rings = ringsFirst(scene, (call) => call.ring(), 503);
  await t.test('503 after 180', (t) => passesOn(t, scene, rings, 503));
  await noDialogLeft(scene.stack);
});

t.test('a carrier that refuses the TCP connection is passed over', async (t) => {
  const uri = `sip:${CARRIER_HOST}:${await freePort(CARRIER_HOST)};transport=tcp`;
  const scene = await twoCarriers(t, { first: { gateways: [{ uri, priority: 1 }] } });
  const caller = dialOut(scene);
  await caller.answered();
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  t.equal(record.carrier, 'second');
  t.match(failedAttempts(record), [{ carrier: 'first', gateway: uri, status: 477 }]);
  t.equal((await caller.bye()).status, 200);
});

t.test('the refusal of the last carrier is the answer to Retell', async (t) => {
  const scene = await twoCarriers(t);
  refusing(scene.carrier, 503);
  for (const status of [302, 403, 404, 480]) {
    await t.test(`${status}`, async (t) => {
      refusing(scene.second, status);
      const caller = dialOut(scene);
      t.equal((await caller.finalResponse()).status, status);
      const record = await recordOf(scene.stack, caller.callId, 'ended');
      t.match(record, { carrier: 'second', sip_status: status, ended_by: 'failure' });
      t.equal(failedAttempts(record).length, 2);
    });
  }
  await noDialogLeft(scene.stack);
});

t.test('where no carrier takes the call Retell gets 503 with Retry-After and a reason', async (t) => {
  const scene = await twoCarriers(t);
  refusing(scene.second, 500);
  for (const status of [401, 407, 408, 503]) {
    await t.test(`${status}, then 500`, async (t) => {
      refusing(scene.carrier, status);
      const caller = dialOut(scene);
      const response = await caller.finalResponse();
      t.equal(response.status, 503);
      t.equal(response.get('retry-after'), '10');
      t.equal(response.get('reason'), 'SIP;cause=503;text="no carrier takes the call"');
      const record = await recordOf(scene.stack, caller.callId, 'ended');
      t.match(record, { sip_status: 503, reason: 'no carrier takes the call', ended_by: 'failure' });
      t.match(failedAttempts(record), [
        { carrier: 'first', status },
        { carrier: 'second', status: 500 },
      ]);
    });
  }
  await noDialogLeft(scene.stack);
});

t.test('a CANCEL ends the call with 487 and nobody else rings', async (t) => {
  const scene = await twoCarriers(t);
  await t.test('while the carrier rings', async (t) => {
    scene.carrier.onInvite = (call) => call.ring();
    const caller = dialOut(scene);
    await caller.response(180);
    t.equal((await caller.cancel()).status, 200);
    t.equal((await caller.finalResponse()).status, 487);
    await scene.carrier.next('CANCEL');
    t.match(await recordOf(scene.stack, caller.callId, 'ended'), { ended_by: 'retell', sip_status: 487 });
  });
  await t.test('while the carrier says nothing', async (t) => {
    scene.carrier.onInvite = () => {};
    const caller = dialOut(scene);
    await scene.carrier.next(({ method, callId }) => method === 'INVITE' && callId === caller.callId);
    t.equal((await caller.cancel()).status, 200);
    t.equal((await caller.finalResponse()).status, 487);
    t.match(await recordOf(scene.stack, caller.callId, 'ended'), { ended_by: 'retell', sip_status: 487 });
  });
  t.equal(scene.second.count('INVITE'), 0);
  await noDialogLeft(scene.stack);
});

t.test('a refusal before ringing goes to the next gateway even where another one has rung', async (t) => {
  const refuses = await startPeer(t, { host: CARRIER_HOST });
  refusing(refuses, 404);
  const rings = await startPeer(t, { host: CARRIER_HOST });
  const gateways = [rings, refuses].map((peer, i) => ({ uri: gatewayOf(peer), priority: i + 1 }));
  const scene = await twoCarriers(t, { first: { gateways }, second: { priority: 3 } });
  rings.onInvite = ringsFirst(scene, (call) => call.ring(), 503);
  const caller = dialOut(scene);
  await caller.answered();
  const record = await recordOf(scene.stack, caller.callId, 'answered');
  t.match(failedAttempts(record), [{ status: 503 }, { status: 404 }]);
  t.equal((await caller.bye()).status, 200);
});

t.test(
  'a carrier that says nothing is passed over, and told to stop when it rings all the same',
  async (t) => {
    const scene = await twoCarriers(t);
    let late: IncomingCall | undefined;
    scene.carrier.onInvite = (call) => {
      late = call;
    };
    const caller = dialOut(scene);
    await caller.answered();
    const record = await recordOf(scene.stack, caller.callId, 'answered');
    t.equal(record.carrier, 'second');
    t.match(failedAttempts(record), [{ carrier: 'first', status: 408 }]);
    late?.ring();
    await late?.canceled;
    t.equal((await caller.bye()).status, 200);
    await noDialogLeft(scene.stack);
  },
);
