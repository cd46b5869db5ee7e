import t, { type Test } from 'tap';
import { eventually } from '../harness/await.js';
import { type HepPacket, HepServer } from '../harness/hep-server.js';
import { oneCarrier } from '../harness/outbound.js';
import { dial, establish, nothingLeft, type Scene, startScene } from '../harness/scene.js';
import type { IncomingCall, SipMessage, TraceEntry } from '../harness/sip-peer.js';
import { NUMBER } from '../harness/stack.js';
import { begin, endOf, nextRefer } from '../harness/transfers.js';

/** How a message is told from others of its call: both legs share the Call-ID. */
function nameOf(message: SipMessage): string {
  return `${message.status || message.method} ${message.get('cseq')} ${message.get('via')}`;
}

/** A TCP connection has a port that only the kernel knows at one of its ends. */
const withoutPorts = (hop: string) => hop.replace(/:\d+(?= )/g, '');

function hopOf({ source, destination, message }: HepPacket): string {
  return `${source} > ${destination} ${nameOf(message)}`;
}

/** What both peers saw of a call on the wire, as the proxy has to have captured it. */
function seenByPeers({ stack, carrier, retell }: Scene, callId: string): string[] {
  const proxy = `${stack.sip.host}:${stack.sip.port}`;
  return [carrier, retell].flatMap((peer) => {
    const ofCall = ({ message }: TraceEntry) => message.get('call-id') === callId;
    return peer.trace.filter(ofCall).map(({ direction, message }) => {
      const own = `${peer.host}:${peer.port}`;
      return `${direction === 'out' ? `${own} > ${proxy}` : `${proxy} > ${own}`} ${nameOf(message)}`;
    });
  });
}

/** The capture server has each message of the call once, and no other. */
async function allCaptured(t: Test, scene: Scene, hep: HepServer, callId: string): Promise<HepPacket[]> {
  const comparable = scene.carrier.transport === 'tcp' ? withoutPorts : (hop: string) => hop;
  const seen = seenByPeers(scene, callId).map(comparable);
  await eventually('a copy of every message', async () => hep.ofCall(callId).length >= seen.length);
  const packets = hep.ofCall(callId);
  t.same(packets.map(hopOf).map(comparable).sort(), seen.sort());
  return packets;
}

t.test('every message of a call is copied once, with its addresses, time and node', async (t) => {
  const hep = await HepServer.start(t);
  const from = Date.now();
  const scene = await startScene(t, { config: { capture: { hep: hep.address, node_id: 7 } } });
  const { caller, callee, record } = await establish(scene);
  t.equal((await callee.bye()).status, 200);
  const packets = await allCaptured(t, scene, hep, caller.callId);

  t.ok(packets.length >= 13, 'INVITE, 100, 180, 200, ACK, BYE and 200 on both legs');
  for (const packet of packets) {
    t.equal(packet.protocol, 1);
    t.equal(packet.transport, 'udp');
    t.equal(packet.captureId, 7);
    t.ok(packet.at >= from && packet.at <= Date.now());
  }
  const invite = packets.find(({ message }) => message.get('x-call-ref') !== undefined);
  t.same(invite?.message.headers, callee.message.headers, 'as it was on the wire');
  t.equal(invite?.message.body, callee.message.body);
  t.match(
    hep.logs,
    [{ protocol: 100, correlationId: caller.callId, payload: `X-Call-Ref: ${record.id}`, captureId: 7 }],
    'a line of log ties our id to the Call-ID',
  );
  t.equal(hep.logs.length, 1);
  await nothingLeft(t, scene);
});

t.test('a refused call, a cancelled one and one that the API ends are captured too', async (t) => {
  const hep = await HepServer.start(t);
  const scene = await startScene(t, { config: { capture: { hep: hep.address } } });

  const unknown = dial(scene, '+14155550199');
  await unknown.finalResponse();
  await allCaptured(t, scene, hep, unknown.callId);

  const arrived = new Promise<IncomingCall>((resolve) => {
    scene.retell.onInvite = resolve;
  });
  const cancelled = dial(scene, NUMBER);
  (await arrived).ring();
  await cancelled.response(180);
  await cancelled.cancel();
  await cancelled.finalResponse();
  await nothingLeft(t, scene);
  await allCaptured(t, scene, hep, cancelled.callId);

  const { caller, record } = await establish(scene);
  const { body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`, {});
  t.equal(body.outcome, 'ended');
  const packets = await allCaptured(t, scene, hep, caller.callId);
  t.ok(packets.every(({ captureId }) => captureId === 2001));
  await nothingLeft(t, scene);
});

t.test('the REFER of a transfer is captured once', async (t) => {
  const hep = await HepServer.start(t);
  const scene = await oneCarrier(t, { config: { capture: { hep: hep.address } } });
  const { caller, callee, record } = await establish(scene);
  const arrived = nextRefer(caller);
  const { id } = await begin(scene.stack, record.id);
  (await arrived).reply(603);
  t.equal((await endOf(scene.stack, record.id, id)).state, 'rejected');
  t.equal((await callee.bye()).status, 200);
  await nothingLeft(t, scene);
  await allCaptured(t, scene, hep, caller.callId);
});

t.test('over TCP too; neither probes of gateways nor RPC with its token is captured', async (t) => {
  const hep = await HepServer.start(t);
  const scene = await startScene(t, {
    transport: 'tcp',
    config: { capture: { hep: hep.address } },
  });
  // First, so that copies of it would be there before those of the call.
  await eventually('a probe of the gateway', async () => scene.retell.count('OPTIONS') > 0);
  const { caller, callee } = await establish(scene);
  t.equal((await callee.bye()).status, 200);
  const packets = await allCaptured(t, scene, hep, caller.callId);
  t.ok(packets.every(({ transport }) => transport === 'tcp'));

  t.same(
    hep.packets.filter(({ payload }) => !/^SIP\/2\.0 |^[A-Z]+ \S+ SIP\/2\.0\r/.test(payload)),
    [],
  );
  t.notOk(hep.packets.some(({ payload }) => payload.includes(scene.stack.rpcToken)));
  t.notOk(hep.packets.some(({ message }) => message.get('from')?.includes('ping@')));
});

t.test('with nobody at its address, and without capture, calls go on the same', async (t) => {
  for (const capture of [{ hep: 'udp:127.0.0.1:9' }, { hep: 'udp:192.0.2.1:9060' }, undefined]) {
    const scene = await startScene(t, { config: { ...(capture && { capture }) } });
    for (let call = 0; call < 5; call += 1) {
      const { caller } = await establish(scene);
      t.equal((await caller.bye()).status, 200);
    }
    await nothingLeft(t, scene);
    t.equal(scene.retell.count('INVITE'), 5, 'nothing was sent again');
    const modules = (await scene.stack.rpc.call('core.modules', [])) as string[];
    t.equal(modules.includes('siptrace'), capture !== undefined);
  }
});
