import t, { type Test } from 'tap';
import { pair, until } from '../../harness/call-pair.js';
import type { Header } from '../../harness/sip-peer.js';

const CREDENTIALS = { username: 'acme', password: 'secret' };

async function registrar(t: Test) {
  const { caller: client, callee: server } = await pair(t, 'udp');
  server.registrar = CREDENTIALS;
  const to = `sip:acme@${server.host}:${server.port}`;
  const register = (headers: Header[] = [], digest = CREDENTIALS) =>
    client.request('REGISTER', { to, from: to, requestUri: server.uri(), headers, digest });
  return { client, server, to, register };
}

t.test('a registration is challenged, taken and shown', async (t) => {
  const { client, server, to, register } = await registrar(t);
  const answer = await register([['Expires', '600']]);
  t.equal(answer.status, 200);
  t.equal(answer.get('contact'), `<${client.uri('acme')}>;expires=600`);
  t.equal(server.count(401, { direction: 'out' }), 1);
  t.match(server.registrations, [{ aor: to, contact: client.uri('acme'), expires: 600, times: 1 }]);
  await register([['Expires', '600']]);
  t.match(server.registrations, [{ times: 2 }]);
  t.equal(server.registrations[0]?.message.get('expires'), '600');
});

t.test('an expiry of 0 takes a registration back, * takes all', async (t) => {
  const { client, server, register } = await registrar(t);
  const [one, two] = [client.uri('one'), client.uri('two')];
  await register([['Contact', `<${one}>;expires=60, <${two}>`]]);
  t.match(server.registrations, [
    { contact: one, expires: 60 },
    { contact: two, expires: 3600 },
  ]);
  await register([['Contact', `<${one}>;expires=0`]]);
  t.match(server.registrations, [{ contact: two }]);
  await register([
    ['Contact', '*'],
    ['Expires', '0'],
  ]);
  t.strictSame(server.registrations, []);
});

t.test('wrong credentials register nothing', async (t) => {
  const { server, register } = await registrar(t);
  t.equal((await register([], { username: 'acme', password: 'guess' })).status, 403);
  t.strictSame(server.registrations, []);
});

t.test('the registrar may grant less, and what it granted ends', async (t) => {
  const { server, register } = await registrar(t);
  server.registrar = { ...CREDENTIALS, expires: 1 };
  t.match((await register()).get('contact'), /;expires=1$/);
  t.equal(server.registrations.length, 1);
  await until(() => server.registrations.length === 0);
});

t.test('the registrar refuses, or says nothing, when told to', async (t) => {
  const { client, server, register } = await registrar(t);
  server.registrar = { ...CREDENTIALS, refuse: 503 };
  t.equal((await register()).status, 503);
  server.registrar = { ...CREDENTIALS, refuse: 'silent' };
  const waiting = register();
  await until(() => server.count('REGISTER') === 2);
  server.registrar = undefined;
  t.equal((await register()).status, 405, 'a peer that is no registrar');
  await client.stop();
  void waiting;
});
