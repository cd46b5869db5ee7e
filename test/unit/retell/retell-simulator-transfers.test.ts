import t, { type Test } from 'tap';
import { request } from 'undici';
import { until } from '../../harness/call-pair.js';
import { nextCall } from '../../harness/legs.js';
import { SipPeer } from '../../harness/sip-peer.js';
import { WebhookSink } from '../../harness/webhook-sink.js';
import { RetellSimulator } from '../../retell-simulator/simulator.js';

const NUMBER = '+14155550100';
const CALLER = '+14155550123';
const DESTINATION = '+14155550177';
const EVENTS = ['transfer_started', 'transfer_bridged', 'transfer_cancelled', 'transfer_ended', 'call_ended'];

/** A call to the simulator that is up, and the peer that its second calls come to. */
async function callUp(t: Test) {
  const sink = await WebhookSink.start();
  t.teardown(() => sink.stop());
  const peer = await SipPeer.start();
  t.teardown(() => peer.stop());
  const simulator = await RetellSimulator.start({
    webhooks: { url: sink.url, events: EVENTS },
    terminationUri: `127.0.0.1:${peer.port};transport=udp`,
  });
  t.teardown(() => simulator.stop());
  const call = peer.invite({
    to: `sip:${NUMBER}@sip.retellai.com`,
    from: peer.uri(CALLER),
    via: simulator.sip,
  });
  await call.answered();
  await until(() => simulator.calls.all()[0]?.call.call_status === 'ongoing');
  const [entry] = simulator.calls.all();
  if (!entry) throw new Error('no call');
  /** Turns the knob; resolves with the answer. */
  const transfer = async (body: object) => {
    const answer = await request(`${simulator.http.url}/simulator/calls/${entry.call.call_id}/transfer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ to: DESTINATION, mode: 'sip_invite', ...body }),
    });
    return answer.body.json();
  };
  return { sink, peer, simulator, call, entry, transfer };
}

const events = (sink: WebhookSink) => sink.received.map(({ event }) => event);

for (const [shown, user] of [
  [false, NUMBER],
  [true, CALLER],
] as const) {
  t.test(`a transfer by a second call comes from ${shown ? 'the user' : 'the agent'}`, async (t) => {
    const { sink, peer, call, entry, transfer } = await callUp(t);
    const arrived = nextCall(peer);
    const headers = { 'X-Transferred-From': 'call={{call_id}}', 'X-Case': '1' };
    const outcome = transfer({ show_transferee_as_caller: shown, headers });
    const second = await arrived;
    const { message } = second;
    t.match(message.requestUri, `sip:${DESTINATION}@`);
    for (const name of ['from', 'p-asserted-identity']) t.match(message.get(name), `<sip:${user}@`);
    t.equal(message.get('x-transferred-from'), `call=${entry.call.call_id}`);
    t.equal(message.get('x-case'), '1');
    second.answer();
    t.same(await outcome, { status: 200 });
    t.equal(entry.call.call_status, 'ongoing', 'Retell stays between the two');

    await call.bye();
    t.equal(await second.ended, 'remote');
    t.match((await sink.next('call_ended')).call, {
      disconnection_reason: 'call_transfer',
      transfer_destination: DESTINATION,
    });
    // Webhooks are on their way side by side.
    await until(() => sink.received.length >= 4);
    t.same(events(sink).sort(), ['call_ended', 'transfer_bridged', 'transfer_ended', 'transfer_started']);
    t.match(sink.received[0]?.payload, {
      transfer_destination: { number: DESTINATION },
      transfer_option: { coldTransferMode: 'sip_invite', showTransfereeAsCaller: shown },
    });
  });
}

t.test('the end of the second call ends the first one', async (t) => {
  const { peer, call, entry, transfer } = await callUp(t);
  const arrived = nextCall(peer);
  const outcome = transfer({});
  const second = await arrived;
  second.answer();
  await outcome;
  t.equal((await second.bye()).status, 200);
  t.equal(await call.ended, 'remote');
  t.equal(entry.call.disconnection_reason, 'call_transfer');
});

t.test('a second call that is refused leaves the first one as it was', async (t) => {
  const { sink, peer, call, entry, transfer } = await callUp(t);
  peer.onInvite = (second) => second.refuse(486);
  t.same(await transfer({}), { status: 486 });
  await sink.next('transfer_cancelled');
  t.equal(entry.call.call_status, 'ongoing');
  await call.bye();
  t.equal((await sink.next('call_ended')).call.disconnection_reason, 'user_hangup');
  t.equal(peer.count('CANCEL'), 0);
});

t.test('a user who hangs up while the second call rings ends that one too', async (t) => {
  const { sink, peer, call, transfer } = await callUp(t);
  const arrived = nextCall(peer);
  const outcome = transfer({});
  const second = await arrived;
  await call.bye();
  await second.canceled;
  t.same(await outcome, { status: 487 });
  await sink.next('transfer_cancelled');
});
