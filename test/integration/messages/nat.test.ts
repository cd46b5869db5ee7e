import t, { type Test } from 'tap';
import { exchange, hangUp, inbound, type Legs, nextCall, outbound, place } from '../../harness/legs.js';
import { noDialogLeft, startPeer } from '../../harness/scene.js';
import type { PeerOptions, SipMessage, TransportKind } from '../../harness/sip-peer.js';
import { parseNameAddr, parseUri } from '../../harness/sip-values.js';
import {
  CARRIER_HOST,
  type ConfigSections,
  NUMBER,
  RETELL_HOST,
  type Stack,
  startStack,
} from '../../harness/stack.js';

/** What a peer behind NAT thinks that its address is. */
const PRIVATE = { host: '10.0.0.5', port: 5062 };
/** What the proxy tells others of its address. (Kamailio 5 takes no name that DNS does not know.) */
const PUBLIC_ADDRESS = '198.51.100.7';

/** The URI in the Contact of a message. */
function contactOf(message: SipMessage) {
  return parseUri(parseNameAddr(message.list('contact')[0] ?? '').uri);
}

/** What one side tells the other of itself: in the INVITE, or in its answer. */
async function contactsOf({ caller, callee }: Legs) {
  return { caller: contactOf(callee.message), callee: contactOf(await caller.response(200)) };
}

/** A carrier over one transport, Retell over UDP, and a stack between them. */
async function startPair(
  transport: TransportKind,
  options: { carrier?: PeerOptions; retell?: PeerOptions; sip?: ConfigSections['sip'] } = {},
) {
  const carrier = await startPeer(t, { host: CARRIER_HOST, transport, ...options.carrier });
  const retell = await startPeer(t, { host: RETELL_HOST, ...options.retell });
  const stack = await startStack(t, {
    gateways: [{ uri: retell.uri() }],
    config: {
      ...(options.sip && { sip: options.sip }),
      carriers: [
        {
          name: 'acme',
          networks: [CARRIER_HOST],
          gateways: [{ uri: `sip:${CARRIER_HOST}:${carrier.port};transport=${transport}` }],
          prefixes: ['+1'],
          probe: false,
        },
      ],
    },
  });
  return { carrier, retell, stack };
}

type Pair = Awaited<ReturnType<typeof startPair>>;
/** Looks into an answered call, in which the carrier is caller or callee. */
type Check = (t: Test, legs: Legs, carrier: 'caller' | 'callee') => Promise<void>;

/** Calls of both directions, each ended in another way. */
async function everyEnd(t: Test, { stack, carrier, retell }: Pair, check: Check): Promise<void> {
  for (const [direction, call] of [
    ['inbound', () => inbound(stack, carrier, retell)],
    ['outbound', () => outbound(stack, retell, carrier)],
  ] as [string, () => Promise<Legs>][]) {
    await t.test(`${direction}: the ACK, INFO, re-INVITE and BYE of both sides arrive`, async (t) => {
      const legs = await call();
      await check(t, legs, direction === 'inbound' ? 'caller' : 'callee');
      await exchange(t, legs);
      await exchange(t, legs);
      t.equal((await legs.callee.bye()).status, 200);
      await legs.caller.next('BYE');
      const again = await call();
      t.equal((await again.caller.bye()).status, 200);
      await again.callee.next('BYE');
    });
    await t.test(`${direction}: a hangup reaches both sides`, async (t) => {
      await hangUp(t, stack, await call());
      const changed = await call();
      await exchange(t, changed);
      await hangUp(t, stack, changed);
    });
  }
  await noDialogLeft(stack);
}

for (const transport of ['udp', 'tcp'] as const) {
  t.test(`a carrier behind NAT that announces a private Contact, over ${transport}`, async (t) => {
    const pair = await startPair(transport, { carrier: { contact: PRIVATE } });
    await everyEnd(t, pair, async (t, legs, carrier) => {
      const contacts = await contactsOf(legs);
      t.match(contacts[carrier], { host: CARRIER_HOST }, 'where its own requests come from');
    });
  });
}

t.test('a carrier that sends through a proxy of its own is left alone', async (t) => {
  const { stack, carrier, retell } = await startPair('udp', { carrier: { contact: PRIVATE } });
  const route = `<sip:${CARRIER_HOST}:${carrier.port};lr>`;
  const arrived = nextCall(retell);
  const caller = place(stack, carrier, { to: NUMBER, headers: [['Record-Route', route]] });
  const callee = await arrived;
  await caller.response(180);
  callee.answer();
  await caller.answered({ ack: false });
  t.match(contactOf(callee.message), PRIVATE);
  // The way to it leads over its proxy.
  t.equal((await callee.bye()).status, 200);
  t.match((await caller.next('BYE')).message.requestUri, PRIVATE.host);
});

for (const transport of ['udp', 'tcp'] as const) {
  t.test(
    `advertise: both sides reach the proxy at its public address, carrier over ${transport}`,
    async (t) => {
      let proxy: Stack['sip'] | undefined;
      // What routers do.
      const resolve = (host: string, port: number) =>
        host === PUBLIC_ADDRESS && proxy ? proxy : { host, port };
      const pair = await startPair(transport, {
        carrier: { resolve },
        retell: { resolve },
        sip: { advertise: PUBLIC_ADDRESS },
      });
      proxy = pair.stack.sip;
      await everyEnd(t, pair, async (t, legs) => {
        const { message } = legs.callee;
        t.match(message.topVia, { host: PUBLIC_ADDRESS, port: proxy?.port });
        const routes = message.list('record-route').map((route) => parseUri(parseNameAddr(route).uri));
        t.ok(routes.length > 0);
        for (const route of routes) t.match(route, { host: PUBLIC_ADDRESS, port: proxy?.port });
        const { caller, callee } = await contactsOf(legs);
        const hosts = [caller.host, callee.host].sort();
        t.same(hosts, [CARRIER_HOST, RETELL_HOST], 'Contacts are as they were');
      });
    },
  );
}
