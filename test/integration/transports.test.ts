import t from 'tap';
import { eventually } from '../harness/await.js';
import { exchange, hangUp, inbound, outbound } from '../harness/legs.js';
import { noDialogLeft, recordOf, startPeer } from '../harness/scene.js';
import type { SipPeer, TransportKind } from '../harness/sip-peer.js';
import { CARRIER_HOST, RETELL_HOST, startStack } from '../harness/stack.js';
import { makeTrust, startTlsPeer, type Trust } from '../harness/tls-scene.js';
import { begin, endOf, nextRefer, notify, sidesOf } from '../harness/transfers.js';

const TRANSPORTS = ['udp', 'tcp', 'tls'] as const;
const HOSTS = { udp: CARRIER_HOST, tcp: '127.0.0.4', tls: '127.0.0.5' };
/** The destination that each transport's carrier takes. */
const DESTINATIONS = { udp: '+14155550171', tcp: '+14155550172', tls: '+14155550173' };

const trust = await makeTrust(t);
const [carriers, retells] = [await startPeers(trust, HOSTS), await startPeers(trust)];
const stack = await startStack(t, {
  tls: trust.section,
  gateways: TRANSPORTS.map((transport) => ({ uri: retells[transport].uri() })),
  config: {
    carriers: TRANSPORTS.map((transport) => ({
      name: transport,
      networks: [HOSTS[transport]],
      gateways: [{ uri: carriers[transport].uri() }],
      prefixes: [DESTINATIONS[transport]],
      probe: false,
    })),
  },
});

async function startPeers(
  trust: Trust,
  hosts: Record<TransportKind, string> = { udp: RETELL_HOST, tcp: RETELL_HOST, tls: RETELL_HOST },
): Promise<Record<TransportKind, SipPeer>> {
  const [udp, tcp] = [
    await startPeer(t, { host: hosts.udp, transport: 'udp' }),
    await startPeer(t, { host: hosts.tcp, transport: 'tcp' }),
  ];
  return { udp, tcp, tls: await startTlsPeer(t, trust, hosts.tls) };
}

/** From now on calls to Retell go over this transport alone. */
async function retellSpeaks(chosen: TransportKind): Promise<void> {
  const command = async (transport: TransportKind, what: 'drain' | 'resume') => {
    const uri = encodeURIComponent(retells[transport].uri());
    const { status, body } = await stack.api.post(`/v1/retell/gateways/${uri}/${what}`);
    if (status !== 200) throw new Error(`${what}: ${status} ${JSON.stringify(body)}`);
  };
  await command(chosen, 'resume');
  for (const transport of TRANSPORTS) if (transport !== chosen) await command(transport, 'drain');
}

t.test('Kamailio 5 warns of TLS when it starts, Kamailio 6 has no reason to', async (t) => {
  const warned = () => stack.kamailioLog.some((line) => line.includes('use Kamailio 6.0 for TLS'));
  const old = String(await stack.rpc.call('core.version')).startsWith('kamailio 5');
  if (old) await eventually('the warning', warned);
  t.equal(warned(), old);
});

for (const there of TRANSPORTS) {
  t.test(`calls between carriers over each transport and Retell over ${there}`, async (t) => {
    await retellSpeaks(there);
    for (const here of TRANSPORTS) {
      const [carrier, retell] = [carriers[here], retells[there]];

      await t.test(`inbound, carrier over ${here}`, async (t) => {
        const legs = await inbound(stack, carrier, retell);
        t.match(legs.callee.message.topVia.transport, there);
        await exchange(t, legs);
        t.equal((await legs.callee.bye()).status, 200);
        await legs.caller.next('BYE');
      });

      await t.test(`outbound, carrier over ${here}`, async (t) => {
        const legs = await outbound(stack, retell, carrier, { to: DESTINATIONS[here] });
        t.match(legs.callee.message.topVia.transport, here);
        await exchange(t, legs);
        t.equal((await legs.callee.bye()).status, 200);
        await legs.caller.next('BYE');
      });

      for (const direction of ['inbound', 'outbound'] as const) {
        await t.test(`transfer of an ${direction} call, carrier over ${here}`, async (t) => {
          const legs =
            direction === 'inbound'
              ? await inbound(stack, carrier, retell)
              : await outbound(stack, retell, carrier, { to: DESTINATIONS[here] });
          const ends = sidesOf(legs, direction);
          const { id } = await recordOf(stack, legs.caller.callId, 'answered');
          const arrived = nextRefer(ends.carrier);
          const transfer = await begin(stack, id);
          const refer = await arrived;
          t.match(refer.message.topVia.transport, here);
          refer.reply(202);
          t.equal((await notify(ends.carrier, 200)).status, 200);
          t.match(await endOf(stack, id, transfer.id), { state: 'succeeded' });
          await Promise.all([ends.carrier.ended, ends.retell.ended]);
        });
      }

      await t.test(`hangup of an inbound call, carrier over ${here}`, async (t) => {
        await hangUp(t, stack, await inbound(stack, carrier, retell));
      });

      await t.test(`hangup of an outbound call, carrier over ${here}`, async (t) => {
        await hangUp(t, stack, await outbound(stack, retell, carrier, { to: DESTINATIONS[here] }));
      });
    }
    await noDialogLeft(stack);
  });
}
