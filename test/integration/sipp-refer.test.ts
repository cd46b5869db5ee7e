import { createSocket } from 'node:dgram';
import t from 'tap';
import { SippRun } from '../../sipp-scenarios/sipp.js';
import { type IncomingCall, SipPeer } from '../harness/sip-peer.js';

t.test(
  "the demo's carrier is referred, tells how it goes, and outlives a REFER that is repeated",
  async (t) => {
    const peer = await SipPeer.start();
    t.teardown(() => peer.stop());
    const called = new Promise<IncomingCall>((resolve) => {
      peer.onInvite = resolve;
    });
    const carrier = await SippRun.start({
      scenario: 'carrier/inbound-refer-accepted.xml',
      host: '127.0.0.1',
      target: `127.0.0.1:${peer.port}`,
      number: '+14155550101',
      trace: true,
      timeoutS: 20,
    });
    t.teardown(() => carrier.stop());
    const call = await called;
    call.autoAnswer = false;
    call.answer();
    await call.acked;

    const socket = createSocket('udp4');
    t.teardown(() => socket.close());
    const carrierPort = Number(/:(\d+)/.exec(call.message.list('contact')[0]?.split('@')[1] ?? '')?.[1]);
    const repeatRefer = () => {
      const refer = peer.trace.find(
        ({ direction, message }) => direction === 'out' && message.method === 'REFER',
      );
      return new Promise((resolve) =>
        socket.send(refer?.message.raw ?? '', carrierPort, '127.0.0.1', resolve),
      );
    };

    const accepted = await call.request('REFER', { headers: [['Refer-To', '<sip:+14155550188@127.0.0.1>']] });
    t.equal(accepted.status, 202);
    const told: [string | undefined, string | undefined][] = [];
    for (let i = 0; i < 3; i += 1) {
      const notify = await call.next('NOTIFY');
      told.push([notify.message.get('subscription-state'), notify.message.body.trim()]);
      await repeatRefer();
      notify.reply(200);
      await repeatRefer();
    }
    t.same(told, [
      ['active;expires=60', 'SIP/2.0 100 Trying'],
      ['active;expires=60', 'SIP/2.0 180 Ringing'],
      ['terminated;reason=noresource', 'SIP/2.0 200 OK'],
    ]);
    t.equal((await call.bye()).status, 200);
    t.equal((await carrier.result()).successful, 1);
    const statuses = (await carrier.messages()).flatMap(({ sipfrag }) => sipfrag ?? []);
    // SIPp takes a repeated REFER for the cause of its next NOTIFY, and may repeat that.
    t.same([...new Set(statuses)], ['100 Trying', '180 Ringing', '200 OK'], 'the statuses for the ladder');
  },
);
