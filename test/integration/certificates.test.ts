import t from 'tap';
import { RoutingTables } from '../../control-plane/src/kamailio/routing-tables.js';
import { eventually } from '../harness/await.js';
import { type Certificate, makeAuthority, makeSelfSigned } from '../harness/certificates.js';
import { answering, hangUp, inbound, outbound, place } from '../harness/legs.js';
import { noDialogLeft, recordOf, startPeer } from '../harness/scene.js';
import type { TlsOptions } from '../harness/sip-peer.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, startStack } from '../harness/stack.js';
import { makeTrust, PROXY_NAME, signCertificate, startTlsPeer } from '../harness/tls-scene.js';

/** The name that the peers of these tests have to bear. */
const NAME = 'gw.example.com';

// These tests wait for gateways that are silent: they do so side by side, each with a stack of its own.
t.jobs = 20;

const trust = await makeTrust(t);
const other = await makeAuthority(trust.directory, 'other');
const good = await trust.authority.issue({ name: NAME });
const dns = (...names: string[]) => names.map((name) => `DNS:${name}`);
/** Accepted, whatever else they say. */
const RIGHT: Record<string, Certificate> = {
  good,
  wildcard: await trust.authority.issue({ name: 'any', altNames: ['DNS:*.example.com'] }),
  'first of three': await trust.authority.issue({
    name: 'any',
    altNames: dns(NAME, 'b.example.org', 'c.example.org'),
  }),
  'second of three': await trust.authority.issue({
    name: 'any',
    altNames: dns('a.example.org', NAME, 'c.example.org'),
  }),
  'third of three': await trust.authority.issue({
    name: 'any',
    altNames: dns('a.example.org', 'b.example.org', NAME),
  }),
  'name after addresses and URIs': await trust.authority.issue({
    name: 'any',
    altNames: ['IP:192.0.2.1', 'IP:2001:db8::1', 'URI:sip:example.org', ...dns('a.example.org', NAME)],
  }),
  'name in capitals': await trust.authority.issue({ name: 'any', altNames: dns(NAME.toUpperCase()) }),
  'no subject': await signCertificate(trust, '/', [`subjectAltName=critical,DNS:${NAME}`]),
};
/** A list of one name, as an extension holds it, where it does not belong. */
const PLANTED = `06:03:55:1d:11:04:12:30:10:82:0e:${Buffer.from(NAME).toString('hex')}`;
/** Refused while TLS connects. */
const UNTRUSTED: Record<string, Certificate> = {
  expired: await trust.authority.issue({ name: NAME, expired: true }),
  'not yet valid': await trust.authority.issue({ name: NAME, notYetValid: true }),
  'self-signed': await makeSelfSigned(trust.directory, { name: NAME }),
  'of another authority': await other.issue({ name: NAME }),
};
/** Of the right authority, for somebody else. */
const MISNAMED: Record<string, Certificate> = {
  'wrong name': await trust.authority.issue({ name: 'other.example.com' }),
  'wrong names': await trust.authority.issue({
    name: 'a.example.com',
    altNames: dns('a.example.com', 'gw.example.com.example.org', 'agw.example.com'),
  }),
  'wildcard of another level': await trust.authority.issue({
    name: '*.gw.example.com',
    altNames: ['DNS:*.gw.example.com', 'DNS:*.com'],
  }),
  'wrong name without subject': await signCertificate(trust, '/', [
    'subjectAltName=critical,DNS:other.example.com',
  ]),
  'name elsewhere in the certificate': await signCertificate(trust, '/CN=other.example.com', [
    `1.2.3.4=DER:${PLANTED}`,
    'subjectAltName=DNS:other.example.com,DNS:another.example.com',
  ]),
};

/**
 * Of an attempt that a certificate ended: a handshake takes a while, and whether it has failed before Kamailio
 * has the INVITE to send (477) or after that, so that no answer comes (408), is a matter of chance.
 */
const NO_ANSWER_OR_NOTHING_SENT = /^(408|477)$/;

/** A carrier with an address and a destination of its own, whose gateway shows the certificate. */
async function startCarriers(
  certificates: Record<string, Certificate>,
  first: number,
  tls: Partial<TlsOptions> = {},
) {
  const carriers = [];
  for (const [i, [what, certificate]] of Object.entries(certificates).entries()) {
    const host = `127.0.0.${first + i}`;
    const peer = await startTlsPeer(t, trust, host, { certificate, tls });
    const to = `+141555501${first + i}`;
    const gateways = [{ uri: peer.uri(), priority: 1 }];
    const keys = {
      name: `carrier-${first + i}`,
      networks: [host],
      prefixes: [to],
      tls_name: NAME,
      probe: false,
    };
    carriers.push({ what, peer, to, keys: { ...keys, gateways } });
  }
  return carriers;
}

t.test('certificates of gateways', { buffered: true }, async (t) => {
  const right = await startCarriers(RIGHT, 10, { requestCert: true });
  const untrusted = await startCarriers(UNTRUSTED, 20);
  const misnamed = await startCarriers(MISNAMED, 30);
  const [old] = await startCarriers({ 'TLS 1.1': good }, 40, { maxVersion: 'TLSv1.1' });
  const [failing] = await startCarriers({ 'failing over': MISNAMED['wrong name'] as Certificate }, 50);
  if (!old || !failing) throw new Error('no carrier');
  const second = await startTlsPeer(t, trust, failing.peer.host, { certificate: good });
  answering(second);
  failing.keys.gateways.push({ uri: second.uri(), priority: 2 });

  const retell = await startPeer(t, { host: RETELL_HOST });
  const stack = await startStack(t, {
    tls: trust.section,
    gateways: [{ uri: retell.uri() }],
    config: { carriers: [...right, ...untrusted, ...misnamed, old, failing].map(({ keys }) => keys) },
  });

  for (const { what, peer, to } of right) {
    await t.test(`${what}: the gateway takes the call and sees our certificate`, async (t) => {
      const legs = await outbound(stack, retell, peer, { to });
      t.match(peer.peerCertificates, [{ role: 'server', subject: `CN=${PROXY_NAME}`, authorized: true }]);
      t.equal((await legs.caller.bye()).status, 200);
    });
  }

  // Each takes as long as a gateway may be silent, unless the handshake has failed before there is anything to send.
  const refused = ({ what, peer, to, keys }: (typeof right)[number]) =>
    t.test(`${what}: the caller gets 503 and the record names the gateway`, async (t) => {
      answering(peer);
      const caller = place(stack, retell, { to, from: NUMBER });
      t.equal((await caller.finalResponse()).status, 503);
      const record = await recordOf(stack, caller.callId, 'ended');
      t.match(
        record.timeline.filter(({ type }: { type: string }) => type === 'attempt_failed'),
        [{ carrier: keys.name, gateway: peer.uri(), status: NO_ANSWER_OR_NOTHING_SENT }],
      );
    });
  // One after the other: where handshakes cross, Kamailio 5.6 may end (docs/guides/tls.md).
  for (const one of misnamed) await refused(one);
  await t.test('the next gateway takes the call', async (t) => {
    answering(failing.peer);
    const caller = place(stack, retell, { to: failing.to, from: NUMBER });
    await caller.answered();
    const record = await recordOf(stack, caller.callId, 'answered');
    t.match(record, { carrier: failing.keys.name, gateway: second.uri() });
    t.match(
      record.timeline.filter(({ type }: { type: string }) => type === 'attempt_failed'),
      [{ gateway: failing.peer.uri(), status: NO_ANSWER_OR_NOTHING_SENT }],
    );
    // The one that was given up sends its 200 again, which is none of this call.
    const sent = () => failing.peer.count(200, { direction: 'out', withRetransmissions: true });
    const before = sent();
    await eventually('a late 200 is sent', () => sent() > before);
    t.equal((await caller.bye()).status, 200);
    t.equal(second.count('BYE'), 1);
    t.equal(failing.peer.count('BYE'), 0);
  });
  // In Kamailio 5 a handshake that fails may break another connection: these come last.
  for (const one of [...untrusted, old]) await refused(one);
  for (const { peer } of [...untrusted, old]) t.equal(peer.count('INVITE'), 0);
  await noDialogLeft(stack);
});

t.test('OPTIONS take a gateway with a wrong name out', { buffered: true }, async (t) => {
  const certificate = await trust.authority.issue({ name: 'other.example.com' });
  const wrong = await startTlsPeer(t, trust, RETELL_HOST, { certificate });
  const right = await startTlsPeer(t, trust, RETELL_HOST);
  const stack = await startStack(t, {
    tls: trust.section,
    gateways: [{ uri: wrong.uri() }, { uri: right.uri() }],
    controlPlane: 'none',
  });
  const tables = new RoutingTables(stack.rpc);
  const verdict = async () => {
    const states = new Map((await tables.gateways()).map(({ uri, state }) => [uri, state]));
    return states.get(right.uri()) === 'active' && states.get(wrong.uri()) === 'trying';
  };
  // The first OPTIONS come after 10 s, and 3 s are waited for their answers.
  await eventually('one gateway active, the other one not', verdict);
});

t.test('a fallback over TLS takes the call', { buffered: true }, async (t) => {
  const [carrier, fallback] = [
    await startPeer(t, { host: CARRIER_HOST }),
    await startTlsPeer(t, trust, '127.0.0.60'),
  ];
  const retell = await startPeer(t, { host: RETELL_HOST });
  retell.onInvite = (call) => call.refuse(503);
  const stack = await startStack(t, {
    tls: trust.section,
    gateways: [{ uri: retell.uri() }],
    config: { numbers: [{ number: NUMBER, fallback: fallback.uri('+14155550199') }] },
  });
  const legs = await inbound(stack, carrier, fallback);
  t.match(legs.callee.message.requestUri, 'sip:+14155550199@');
  await hangUp(t, stack, legs);
});

t.test('certificates of callers', { buffered: true }, async (t) => {
  const retell = await startPeer(t, { host: RETELL_HOST });
  const right = await startCarriers(RIGHT, 70);
  const untrusted = await startCarriers(UNTRUSTED, 80);
  const misnamed = await startCarriers(MISNAMED, 90);
  const [none] = await startCarriers({ none: good }, 100, { asClient: false });
  const [old] = await startCarriers({ 'TLS 1.1': good }, 101, { maxVersion: 'TLSv1.1' });
  if (!none || !old) throw new Error('no carrier');
  const all = [...right, ...untrusted, ...misnamed, none, old];
  const stack = await startStack(t, {
    tls: { ...trust.section, require_client_certificate: true },
    gateways: [{ uri: retell.uri() }],
    config: { carriers: all.map(({ keys }) => keys) },
  });
  answering(retell);

  for (const { what, peer } of right) {
    await t.test(`${what}: the call passes`, async (t) => {
      const caller = place(stack, peer, { to: NUMBER });
      await caller.answered();
      t.match(peer.peerCertificates, [{ role: 'client', subject: `CN=${PROXY_NAME}`, authorized: true }]);
      t.equal((await caller.bye()).status, 200);
    });
  }
  for (const { what, peer } of misnamed) {
    await t.test(`${what}: the caller gets 403`, async (t) => {
      t.equal((await place(stack, peer, { to: NUMBER }).finalResponse()).status, 403);
    });
  }
  for (const { what, peer } of [...untrusted, none, old]) {
    await t.test(`${what}: no connection`, async (t) => {
      const caller = place(stack, peer, { to: NUMBER });
      t.match(await peer.nextTlsError(), { role: 'client', code: /ALERT/ });
      t.equal((await caller.finalResponse()).status, 503);
    });
  }
});
