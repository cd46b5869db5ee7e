import { networkInterfaces } from 'node:os';
import t from 'tap';
import { exchange, hangUp, inbound, type Legs, outbound } from '../../harness/legs.js';
import { noDialogLeft, startPeer } from '../../harness/scene.js';
import type { SipPeer, TransportKind } from '../../harness/sip-peer.js';
import { CARRIER_HOST, RETELL_HOST, type Stack, startStack } from '../../harness/stack.js';
import { makeTrust, startTlsPeer } from '../../harness/tls-scene.js';

const LOOPBACK = '::1';
const addresses = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address));
const skip = addresses.includes(LOOPBACK) ? false : 'this machine has no ::1';

/** A carrier and Retell over one transport, each at its address, and a stack with sockets of both families. */
async function startPair(transport: TransportKind, hosts: { carrier: string; retell: string }) {
  const trust = await makeTrust(t);
  const start = (host: string) =>
    transport === 'tls' ? startTlsPeer(t, trust, host) : startPeer(t, { host, transport });
  const [carrier, retell] = [await start(hosts.carrier), await start(hosts.retell)];
  const stack = await startStack(t, {
    ipv6: true,
    tls: trust.section,
    gateways: [{ uri: retell.uri() }],
    config: {
      retell: { networks: [hosts.retell] },
      carriers: [
        {
          name: 'acme',
          networks: [hosts.carrier],
          gateways: [{ uri: carrier.uri() }],
          prefixes: ['+1'],
          probe: false,
        },
      ],
    },
  });
  return { stack, carrier, retell };
}

/** Where a peer reaches the proxy: at the address of its own family. */
function proxyOf({ host }: SipPeer, { sip }: Stack): string {
  return host === LOOPBACK ? LOOPBACK : sip.host;
}

for (const transport of ['udp', 'tcp', 'tls'] as const) {
  for (const hosts of [
    { carrier: LOOPBACK, retell: RETELL_HOST },
    { carrier: CARRIER_HOST, retell: LOOPBACK },
  ]) {
    t.test(`${transport}, carrier at ${hosts.carrier} and Retell at ${hosts.retell}`, { skip }, async (t) => {
      const { stack, carrier, retell } = await startPair(transport, hosts);
      const calls: [string, () => Promise<Legs>][] = [
        ['inbound', () => inbound(stack, carrier, retell, { host: proxyOf(carrier, stack) })],
        ['outbound', () => outbound(stack, retell, carrier, { host: proxyOf(retell, stack) })],
      ];
      for (const [direction, call] of calls) {
        await t.test(`${direction}: each side sees the proxy in its own family`, async (t) => {
          const legs = await call();
          const six = legs.callee.message.requestUri.includes('[::1]');
          t.equal(legs.callee.message.topVia.host, six ? '[::1]' : '127.0.0.1');
          await exchange(t, legs);
          t.equal((await legs.callee.bye()).status, 200);
          await legs.caller.next('BYE');
        });
        await t.test(`${direction}: BYE of the caller`, async (t) => {
          const legs = await call();
          t.equal((await legs.caller.bye()).status, 200);
          await legs.callee.next('BYE');
        });
        await t.test(`${direction}: hangup`, async (t) => hangUp(t, stack, await call()));
      }
      await noDialogLeft(stack);
    });
  }
}
