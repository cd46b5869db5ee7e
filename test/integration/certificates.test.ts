import t from 'tap';
import { type Certificate, makeAuthority, makeSelfSigned } from '../harness/certificates.js';
import { answering, outbound, place } from '../harness/legs.js';
import { noDialogLeft, recordOf, startPeer } from '../harness/scene.js';
import type { TlsOptions } from '../harness/sip-peer.js';
import { NUMBER, RETELL_HOST, startStack } from '../harness/stack.js';
import { makeTrust, PROXY_NAME, startTlsPeer } from '../harness/tls-scene.js';

/** The name that the peers of these tests have to bear. */
const NAME = 'gw.example.com';

// Refusals take as long as a gateway may be silent: they wait side by side.
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
};
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
};

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

t.test('certificates of gateways', async (t) => {
  t.jobs = 20;
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

  // Each takes as long as a gateway may be silent.
  const refusals = [...untrusted, ...misnamed, old].map(({ what, peer, to, keys }) =>
    t.test(`${what}: the caller gets 503 and the record names the gateway`, { buffered: true }, async (t) => {
      answering(peer);
      const caller = place(stack, retell, { to, from: NUMBER });
      t.equal((await caller.finalResponse()).status, 503);
      const record = await recordOf(stack, caller.callId, 'ended');
      t.match(
        record.timeline.filter(({ type }: { type: string }) => type === 'attempt_failed'),
        [{ carrier: keys.name, gateway: peer.uri(), status: 408 }],
      );
    }),
  );
  const failover = t.test('the next gateway takes the call', { buffered: true }, async (t) => {
    answering(failing.peer);
    const caller = place(stack, retell, { to: failing.to, from: NUMBER });
    await caller.answered();
    const record = await recordOf(stack, caller.callId, 'answered');
    t.match(record, { carrier: failing.keys.name, gateway: second.uri() });
    t.match(
      record.timeline.filter(({ type }: { type: string }) => type === 'attempt_failed'),
      [{ gateway: failing.peer.uri(), status: 408 }],
    );
    t.equal((await caller.bye()).status, 200);
  });
  await Promise.all([...refusals, failover]);
  for (const { peer } of [...untrusted, old]) t.equal(peer.count('INVITE'), 0);
  await noDialogLeft(stack);
});
