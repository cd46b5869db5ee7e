import t from 'tap';
import { freePort } from '../../../control-plane/src/cli/ports.js';
import { eventually } from '../../harness/await.js';
import { gatewayOf, oneCarrier, twoCarriers } from '../../harness/outbound.js';
import { dial, dialOut, noDialogLeft, recordOf, startScene } from '../../harness/scene.js';
import type { Header, IncomingCall } from '../../harness/sip-peer.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST } from '../../harness/stack.js';

const reason = (value: string): Header[] => [['Reason', value]];

/** What Kamailio could not do with a message. */
const errorsOf = (log: readonly string[]) =>
  log.filter((line) => / (ERROR|CRITICAL|BUG): .*(<core>|pv \[|tmx \[|dialog \[)/.test(line));

t.test('a call that two carriers refuse shows both attempts, each with its Q.850 cause', async (t) => {
  const scene = await twoCarriers(t);
  const { stack, carrier, second, retell } = scene;
  carrier.onInvite = async (call) => {
    call.ring();
    await retell.next(({ callId, status }) => callId === call.callId && status === 180);
    call.refuse(503, undefined, reason('Q.850;cause=34;text="No circuit, sorry"'));
  };
  second.onInvite = (call) => call.refuse(486, undefined, reason('SIP;cause=486, q.850 ; Cause = 17'));
  const caller = dialOut(scene);
  t.equal((await caller.finalResponse()).status, 486);
  const record = await recordOf(stack, caller.callId, 'ended');
  t.match(record, {
    sip_status: 486,
    q850_cause: 17,
    reason_text: null,
    source: `${retell.host}:${retell.port}`,
    codec: null,
    setup_ms: null,
    duration_ms: null,
    sdd_ms: null,
  });
  const [first, last] = record.attempts;
  t.equal(record.attempts.length, 2);
  t.match(first, {
    carrier: 'first',
    gateway: gatewayOf(carrier),
    status: 503,
    q850_cause: 34,
    reason: 'No circuit, sorry',
    ringing_at: record.ringing_at,
  });
  t.match(last, {
    carrier: 'second',
    gateway: gatewayOf(second),
    status: 486,
    q850_cause: 17,
    reason: null,
    ringing_at: null,
    at: record.ended_at,
  });
  t.ok(first.at >= first.ringing_at && first.at <= last.at);
  t.ok(record.srd_ms > 0);
  t.same(errorsOf(stack.nodes[0]?.log ?? []), []);
});

t.test('a carrier that answers after another has refused is the last attempt, with 200', async (t) => {
  const scene = await twoCarriers(t);
  const { stack, carrier, second } = scene;
  carrier.onInvite = (call) =>
    call.refuse(403, undefined, [...reason('SIP;cause=403;text="not you"'), ...reason('Q.850;cause=21')]);
  const caller = dialOut(scene);
  await caller.answered();
  const record = await recordOf(stack, caller.callId, 'answered');
  t.match(record, { q850_cause: null, reason_text: null });
  t.match(record.attempts, [
    { carrier: 'first', gateway: gatewayOf(carrier), status: 403, q850_cause: 21, reason: 'not you' },
    { carrier: 'second', gateway: gatewayOf(second), status: 200, q850_cause: null, at: record.answered_at },
  ]);
  t.ok(record.setup_ms >= record.srd_ms && record.srd_ms > 0);
  t.equal((await caller.bye()).status, 200);
});

t.test('the cause of a refusal is not that of a gateway to which nothing could be sent', async (t) => {
  const closed = `sip:${CARRIER_HOST}:${await freePort(CARRIER_HOST)};transport=tcp`;
  const scene = await twoCarriers(t, { second: { gateways: [{ uri: closed, priority: 2 }] } });
  scene.carrier.onInvite = (call) => call.refuse(404, undefined, reason('Q.850;cause=1'));
  const caller = dialOut(scene);
  await caller.finalResponse();
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.match(record.attempts, [
    { carrier: 'first', status: 404, q850_cause: 1 },
    { carrier: 'second', gateway: closed, status: 477, q850_cause: null },
  ]);
  t.equal(record.attempts.length, 2);
  t.equal(record.q850_cause, null);
});

t.test("a refusal that is the caller's answer is one attempt, though it was told twice", async (t) => {
  const scene = await oneCarrier(t);
  scene.carrier.onInvite = (call) => call.refuse(404, undefined, reason('Q.850;cause=1'));
  const caller = dialOut(scene);
  t.equal((await caller.finalResponse()).status, 404);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(record.q850_cause, 1);
  t.match(record.attempts, [{ carrier: 'first', status: 404, q850_cause: 1 }]);
  t.equal(record.attempts.length, 1);
});

t.test(
  'a call that ends on its fallback shows Retell and the fallback, both without a carrier',
  async (t) => {
    const scene = await startScene(t, {
      config: ({ carrier }) => ({
        numbers: [{ number: NUMBER, fallback: `sip:desk@${carrier.host}:${carrier.port}` }],
      }),
    });
    const { stack, carrier, retell } = scene;
    retell.onInvite = (call) => call.refuse(500, undefined, reason('Q.850;cause=41'));
    carrier.onInvite = (call) =>
      call.refuse(486, undefined, reason(`Q.850;cause=17;text="${'x'.repeat(400)}"`));
    const caller = dial(scene);
    t.equal((await caller.finalResponse()).status, 486);
    const record = await recordOf(stack, caller.callId, 'ended');
    t.match(record.attempts, [
      {
        carrier: null,
        gateway: `sip:${RETELL_HOST}:${retell.port};transport=udp`,
        status: 500,
        q850_cause: 41,
      },
      { carrier: null, gateway: `sip:desk@${carrier.host}:${carrier.port}`, status: 486, q850_cause: 17 },
    ]);
    t.equal(record.attempts.length, 2);
    t.match(record.reason_text, /^x{200,256}$/, 'a long text is cut');
  },
);

t.test('a gateway whose call is hung up has the status that it answered the CANCEL with', async (t) => {
  const scene = await oneCarrier(t);
  const arrived = new Promise<IncomingCall>((resolve) => {
    scene.carrier.onInvite = (call) => {
      call.ring();
      resolve(call);
    };
  });
  const caller = dialOut(scene);
  await caller.response(180);
  const { id } = await recordOf(scene.stack, caller.callId, 'ringing');
  await arrived;
  t.equal((await scene.stack.api.post(`/v1/calls/${id}/hangup`)).body.outcome, 'ended');
  const record = await eventually('the attempt', async () => {
    const now = await recordOf(scene.stack, caller.callId, 'ended');
    return now.attempts.length > 0 ? now : undefined;
  });
  t.equal(record.sip_status, 480);
  t.match(record.attempts, [{ carrier: 'first', status: 487, ringing_at: record.ringing_at }]);
  await noDialogLeft(scene.stack);
});

t.test('a call that no gateway was tried for has no attempt', async (t) => {
  const scene = await startScene(t);
  const caller = dial(scene, '+14155559999');
  t.equal((await caller.finalResponse()).status, 404);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.same(record.attempts, []);
  t.ok(record.srd_ms >= 0);
  t.equal(record.source, `${scene.carrier.host}:${scene.carrier.port}`);
});
