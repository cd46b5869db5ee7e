import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { answeredCall, pair, start } from '../../harness/call-pair.js';
import { type Authority, makeAuthority, makeSelfSigned } from '../../harness/certificates.js';
import { SipPeer, type TlsOptions } from '../../harness/sip-peer.js';

const directory = t.testdir();
const authorities = Promise.all([makeAuthority(directory, 'Test CA'), makeAuthority(directory, 'Other CA')]);

/** A certificate for the loopback address, for both sides, and what verifies it. */
async function good(authority?: Authority): Promise<TlsOptions & { ca: string }> {
  const ca = authority ?? (await authorities)[0];
  const { pem } = await ca.issue({
    name: 'peer.example.com',
    altNames: ['IP:127.0.0.1', 'DNS:peer.example.com'],
  });
  return { ...pem, ca: ca.pem };
}

/** The answer to an OPTIONS between a client and a server that speak TLS in their own ways. */
async function ask(t: Test, client: TlsOptions, server: TlsOptions) {
  const callee = await start(t, { transport: 'tls', tls: server });
  const caller = await start(t, { transport: 'tls', tls: client });
  const { status } = await caller.request('OPTIONS', { to: callee.uri() });
  return { status, caller, callee };
}

t.test('tls: a call is set up, ends, and uses one connection each way', async (t) => {
  const tls = { ...(await good()), requestCert: true };
  const { out, caller, callee } = await answeredCall(t, 'tls', { tls });
  t.equal((await out.bye()).status, 200);
  await caller.request('OPTIONS', { to: callee.uri() });
  t.match(out.message.get('via'), /^SIP\/2\.0\/TLS /);
  t.match(out.message.get('contact'), /;transport=tls>$/);
  t.equal(callee.peerCertificates.length, 1, 'the connection was used again');
  t.match(callee.peerCertificates[0], {
    role: 'server',
    subject: 'CN=peer.example.com',
    altNames: 'IP Address:127.0.0.1, DNS:peer.example.com',
    authorized: true,
  });
  t.match(caller.peerCertificates, [{ role: 'client', subject: 'CN=peer.example.com', authorized: true }]);
  t.strictSame([...caller.tlsErrors, ...callee.tlsErrors], []);
});

t.test('tls: requests of the callee come back over a connection of their own', async (t) => {
  const { incoming, out } = await answeredCall(t, 'tls', { tls: await good() });
  t.equal((await incoming.bye()).status, 200);
  t.equal(await out.ended, 'remote');
});

const BAD: [what: string, code: string, make: (ca: Authority, other: Authority) => Promise<TlsOptions>][] = [
  ['an expired', 'CERT_HAS_EXPIRED', async (ca) => (await ca.issue({ ...LOCAL, expired: true })).pem],
  [
    'a not yet valid',
    'CERT_NOT_YET_VALID',
    async (ca) => (await ca.issue({ ...LOCAL, notYetValid: true })).pem,
  ],
  ['a self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT', async () => (await makeSelfSigned(directory, LOCAL)).pem],
  [
    "another authority's",
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    async (_, other) => (await other.issue(LOCAL)).pem,
  ],
];
const LOCAL = { name: 'peer.example.com', altNames: ['IP:127.0.0.1'] };

for (const [what, code, make] of BAD) {
  t.test(`tls: ${what} certificate of the server ends the connection and the request with 503`, async (t) => {
    const { status, caller, callee } = await ask(t, await good(), await make(...(await authorities)));
    t.equal(status, 503);
    t.match(caller.tlsErrors, [{ role: 'client', code }]);
    t.match(caller.peerCertificates, [{ subject: 'CN=peer.example.com', authorized: false }]);
    t.equal(callee.count('OPTIONS'), 0, 'nothing was said over it');
  });

  t.test(`tls: ${what} certificate of the client ends the connection and the request with 503`, async (t) => {
    const bad = await make(...(await authorities));
    const { ca } = await good();
    const { status, caller, callee } = await ask(t, { ...bad, ca }, { ...(await good()), requestCert: true });
    t.equal(status, 503);
    t.match(await callee.nextTlsError(), { role: 'server', code });
    t.match(callee.peerCertificates, [{ role: 'server', authorized: false }]);
    t.match(await caller.nextTlsError(), { role: 'client' }, 'the client sees that the far end hung up');
    t.equal(callee.count('OPTIONS'), 0);
  });
}

t.test('tls: a certificate for another name is refused, unless that name is asked for', async (t) => {
  const [ca] = await authorities;
  const server = (await ca.issue({ name: 'sip.example.com' })).pem;
  const client = await good();
  const refused = await ask(t, client, server);
  t.equal(refused.status, 503);
  t.match(refused.caller.tlsErrors, [{ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }]);
  t.equal((await ask(t, { ...client, servername: 'sip.example.com' }, server)).status, 200);
});

t.test('tls: a client that shows no certificate is refused where one is asked for', async (t) => {
  const server = await good();
  const { status, callee } = await ask(t, { ...server, asClient: false }, { ...server, requestCert: true });
  t.equal(status, 503);
  t.match(callee.tlsErrors, [{ role: 'server' }]);
  t.strictSame(callee.peerCertificates, []);
  t.equal((await ask(t, { ...server, asClient: false }, server)).status, 200, 'and is welcome elsewhere');
});

t.test('tls: without ca any certificate will do', async (t) => {
  const selfSigned = (await makeSelfSigned(directory, { name: 'anything' })).pem;
  t.equal((await ask(t, selfSigned, selfSigned)).status, 200);
});

t.test('tls: a server of TLS 1.2 and up refuses TLS 1.1', async (t) => {
  const tls = await good();
  const { status, caller, callee } = await ask(t, { ...tls, maxVersion: 'TLSv1.1' }, tls);
  t.equal(status, 503);
  t.match(caller.tlsErrors, [{ role: 'client', code: /ALERT_PROTOCOL_VERSION/ }]);
  t.match(await callee.nextTlsError(), { role: 'server', code: /UNSUPPORTED_PROTOCOL/ });
});

t.test("tls: a client's alert about this peer's certificate is seen", async (t) => {
  const callee = await start(t, { transport: 'tls', tls: await good() });
  const other = (await authorities)[1].certificate;
  const address = `${callee.host}:${callee.port}`;
  const client = spawn('openssl', [
    's_client',
    '-connect',
    address,
    '-CAfile',
    other,
    '-verify_return_error',
  ]);
  t.teardown(() => client.kill());
  t.match(await callee.nextTlsError(), { role: 'server', code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' });
});

t.test("tls: a server's alert about this peer's certificate, after the handshake, gives a 503", async (t) => {
  const [ca, other] = await authorities;
  const { certificate, key } = await ca.issue(LOCAL);
  const args = ['-accept', '127.0.0.1:0', '-cert', certificate, '-key', key, '-CAfile', other.certificate];
  const server = spawn('openssl', ['s_server', ...args, '-Verify', '1', '-verify_return_error', '-tls1_3']);
  t.teardown(() => server.kill());
  let port = '';
  for await (const line of createInterface(server.stdout)) {
    port = /^ACCEPT .*:(\d+)$/.exec(line)?.[1] ?? '';
    if (port !== '') break;
  }
  const caller = await start(t, { transport: 'tls', tls: await good() });
  const to = `sip:127.0.0.1:${port};transport=tls`;
  t.match(await caller.request('OPTIONS', { to }), { status: 503, reason: /alert unknown ca/ });
  t.match(caller.tlsErrors, [{ role: 'client', code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' }]);
});

t.test('tls: a wait for a failure that does not come says so', async (t) => {
  const { caller } = await pair(t, 'tls', { tls: await good() });
  await t.rejects(caller.nextTlsError(1), { message: /no TLS failure within 1 ms; nothing was received/ });
});

t.test('tls needs a certificate', async (t) => {
  await t.rejects(SipPeer.start({ transport: 'tls' }), { message: /needs the option tls/ });
});
