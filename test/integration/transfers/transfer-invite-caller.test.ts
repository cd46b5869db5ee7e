import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { answering, counter, invitesOf, oneCarrier, refusing, twoCarriers } from '../../harness/outbound.js';
import { DESTINATION, dialOut, establish, noDialogLeft, recordOf, type Scene } from '../../harness/scene.js';
import { CALLER, dialAsCaller, tiedRecord } from '../../harness/second-calls.js';
import type { OutgoingCall, SipMessage } from '../../harness/sip-peer.js';
import { parseNameAddr } from '../../harness/sip-values.js';
import { NUMBER } from '../../harness/stack.js';

// Retell's second call with the number of the first call's caller (show_transferee_as_caller).

const uriOf = (value: string | undefined) => parseNameAddr(value ?? '').uri;
const userOf = (value: string | undefined) => /^sips?:([^@]*)@/.exec(uriOf(value))?.[1];

/** Who a message seems to come from: the users of From and of each P-Asserted-Identity. */
function shown(message: SipMessage | undefined) {
  return {
    from: userOf(message?.get('from')),
    identities: message?.list('p-asserted-identity').map(userOf),
  };
}

/** A call from Retell that may not go out, as its refusal and its record tell. */
async function checkRefused(t: Test, scene: Scene, call: OutgoingCall): Promise<void> {
  const response = await call.finalResponse();
  t.equal(response.status, 403);
  t.match(response.get('reason'), 'from is none of our numbers');
  t.equal(invitesOf(scene.carrier, call).length, 0);
  const record = await recordOf(scene.stack, call.callId, 'ended');
  t.match(record, { number: null, sip_status: 403, transferred_from: null });
}

t.test('each carrier sees the caller or our number, as its profile says', async (t) => {
  const scene = await twoCarriers(t, {
    first: { number_format: 'digits', caller_id: { override: 'kept' } },
    config: { numbers: [{ number: NUMBER, limits: { concurrent_calls: 2 } }] },
  });
  refusing(scene.carrier, 503);
  const first = await establish(scene);
  const from = `"${CALLER}" <${scene.retell.uri(CALLER)}>;tag=${randomUUID()}`;
  const call = dialAsCaller(scene, { headers: [['From', from]] });
  const answer = await call.answered();

  t.same(shown(invitesOf(scene.carrier, call)[0]), { from: CALLER.slice(1), identities: [CALLER.slice(1)] });
  const [invite] = invitesOf(scene.second, call);
  t.same(shown(invite), { from: NUMBER, identities: [NUMBER] });
  t.notMatch(
    [...(invite?.list('from') ?? []), ...(invite?.list('p-asserted-identity') ?? [])].join(),
    CALLER,
    'nor as a name',
  );
  for (const response of [await call.response(100), answer])
    t.equal(uriOf(response.get('from')), scene.retell.uri(CALLER), 'Retell sees its own From');

  const record = await tiedRecord(scene.stack, call.callId);
  t.match(record, {
    number: NUMBER,
    from: CALLER,
    to: DESTINATION,
    transferred_from: { call_id: first.record.id, by: 'caller' },
  });
  const { body } = await scene.stack.api.get(`/v1/calls/${first.record.id}`);
  t.same(body.transferred_to, [{ call_id: record.id, by: 'caller' }]);

  t.equal((await dialOut(scene).finalResponse()).status, 503, 'it counts for our number');

  t.equal((await call.request('INFO')).status, 200);
  t.equal(shown(await scene.second.next('INFO')).from, NUMBER);
  t.equal((await call.bye()).status, 200);
  t.equal(shown(await scene.second.next('BYE')).from, NUMBER);
  t.equal((await first.caller.bye()).status, 200);
  await noDialogLeft(scene.stack);
});

t.test('requests of the carrier reach Retell with its own From in To', async (t) => {
  const scene = await oneCarrier(t);
  await establish(scene);
  const call = dialAsCaller(scene);
  const callee = new Promise<Parameters<NonNullable<typeof scene.carrier.onInvite>>[0]>((resolve) => {
    scene.carrier.onInvite = (incoming) => {
      incoming.answer();
      resolve(incoming);
    };
  });
  await call.answered();
  await (await callee).acked;
  t.equal((await (await callee).bye()).status, 200);
  const bye = await call.next('BYE');
  t.equal(uriOf(bye.message.get('to')), scene.retell.uri(CALLER));
});

for (const [what, callerId, expected] of [
  [
    'a fixed user and host',
    { user: 'account', host: 'acme.example.com' },
    { from: 'account', identities: [CALLER] },
  ],
  ['no P-Asserted-Identity', { p_asserted_identity: 'dropped' }, { from: CALLER, identities: [] }],
  ['a P-Asserted-Identity', { p_asserted_identity: 'added' }, { from: CALLER, identities: [CALLER] }],
] as const) {
  t.test(`a carrier that takes the caller's number and wants ${what} gets both`, async (t) => {
    const scene = await oneCarrier(t, { first: { caller_id: { override: 'kept', ...callerId } } });
    await establish(scene);
    answering(scene.carrier);
    const headers: [string, string][] = [];
    if ('p_asserted_identity' in callerId && callerId.p_asserted_identity === 'added')
      headers.push(['X-Case', '1']);
    const call = headers.length > 0 ? dialOut(scene, { from: CALLER, headers }) : dialAsCaller(scene);
    await call.answered();
    t.same(shown(invitesOf(scene.carrier, call)[0]), expected);
  });
}

t.test("Retell's digest comes before the number of a caller", async (t) => {
  const digest = { username: 'retell', password: 'secret-of-retell' };
  const scene = await oneCarrier(t, { config: { retell: { digest } } });
  await establish(scene);
  answering(scene.carrier);
  t.equal((await dialAsCaller(scene).finalResponse()).status, 407);
  await dialOut(scene, { from: CALLER, digest }).answered();
});

t.test('the number of somebody who is in no call with Retell is refused', async (t) => {
  const scene = await oneCarrier(t);
  answering(scene.carrier);
  await checkRefused(t, scene, dialAsCaller(scene));

  const first = await establish(scene);
  await checkRefused(t, scene, dialAsCaller(scene, { from: '+14155550124' }));
  const second = dialAsCaller(scene, { from: CALLER.slice(1) });
  await second.answered();
  t.equal(shown(invitesOf(scene.carrier, second)[0]).from, NUMBER, 'with or without the +');

  t.equal((await first.caller.bye()).status, 200);
  await recordOf(scene.stack, first.caller.callId, 'ended');
  await checkRefused(t, scene, dialAsCaller(scene));
  t.equal(await counter(scene.stack, 'refused_from'), 3);
});

t.test('a caller who calls twice is known until the last of the calls ends', async (t) => {
  const scene = await oneCarrier(t);
  answering(scene.carrier);
  const [one, two] = [await establish(scene), await establish(scene)];

  const ambiguous = dialAsCaller(scene);
  await ambiguous.answered();
  await ambiguous.bye();
  const record = await recordOf(scene.stack, ambiguous.callId, 'ended');
  t.match(record, { number: NUMBER, transferred_from: null }, 'it may continue either of two calls');

  await two.caller.bye();
  await recordOf(scene.stack, two.caller.callId, 'ended');
  const second = dialAsCaller(scene);
  await second.answered();
  const tied = await tiedRecord(scene.stack, second.callId);
  t.same(tied.transferred_from, { call_id: one.record.id, by: 'caller' });

  t.match((await scene.stack.api.post(`/v1/calls/${one.record.id}/hangup`)).body, { outcome: 'ended' });
  await checkRefused(t, scene, dialAsCaller(scene));
});

/** A call to our number with this user in From, which Retell has answered. */
async function answeredFrom(scene: Scene, user: string) {
  answering(scene.retell);
  const call = scene.carrier.invite({
    to: `sip:${NUMBER}@${scene.stack.sip.host}:${scene.stack.sip.port}`,
    from: scene.carrier.uri(user),
    via: scene.stack.sip,
  });
  await call.answered();
  return recordOf(scene.stack, call.callId, 'answered');
}

t.test('a caller whose carrier writes the number without + is known by it', async (t) => {
  const scene = await oneCarrier(t);
  answering(scene.carrier);
  const first = await answeredFrom(scene, CALLER.slice(1));
  const second = dialAsCaller(scene);
  await second.answered();
  t.match((await tiedRecord(scene.stack, second.callId)).transferred_from, {
    call_id: first.id,
    by: 'caller',
  });
  t.match((await scene.stack.api.post(`/v1/calls/${first.id}/hangup`)).body, { outcome: 'ended' });
  await checkRefused(t, scene, dialAsCaller(scene));
});

t.test('who called without a number cannot be shown as the caller', async (t) => {
  const scene = await oneCarrier(t);
  await answeredFrom(scene, 'anonymous');
  await checkRefused(t, scene, dialAsCaller(scene, { from: 'anonymous' }));
});
