import t from 'tap';
import { answering, counter, invitesOf, oneCarrier, twoCarriers } from '../../harness/outbound.js';
import { dialOut, noDialogLeft, recordOf } from '../../harness/scene.js';
import {
  authorization,
  type Credentials,
  type DigestOptions,
  type Header,
  type SipMessage,
} from '../../harness/sip-peer.js';

/** What Retell knows: a password may hold what means something in Kamailio's files. */
const RETELL: Credentials = { username: 'retell', password: 'co$rr:ct\\n#"horse;=' };
/** What we know at the carrier. */
const US: Credentials = { username: 'us', password: 'a:$var(b)\\"c' };
const CHALLENGE: DigestOptions = { ...US, realm: 'first.example.com', status: 407 };

/** The answer to a challenge of the proxy. */
function answerTo(challenge: SipMessage, uri: string): [string, string] {
  const [name, value] = authorization(challenge, { method: 'INVITE', uri }, RETELL);
  return [name, value];
}

t.test('an INVITE of Retell has to prove that it knows the password', async (t) => {
  const scene = await oneCarrier(t, { config: { retell: { digest: RETELL } } });
  scene.carrier.onInvite = (call) => {
    call.on('INVITE', (request) => request.reply(200, undefined, [], call.message.body)).answer();
  };

  await t.test('without credentials it is challenged', async (t) => {
    const caller = dialOut(scene);
    const response = await caller.finalResponse();
    t.equal(response.status, 407);
    t.match(response.get('proxy-authenticate'), /^Digest realm="retell-sip-proxy", nonce=".+", qop="auth"/);
    t.equal(invitesOf(scene.carrier, caller).length, 0);
    t.equal(await counter(scene.stack, 'refused_auth'), 0);
  });

  await t.test('with the right ones it passes, and they do not reach the carrier', async (t) => {
    const caller = dialOut(scene, { digest: RETELL });
    await caller.answered();
    const [invite] = invitesOf(scene.carrier, caller);
    t.equal(invite?.get('proxy-authorization'), undefined);
    t.notMatch(invite?.raw, RETELL.username);
    t.equal((await caller.bye()).status, 200);
  });

  await t.test('requests in the dialog are not challenged, and the API ends the call', async (t) => {
    const caller = dialOut(scene, { digest: RETELL });
    await caller.answered();
    const proof = caller.message.get('proxy-authorization') ?? '';
    const info = await caller.request('INFO', { headers: [['Proxy-Authorization', proof]] });
    t.equal(info.status, 200);
    t.equal((await scene.carrier.next('INFO')).get('proxy-authorization'), undefined);
    t.equal((await caller.request('INVITE', { body: caller.message.body })).status, 200);
    const { id } = await recordOf(scene.stack, caller.callId, 'answered');
    const hangup = await scene.stack.api.post(`/v1/calls/${id}/hangup`);
    t.match(hangup.body, { outcome: 'ended', legs: [{ status: 200 }, { status: 200 }] });
  });

  for (const [what, wrong] of [
    ['password', { ...RETELL, password: 'wrong' }],
    ['user name', { ...RETELL, username: 'somebody' }],
  ] as const) {
    await t.test(`with a wrong ${what} it gets 403 after the challenge, and is counted`, async (t) => {
      const before = await counter(scene.stack, 'refused_auth');
      const caller = dialOut(scene, { digest: wrong });
      t.equal((await caller.finalResponse()).status, 403);
      t.equal((await caller.response(407)).status, 407);
      t.equal(invitesOf(scene.carrier, caller).length, 0);
      t.equal(await counter(scene.stack, 'refused_auth'), before + 1);
    });
  }

  await t.test('credentials that were seen before are challenged again', async (t) => {
    const first = dialOut(scene, { digest: RETELL });
    await first.answered();
    const seen: Header = ['Proxy-Authorization', first.message.get('proxy-authorization') ?? ''];
    const replay = dialOut(scene, { headers: [[...seen]] });
    const challenge = await replay.finalResponse();
    t.equal(challenge.status, 407);
    t.match(challenge.get('proxy-authenticate'), 'stale=true');
    t.equal(invitesOf(scene.carrier, replay).length, 0);
    // Whoever does know the password answers the new challenge.
    const again = dialOut(scene, { headers: [[...seen]], digest: RETELL });
    await again.answered();
    t.equal((await again.bye()).status, 200);
    t.equal((await first.bye()).status, 200);
  });

  await t.test('a nonce that is made up, or from before a restart, is challenged again', async (t) => {
    const call = dialOut(scene);
    const challenge = await call.finalResponse();
    const answer = answerTo(challenge, call.message.requestUri);
    const madeUp = answer[1].replace(/nonce="[^"]+"/, 'nonce="made-up"');
    t.equal((await dialOut(scene, { headers: [[answer[0], madeUp]] }).finalResponse()).status, 407);
    await noDialogLeft(scene.stack);
    await scene.stack.parts.kamailio.stop();
    await scene.stack.parts.kamailio.start();
    t.equal((await dialOut(scene, { headers: [answer] }).finalResponse()).status, 407);
  });
});

t.test('a carrier that wants credentials which we do not have is passed over', async (t) => {
  const scene = await twoCarriers(t);
  for (const status of [401, 407] as const) {
    scene.carrier.digest = { ...CHALLENGE, status };
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await recordOf(scene.stack, caller.callId, 'answered')).carrier, 'second');
    t.equal(invitesOf(scene.carrier, caller).length, 1);
    t.equal((await caller.bye()).status, 200);
  }
});

t.test('credentials that the carrier does not take', async (t) => {
  const scene = await twoCarriers(t, { first: { digest: US } });
  await t.test('where it refuses them the call goes to the next carrier', async (t) => {
    scene.carrier.digest = { ...CHALLENGE, password: 'another' };
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await recordOf(scene.stack, caller.callId, 'answered')).carrier, 'second');
    t.equal(invitesOf(scene.carrier, caller).length, 2);
    t.equal((await caller.bye()).status, 200);
  });
  await t.test('where it asks again and again it is answered once', async (t) => {
    scene.carrier.digest = undefined;
    scene.carrier.onInvite = (call) => call.challenge();
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await recordOf(scene.stack, caller.callId, 'answered')).carrier, 'second');
    t.equal(invitesOf(scene.carrier, caller).length, 2);
    t.equal((await caller.bye()).status, 200);
  });
  await noDialogLeft(scene.stack);
});

t.test('a challenge of the last carrier, even after ringing, never reaches Retell', async (t) => {
  // Its realm is not the one that our credentials are for: they are not shown.
  const scene = await oneCarrier(t, { first: { digest: { ...US, realm: 'other.example.com' } } });
  for (const status of [401, 407] as const) {
    scene.carrier.onInvite = (call) => call.challenge({ status });
    const refused = dialOut(scene);
    t.equal((await refused.finalResponse()).status, 503);
    t.equal(invitesOf(scene.carrier, refused).length, 1);
    scene.carrier.onInvite = async (call) => {
      call.ring();
      await scene.retell.next(({ callId, status: seen }) => callId === call.callId && seen === 180);
      call.challenge({ status });
    };
    t.equal((await dialOut(scene).finalResponse()).status, 503);
  }
  await noDialogLeft(scene.stack);
});

t.test('a call that a carrier has challenged is ended on both sides by the API', async (t) => {
  const scene = await oneCarrier(t, { first: { digest: US } });
  scene.carrier.digest = CHALLENGE;
  answering(scene.carrier);
  const caller = dialOut(scene);
  await caller.answered();
  const { id } = await recordOf(scene.stack, caller.callId, 'answered');
  const hangup = await scene.stack.api.post(`/v1/calls/${id}/hangup`);
  t.match(hangup.body, { outcome: 'ended', legs: [{ status: 200 }, { status: 200 }] });
  const [, invite] = invitesOf(scene.carrier, caller);
  t.ok((await scene.carrier.next('BYE')).cseq > (invite?.cseq ?? 0), 'CSeq keeps growing');
  t.equal(await caller.ended, 'remote');
  await noDialogLeft(scene.stack);
});
