import t, { type Test } from 'tap';
import { freePort } from '../../../control-plane/src/cli/ports.js';
import { answering, exchange, hangUp, inbound, nextCall, outbound, place } from '../../harness/legs.js';
import { noDialogLeft, recordOf, startPeer } from '../../harness/scene.js';
import type { SipPeer } from '../../harness/sip-peer.js';
import {
  CARRIER_HOST,
  NUMBER,
  RETELL_HOST,
  type Stack,
  type StackOptions,
  startStack,
} from '../../harness/stack.js';
import { makeTrust, startTlsPeer } from '../../harness/tls-scene.js';

/** How long the records stay in Kamailio's cache, in s: longer than any test. */
const TTL_S = 3600;
/** No transport and no port in the URI means port 5060, at an address that no other process has. */
const DEFAULT_PORT_HOST = `127.${100 + (process.pid % 100)}.${(process.pid >> 8) % 256}.2`;

/** What DNS would say: SRV targets in the order of their priority, each with an address. */
async function addService({ rpc }: Stack, service: string, targets: { host: string; port: number }[]) {
  for (const [i, { host, port }] of targets.entries()) {
    const target = `target${i}.${service.split('.').slice(2).join('.')}`;
    await rpc.call('dns.add_srv', [service, TTL_S, i + 1, 1, port, target, 0]);
    await addAddress({ rpc }, target, host);
  }
}

async function addAddress({ rpc }: Pick<Stack, 'rpc'>, name: string, address: string): Promise<void> {
  await rpc.call('dns.add_a', [name, TTL_S, address, 0]);
}

/** A stack with one carrier that has these gateways. */
async function startWith(t: Test, retell: SipPeer, uris: string[], options: Partial<StackOptions> = {}) {
  const gateways = uris.map((uri, i) => ({ uri, priority: i + 1 }));
  return startStack(t, {
    gateways: [{ uri: retell.uri() }],
    config: {
      carriers: [
        {
          name: 'acme',
          networks: [CARRIER_HOST, DEFAULT_PORT_HOST],
          gateways,
          prefixes: ['+1'],
          probe: false,
        },
      ],
    },
    ...options,
  });
}

t.test('a gateway of Retell that is a name: its SRV record says where it is', async (t) => {
  const [carrier, retell] = [
    await startPeer(t, { host: CARRIER_HOST }),
    await startPeer(t, { host: RETELL_HOST }),
  ];
  const stack = await startStack(t, { gateways: [{ uri: 'sip:sip.example.com' }] });
  await addService(stack, '_sip._udp.sip.example.com', [retell]);
  const legs = await inbound(stack, carrier, retell);
  t.equal(legs.callee.message.requestUri, `sip:${NUMBER}@sip.example.com`);
  await exchange(t, legs);
  await hangUp(t, stack, legs);
  await noDialogLeft(stack);
});

t.test('the first SRV target is silent: the second one takes the call', async (t) => {
  const [second, retell] = [
    await startPeer(t, { host: CARRIER_HOST }),
    await startPeer(t, { host: RETELL_HOST }),
  ];
  const stack = await startWith(t, retell, ['sip:sip.example.com']);
  const port = await freePort(CARRIER_HOST);
  await addService(stack, '_sip._udp.sip.example.com', [{ host: CARRIER_HOST, port }, second]);
  const legs = await outbound(stack, retell, second);
  await exchange(t, legs);
  await hangUp(t, stack, legs);
});

t.test('the first SRV target refuses TCP: the second one takes the call, and its CANCEL', async (t) => {
  const second = await startPeer(t, { host: CARRIER_HOST, transport: 'tcp' });
  const retell = await startPeer(t, { host: RETELL_HOST });
  const stack = await startWith(t, retell, ['sip:sip.example.com;transport=tcp']);
  const port = await freePort(CARRIER_HOST);
  await addService(stack, '_sip._tcp.sip.example.com', [{ host: CARRIER_HOST, port }, second]);
  await hangUp(t, stack, await outbound(stack, retell, second));
  const arrived = nextCall(second);
  const caller = place(stack, retell, { to: '+14155550177', from: NUMBER });
  await caller.response(180);
  t.equal((await caller.cancel()).status, 200);
  await (await arrived).canceled;
  t.equal((await caller.finalResponse()).status, 487);
});

t.test('every SRV target is dead: the next gateway takes the call', async (t) => {
  const second = await startPeer(t, { host: CARRIER_HOST });
  const retell = await startPeer(t, { host: RETELL_HOST });
  const stack = await startWith(t, retell, ['sip:sip.example.com;transport=tcp', second.uri()]);
  const dead = [await freePort(CARRIER_HOST), await freePort(CARRIER_HOST)];
  await addService(
    stack,
    '_sip._tcp.sip.example.com',
    dead.map((port) => ({ host: CARRIER_HOST, port })),
  );
  const legs = await outbound(stack, retell, second);
  const record = await recordOf(stack, legs.caller.callId, 'answered');
  t.match(
    record.timeline.filter(({ type }: { type: string }) => type === 'attempt_failed'),
    [{ gateway: 'sip:sip.example.com;transport=tcp', status: 477 }],
  );
  await hangUp(t, stack, legs);
});

t.test('SRV over TLS: the name in the URI is what the certificate bears', async (t) => {
  const trust = await makeTrust(t);
  const certificate = await trust.authority.issue({ name: 'sip.example.com' });
  const carrier = await startTlsPeer(t, trust, CARRIER_HOST, { certificate });
  const retell = await startPeer(t, { host: RETELL_HOST });
  const stack = await startWith(t, retell, ['sip:sip.example.com;transport=tls'], { tls: trust.section });
  await addService(stack, '_sips._tcp.sip.example.com', [carrier]);
  // Requests to its Contact, an address, go over the same connection.
  await hangUp(t, stack, await outbound(stack, retell, carrier));
});

t.test('a name without SRV records is called on port 5060, one with a port where it says', async (t) => {
  const byDefault = await startPeer(t, { host: DEFAULT_PORT_HOST, port: 5060 });
  const byPort = await startPeer(t, { host: CARRIER_HOST });
  const retell = await startPeer(t, { host: RETELL_HOST });
  const stack = await startStack(t, {
    gateways: [{ uri: retell.uri() }],
    config: {
      carriers: [
        {
          name: 'without',
          networks: [DEFAULT_PORT_HOST],
          gateways: [{ uri: 'sip:without.invalid' }],
          prefixes: ['+1415'],
          probe: false,
        },
        {
          name: 'port',
          networks: [CARRIER_HOST],
          gateways: [{ uri: `sip:port.invalid:${byPort.port}` }],
          prefixes: ['+1416'],
          probe: false,
        },
      ],
    },
  });
  await addAddress(stack, 'without.invalid', DEFAULT_PORT_HOST);
  await addAddress(stack, 'port.invalid', CARRIER_HOST);
  // With a port in the URI nobody asks for these.
  await addService(stack, '_sip._udp.port.invalid', [byDefault]);
  await hangUp(t, stack, await outbound(stack, retell, byDefault, { to: '+14155550177' }));
  await hangUp(t, stack, await outbound(stack, retell, byPort, { to: '+14165550177' }));
});

t.test('a name that DNS does not know: the next gateway takes the call', async (t) => {
  const [second, retell] = [
    await startPeer(t, { host: CARRIER_HOST }),
    await startPeer(t, { host: RETELL_HOST }),
  ];
  const stack = await startWith(t, retell, ['sip:unknown.invalid', second.uri()]);
  answering(second);
  const caller = place(stack, retell, { to: '+14155550177', from: NUMBER });
  await caller.answered({ timeoutMs: 20_000 });
  const record = await recordOf(stack, caller.callId, 'answered');
  t.match(record, { gateway: second.uri() });
  t.match(
    record.timeline.filter(({ type }: { type: string }) => type === 'attempt_failed'),
    [{ gateway: 'sip:unknown.invalid', status: 477 }],
  );
  t.equal((await caller.bye()).status, 200);
});
