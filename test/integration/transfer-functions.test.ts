import { sign } from 'retell-sdk';
import t from 'tap';
import { request } from 'undici';
import { eventually } from '../harness/await.js';
import { AGENT, asked, type RegisterScene, startRegisterScene } from '../harness/register-scene.js';
import { dial, noDialogLeft, recordOf } from '../harness/scene.js';
import type { OutgoingCall } from '../harness/sip-peer.js';
import { received } from '../harness/staged-calls.js';
import { endOf, nextRefer, notify, TARGET } from '../harness/transfers.js';
import type { CallEntry } from '../retell-simulator/calls.js';

/** A call that Retell's agent has answered, with its entry at Retell. */
async function talking(
  scene: RegisterScene,
): Promise<{ caller: OutgoingCall; entry: CallEntry; id: string }> {
  const caller = dial(scene);
  await caller.answered();
  const { id, retell_call_id } = await recordOf(scene.stack, caller.callId, 'answered');
  const entry = scene.simulator.calls.get(retell_call_id);
  if (entry === undefined) throw new Error('Retell does not know the call');
  return { caller, entry, id };
}

async function callFunction(
  { simulator, stack }: RegisterScene,
  entry: CallEntry,
  name: string,
  args: Record<string, unknown>,
): Promise<{ status: number; result: string; ok: boolean }> {
  const url = `${stack.api.url}/functions/${name}`;
  const { status, body } = await simulator.callFunction(entry, { url, name, args });
  return { status, ...JSON.parse(body) };
}

/** What the live agent was told, once it has been. */
async function toldAgent(scene: RegisterScene) {
  return eventually('the agent is told', () => {
    const [request] = asked(scene, 'update-live-call');
    return request?.body as
      | { call_control: { additional_context: string; trigger_response: boolean } }
      | undefined;
  });
}

async function transferOf({ stack }: RegisterScene, id: string) {
  const { body } = await stack.api.get(`/v1/calls/${id}`);
  return body.transfers[0];
}

t.test("the agent's function transfers its call", async (t) => {
  const scene = await startRegisterScene(t);
  const { caller, entry, id } = await talking(scene);
  const arrived = nextRefer(caller);
  const answer = callFunction(scene, entry, 'transfer_call', { to: TARGET });
  const refer = await arrived;
  t.match(refer.message.get('contact'), id, "Retell's id of the call is not shown to the carrier");
  t.notMatch(refer.message.raw, entry.call.call_id);
  refer.reply(202);
  t.match(await answer, { status: 200, ok: true, result: /under way/ });
  for (const status of [100, 180, 200]) t.equal((await notify(caller, status)).status, 200);
  await caller.ended;
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.match(record, {
    ended_by: 'function',
    transfers: [{ state: 'succeeded', source: 'function', by: AGENT }],
  });
  await eventually('Retell ends its call', () => entry.call.call_status === 'ended');
  t.equal(received(scene.retell, 'REFER', caller), 0);
  t.same(asked(scene, 'update-live-call'), []);
  await noDialogLeft(scene.stack);
});

t.test('after a transfer that failed the agent is told, and speaks', async (t) => {
  const scene = await startRegisterScene(t);
  const { caller, entry, id } = await talking(scene);
  const arrived = nextRefer(caller);
  const answer = callFunction(scene, entry, 'transfer_call', { to: TARGET });
  (await arrived).reply(202);
  t.match(await answer, { ok: true });
  await notify(caller, 180);
  await notify(caller, 486);
  t.match(await toldAgent(scene), {
    call_control: {
      additional_context: `The transfer to ${TARGET} did not work: the line is busy. Tell the caller and go on with the call.`,
      trigger_response: true,
    },
  });
  await eventually('it is in the record', async () => (await transferOf(scene, id)).agent_told === true);
  t.equal((await caller.request('INFO')).status, 200, 'the call goes on');
  await caller.bye();
});

t.test('what the agent is told can be configured', async (t) => {
  const scene = await startRegisterScene(t, {
    transfers: { failure_notice: 'No luck with {to} ({reason}).' },
  });
  const { caller, id } = await talking(scene);
  const arrived = nextRefer(caller);
  await scene.stack.api.post(`/v1/calls/${id}/transfers`, { to: TARGET });
  (await arrived).reply(603);
  t.match(await toldAgent(scene), {
    call_control: { additional_context: `No luck with ${TARGET} (the call was declined).` },
  });
  await caller.bye();
});

t.test('a refusal that comes at once is the answer of the function, and no second news', async (t) => {
  const scene = await startRegisterScene(t);
  const { caller, entry, id } = await talking(scene);
  caller.on('REFER', (refer) => refer.reply(403));
  t.match(await callFunction(scene, entry, 'transfer_call', { to: TARGET }), {
    status: 200,
    ok: false,
    result: /did not work: it is not allowed there/,
  });
  // The agent may call again at once; by its end the first one's news would have come.
  t.match(await callFunction(scene, entry, 'transfer_call', { to: TARGET }), { ok: false });
  await eventually('both are done with', async () => {
    const metrics: string = (await scene.stack.api.get('/metrics')).body;
    return /retell_proxy_due_work_total\{kind="transfer_over",outcome="done"\} 2/.test(metrics);
  });
  t.same(asked(scene, 'update-live-call'), []);
  t.match(await transferOf(scene, id), { agent_told: true });
  await caller.bye();
});

t.test('Retell that does not answer at first is told again', async (t) => {
  const scene = await startRegisterScene(t, {
    simulator: { faults: [{ endpoint: 'update-live-call', status: 500, times: 2 }] },
  });
  const { caller, id } = await talking(scene);
  const arrived = nextRefer(caller);
  const { body } = await scene.stack.api.post(`/v1/calls/${id}/transfers`, { to: TARGET });
  (await arrived).reply(603);
  await endOf(scene.stack, id, body.id);
  await eventually('it is in the record', async () => (await transferOf(scene, id)).agent_told === true);
  t.equal(asked(scene, 'update-live-call').length, 3);
  await caller.bye();
});

t.test('a call whose agent is gone is not told of', async (t) => {
  const scene = await startRegisterScene(t, {
    simulator: { faults: [{ endpoint: 'update-live-call', status: 422 }] },
  });
  const { caller, id } = await talking(scene);
  const arrived = nextRefer(caller);
  await scene.stack.api.post(`/v1/calls/${id}/transfers`, { to: TARGET });
  (await arrived).reply(603);
  await eventually('it is in the record', async () => (await transferOf(scene, id)).agent_told === false);
  t.equal(asked(scene, 'update-live-call').length, 1);
  await caller.bye();
});

t.test(
  'a function that asks for what cannot be is answered with a sentence, and nothing is sent',
  async (t) => {
    const scene = await startRegisterScene(t, {
      transfers: { agents: [{ agent_id: AGENT, allow: ['+1415'] }], deny: ['+1809'] },
      number: { transfer_allow: ['+1', '+44'] },
    });
    const { caller, entry, id } = await talking(scene);
    const rows: [args: Record<string, unknown>, result: RegExp][] = [
      [{}, /"to" is missing/],
      [{ to: 17 }, /"to" is missing/],
      [{ to: '4155550188' }, /no \+ and country code/],
      [{ to: '+18095550188' }, /begin like this one are denied/],
      [{ to: '+442079460123' }, /list of this agent does not allow/],
      [{ to: '+19005550188' }, /begin like this one are denied/],
      [{ to: 'sip:200@pbx.example.com' }, /at this host are not allowed/],
      [{ to: TARGET, headers: { Subject: 'x' } }, /headers has a name/],
    ];
    for (const [args, result] of rows) {
      t.match(await callFunction(scene, entry, 'transfer_call', args), { status: 200, ok: false, result });
    }
    t.equal(received(scene.carrier, 'REFER', caller), 0);
    t.same((await scene.stack.api.get(`/v1/calls/${id}`)).body.transfers, []);
    await caller.bye();
  },
);

t.test('a second function during a transfer is told that one is under way', async (t) => {
  const scene = await startRegisterScene(t);
  const { caller, entry } = await talking(scene);
  const arrived = nextRefer(caller);
  const first = callFunction(scene, entry, 'transfer_call', { to: TARGET });
  const refer = await arrived;
  t.match(await callFunction(scene, entry, 'transfer_call', { to: TARGET }), {
    ok: true,
    result: /already under way/,
  });
  refer.reply(202);
  await first;
  await notify(caller, 200);
  await caller.ended;
  t.equal(received(scene.carrier, 'REFER', caller), 1);
});

t.test("the agent's function ends its call", async (t) => {
  const scene = await startRegisterScene(t);
  const { caller, entry } = await talking(scene);
  t.match(await callFunction(scene, entry, 'end_call', {}), {
    status: 200,
    ok: true,
    result: 'The call is ended.',
  });
  await caller.ended;
  t.match(await recordOf(scene.stack, caller.callId, 'ended'), { ended_by: 'function' });
  t.match(await callFunction(scene, entry, 'end_call', {}), { status: 200, ok: true }, 'again does no harm');
  await noDialogLeft(scene.stack);
});

t.test("a call by trunk is found by our id where Retell's is not known yet", async (t) => {
  const scene = await startRegisterScene(t, { method: 'trunk' });
  const caller = dial(scene);
  await caller.answered();
  const { id } = await recordOf(scene.stack, caller.callId, 'answered');
  const entry = scene.simulator.calls.all().find(({ call }) => call.call_status === 'ongoing') as CallEntry;
  const arrived = nextRefer(caller);
  const answer = callFunction(scene, entry, 'transfer_call', { to: TARGET });
  (await arrived).reply(202);
  t.match(await answer, { ok: true });
  await notify(caller, 486);
  t.match(await toldAgent(scene), { call_control: { trigger_response: true } });
  t.match(await transferOf(scene, id), { source: 'function' });
  await caller.bye();
});

t.test('what is not signed by Retell, or of another form', async (t) => {
  const scene = await startRegisterScene(t);
  const { caller, entry } = await talking(scene);
  const post = (body: unknown, signature?: string) => postSigned(scene, body, signature);
  await t.test('is refused without a right signature', async (t) => {
    const body = { name: 'end_call', call: entry.call, args: {} };
    t.equal((await scene.stack.api.post('/functions/end_call', body)).status, 401);
    t.equal((await post(body, 'v=1780012672105,d=00')).status, 401);
  });
  await t.test('is found by call_id among bare arguments', async (t) => {
    const refer = nextRefer(caller);
    const answer = post({ call_id: entry.call.call_id, to: TARGET });
    (await refer).reply(603);
    t.match(await answer, { status: 200, body: { ok: false, result: /declined/ } });
  });
  await t.test('is told that no call is known without one', async (t) => {
    t.match(await post({ to: TARGET }), {
      status: 200,
      body: { ok: false, result: /does not know which call/ },
    });
    const unknown = {
      name: 'transfer_call',
      call: { ...entry.call, call_id: 'call_unknown' },
      args: { to: TARGET },
    };
    t.match(await post(unknown), { status: 200, body: { ok: false, result: /does not know which call/ } });
  });
  await t.test('is refused where it is no object', async (t) => {
    t.equal((await post(['x'])).status, 400);
  });
  await caller.bye();
});

async function postSigned({ stack }: RegisterScene, body: unknown, signature?: string) {
  const { retell } = stack.config;
  const text = JSON.stringify(body);
  const reply = await request(`${stack.api.url}/functions/transfer_call`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-retell-signature': signature ?? (await sign(text, retell.api_key ?? '')),
    },
    body: text,
  });
  return { status: reply.statusCode, body: JSON.parse(await reply.body.text()) };
}
