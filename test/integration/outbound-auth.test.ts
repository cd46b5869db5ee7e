import t from 'tap';
import { answering, oneCarrier, twoCarriers } from '../harness/outbound.js';
import { dialOut, noDialogLeft, recordOf, type Scene } from '../harness/scene.js';
import { authorization, type Credentials, type DigestOptions, type SipMessage } from '../harness/sip-peer.js';
import type { Stack, TestLike } from '../harness/stack.js';

/** What Retell knows: a password may hold what means something in Kamailio's files. */
const RETELL: Credentials = { username: 'retell', password: 'co$rr:ct\\n#"horse;=' };
/** What we know at the carrier. */
const US: Credentials = { username: 'us', password: 'a:$var(b)\\"c' };
const CHALLENGE: DigestOptions = { ...US, realm: 'first.example.com', status: 407 };

/** A scene where Retell has to prove that it knows the password, and where the carrier answers. */
async function guarded(t: TestLike): Promise<Scene> {
  const scene = await oneCarrier(t, { config: { retell: { digest: RETELL } } });
  answering(scene.carrier);
  return scene;
}

async function refusedForAuth({ rpc }: Stack): Promise<number> {
  const statistics = (await rpc.call('stats.fetch', ['script:'])) as Record<string, string>;
  return Number(statistics['script.refused_auth']);
}

/** The credentials that answer a challenge of the proxy. */
function answerTo(challenge: SipMessage, uri: string, credentials = RETELL): [string, string] {
  const [name, value] = authorization(challenge, { method: 'INVITE', uri }, credentials);
  return [name, value];
}

t.test('an INVITE of Retell without credentials is challenged, and no carrier sees it', async (t) => {
  const scene = await guarded(t);
  const response = await dialOut(scene).finalResponse();
  t.equal(response.status, 407);
  t.match(response.get('proxy-authenticate'), /^Digest realm="retell-sip-proxy", nonce=".+", qop="auth"/);
  t.equal(scene.carrier.count('INVITE'), 0);
  t.equal(await refusedForAuth(scene.stack), 0);
});

t.test('with the right credentials the call passes, and they do not reach the carrier', async (t) => {
  const scene = await guarded(t);
  const caller = dialOut(scene, { digest: RETELL });
  await caller.answered();
  const invite = await scene.carrier.next('INVITE');
  t.equal(invite.get('proxy-authorization'), undefined);
  t.notMatch(invite.raw, RETELL.username);

  const { message: sent } = caller;
  const credentials: [string, string] = ['Proxy-Authorization', sent.get('proxy-authorization') ?? ''];
  t.equal((await caller.request('INVITE', { body: sent.body, headers: [credentials] })).status, 200);
  const again = await scene.carrier.next('INVITE');
  t.equal(again.get('proxy-authorization'), undefined, 'nor do those of a request in the dialog');
  const { id } = await recordOf(scene.stack, caller.callId, 'answered');
  const hangup = await scene.stack.api.post(`/v1/calls/${id}/hangup`);
  t.match(hangup.body, { outcome: 'ended', legs: [{ status: 200 }, { status: 200 }] });
  await noDialogLeft(scene.stack);
});

t.test('requests in a dialog are not challenged', async (t) => {
  const scene = await guarded(t);
  const caller = dialOut(scene, { digest: RETELL });
  await caller.answered();
  t.equal((await caller.request('INFO')).status, 200);
  t.equal((await caller.request('INVITE', { body: caller.message.body })).status, 200);
  t.equal((await caller.bye()).status, 200);
});

for (const [what, wrong] of [
  ['password', { ...RETELL, password: 'wrong' }],
  ['user name', { ...RETELL, username: 'somebody' }],
] as const) {
  t.test(`a wrong ${what} gets 403 after the challenge, and is counted`, async (t) => {
    const scene = await guarded(t);
    const caller = dialOut(scene, { digest: wrong });
    t.equal((await caller.finalResponse()).status, 403);
    t.equal((await caller.response(407)).status, 407);
    t.equal(scene.carrier.count('INVITE'), 0);
    t.equal(await refusedForAuth(scene.stack), 1);
  });
}

t.test('credentials count once: seen again they are challenged again', async (t) => {
  const scene = await guarded(t);
  const first = dialOut(scene, { digest: RETELL });
  await first.answered();
  const seen: [string, string] = [
    'Proxy-Authorization',
    first.message.get('proxy-authorization') ?? '',
  ];
  const response = await dialOut(scene, { headers: [seen] }).finalResponse();
  t.equal(response.status, 407);
  t.equal(scene.carrier.count('INVITE'), 1);
  t.equal((await first.bye()).status, 200);
});

t.test('a nonce that is made up, or from before a restart of Kamailio, is challenged again', async (t) => {
  const scene = await guarded(t);
  const call = dialOut(scene);
  const challenge = await call.finalResponse();
  const uri = call.message.requestUri;
  const [name, made] = answerTo(challenge, uri);
  const madeUp: [string, string] = [name, made.replace(/nonce="[^"]+"/, 'nonce="made-up"')];
  t.equal((await dialOut(scene, { headers: [madeUp] }).finalResponse()).status, 407);
  await scene.stack.parts.kamailio.stop();
  await scene.stack.parts.kamailio.start();
  const old = dialOut(scene, { headers: [answerTo(challenge, uri)] });
  t.equal((await old.finalResponse()).status, 407);
  t.equal(scene.carrier.count('INVITE'), 0);
});

t.test('a carrier that wants credentials which we do not have is passed over', async (t) => {
  for (const status of [401, 407] as const) {
    const scene = await twoCarriers(t);
    scene.carrier.digest = { ...CHALLENGE, status };
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await recordOf(scene.stack, caller.callId, 'answered')).carrier, 'second');
    t.equal(scene.carrier.count('INVITE'), 1);
    t.equal((await caller.bye()).status, 200);
  }
});

t.test('a carrier that does not take our credentials is passed over', async (t) => {
  const scene = await twoCarriers(t, { first: { digest: US } });
  await t.test('403 for them', async (t) => {
    scene.carrier.digest = { ...CHALLENGE, password: 'another' };
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await recordOf(scene.stack, caller.callId, 'answered')).carrier, 'second');
    t.equal(scene.carrier.count('INVITE'), 2);
    t.equal((await caller.bye()).status, 200);
  });
  await t.test('challenged again and again', async (t) => {
    scene.carrier.digest = undefined;
    scene.carrier.onInvite = (call) => call.challenge();
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await recordOf(scene.stack, caller.callId, 'answered')).carrier, 'second');
    t.equal(scene.carrier.count('INVITE'), 4);
    t.equal((await caller.bye()).status, 200);
  });
});

t.test('a challenge of the last carrier, even after ringing, never reaches Retell', async (t) => {
  const scene = await oneCarrier(t);
  for (const status of [401, 407] as const) {
    scene.carrier.onInvite = (call) => call.challenge({ status });
    t.equal((await dialOut(scene).finalResponse()).status, 503);
    scene.carrier.onInvite = async (call) => {
      call.ring();
      await scene.retell.next(({ callId, status: seen }) => callId === call.callId && seen === 180);
      call.challenge({ status });
    };
    t.equal((await dialOut(scene).finalResponse()).status, 503);
  }
  await noDialogLeft(scene.stack);
});

t.test('our credentials for another realm are not shown to a carrier', async (t) => {
  const scene = await oneCarrier(t, { first: { digest: { ...US, realm: 'other.example.com' } } });
  scene.carrier.digest = CHALLENGE;
  t.equal((await dialOut(scene).finalResponse()).status, 503);
  t.equal(scene.carrier.count('INVITE'), 1);
});

t.test('a call that a carrier challenged is hung up on both sides', async (t) => {
  const scene = await oneCarrier(t, { first: { digest: US }, config: { retell: { digest: RETELL } } });
  scene.carrier.digest = CHALLENGE;
  answering(scene.carrier);
  const caller = dialOut(scene, { digest: RETELL });
  await caller.answered();
  const { id } = await recordOf(scene.stack, caller.callId, 'answered');
  const hangup = await scene.stack.api.post(`/v1/calls/${id}/hangup`);
  t.match(hangup.body, { outcome: 'ended', legs: [{ status: 200 }, { status: 200 }] });
  t.equal(await caller.ended, 'remote');
  await noDialogLeft(scene.stack);
});
