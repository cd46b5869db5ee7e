import t from 'tap';
import { eventually } from '../harness/await.js';
import { hangUp, nextCall } from '../harness/legs.js';
import { noDialogLeft, recordOf, startPeer } from '../harness/scene.js';
import type { RegistrarOptions, Registration, SipPeer, TransportKind } from '../harness/sip-peer.js';
import { NUMBER, RETELL_HOST, type Stack, startStack } from '../harness/stack.js';
import { makeTrust, startTlsPeer } from '../harness/tls-scene.js';

const US = { username: 'account', password: 'secret' };
const REGISTRAR: RegistrarOptions = { ...US, realm: 'acme.example.com' };

/** A carrier that wants to be registered with. */
function carrier(
  name: string,
  peer: SipPeer,
  register: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    name,
    networks: [peer.host],
    gateways: [{ uri: peer.uri() }],
    probe: false,
    digest: { ...US },
    register: { registrar: peer.uri(), expires_s: 60, ...register },
  };
}

/** A registrar at its address. */
async function startRegistrar(host: string, registrar: RegistrarOptions, transport: TransportKind = 'udp') {
  return startPeer(t, { host, transport, behaviour: { registrar } });
}

/** The one registration that a peer has, once it has it. */
async function registered(peer: SipPeer): Promise<Registration> {
  return eventually('a registration', () => peer.registrations[0]);
}

const trust = await makeTrust(t);
const retell = await startPeer(t, { host: RETELL_HOST });
const udp = await startRegistrar('127.0.0.2', REGISTRAR);
const tcp = await startRegistrar('127.0.0.4', { ...REGISTRAR, qop: false }, 'tcp');
const tls = await startTlsPeer(t, trust, '127.0.0.5', { behaviour: { registrar: REGISTRAR } });
const brief = await startRegistrar('127.0.0.6', { ...REGISTRAR, expires: 12 });
const refusing = await startRegistrar('127.0.0.7', { ...REGISTRAR, refuse: 503 });
const misnamed = await startTlsPeer(t, trust, '127.0.0.8', {
  certificate: await trust.authority.issue({ name: 'other.example.com' }),
  behaviour: { registrar: REGISTRAR },
});
const stack: Stack = await startStack(t, {
  tls: trust.section,
  gateways: [{ uri: retell.uri() }],
  config: {
    carriers: [
      carrier('udp', udp),
      carrier('tcp', tcp, { user: 'trunk', expires_s: 600 }),
      carrier('tls', tls),
      carrier('brief', brief),
      carrier('refusing', refusing),
      carrier('misnamed', misnamed),
    ],
  },
});

/** What Kamailio says of its registration with a carrier: uac.reg_dump. */
async function dump(name: string): Promise<{ flags: number; timer_expires: number }> {
  const all = (await stack.rpc.call('uac.reg_dump')) as {
    l_uuid: string;
    flags: number;
    timer_expires: number;
  }[];
  const found = all.find(({ l_uuid }) => l_uuid === name);
  if (!found) throw new Error(`no registration ${name}`);
  return found;
}

t.test('a REGISTER answers the challenge and names us in its Contact, over each transport', async (t) => {
  const { host, port } = stack.sip;
  for (const { peer, aor, contact, expires } of [
    { peer: udp, aor: 'sip:account@127.0.0.2', contact: `sip:udp@${host}:${port}`, expires: 60 },
    { peer: tcp, aor: 'sip:trunk@127.0.0.4', contact: `sip:tcp@${host}:${port};transport=tcp`, expires: 600 },
    {
      peer: tls,
      aor: 'sip:account@127.0.0.5',
      contact: `sip:tls@${host}:${stack.sips.port};transport=tls`,
      expires: 60,
    },
  ]) {
    const { message, ...registration } = await registered(peer);
    t.match(registration, { aor, contact, expires });
    t.equal(message.get('expires'), String(expires));
    t.match(message.get('authorization'), 'username="account"');
    const [first] = peer.trace;
    t.equal(first?.message.get('authorization'), undefined);
    t.equal(message.callId, first?.message.callId);
    t.ok(message.cseq > (first?.message.cseq ?? 0));
  }
});

t.test('a registration is refreshed before it ends', async (t) => {
  const first = await registered(brief);
  const second = await eventually('a refresh', () =>
    brief.registrations.find(({ times }) => times > first.times),
  );
  t.equal(second.contact, first.contact);
  t.equal(second.message.callId, first.message.callId);
  t.ok(second.message.cseq > first.message.cseq);
});

t.test('a registration that was refused is tried again', async (t) => {
  await eventually('a refusal', () => refusing.count(503, { direction: 'out' }) > 0);
  const { timer_expires } = await eventually('the next try', async () => {
    const state = await dump('refusing');
    return state.timer_expires > Date.now() / 1000 + 5 && state;
  });
  t.ok(timer_expires <= Date.now() / 1000 + 30, 'within 30 s');
  refusing.registrar = REGISTRAR;
  // Now rather than then.
  await stack.rpc.call('uac.reg_refresh', ['refusing']);
  t.equal((await registered(refusing)).times, 1);
});

t.test('a registrar with a certificate for another name is not believed', async (t) => {
  await eventually('the answer', () => misnamed.count('REGISTER') > 0);
  await eventually('the refusal', async () => {
    const statistics = (await stack.rpc.call('stats.fetch', ['script:'])) as Record<string, string>;
    return Number(statistics['script.refused_certificate']) > 0;
  });
  t.same(misnamed.registrations, [], 'no credentials are sent to it');
});

t.test('a call to the registered Contact finds its number in To', async (t) => {
  const { contact } = await registered(udp);
  const arrived = nextCall(retell);
  const caller = udp.invite({
    requestUri: contact,
    to: `sip:${NUMBER.slice(1)}@127.0.0.2`,
    from: udp.uri('+14155550123'),
    via: stack.sip,
  });
  const callee = await arrived;
  t.match(callee.message.requestUri, `sip:${NUMBER}@`);
  await caller.response(180);
  callee.answer();
  await caller.answered();
  t.match(await recordOf(stack, caller.callId, 'answered'), { carrier: 'udp', number: NUMBER });
  await hangUp(t, stack, { caller, callee });
  await noDialogLeft(stack);
});

t.test('a call to the registered Contact for a number that is not ours gets 404', async (t) => {
  const { contact } = await registered(udp);
  const caller = udp.invite({ requestUri: contact, to: 'sip:14155550188@127.0.0.2', via: stack.sip });
  t.equal((await caller.finalResponse()).status, 404);
});
