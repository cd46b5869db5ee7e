import { sign } from 'retell-sdk';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { eventually } from '../../harness/await.js';
import { dial, recordOf, startPeer } from '../../harness/scene.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, startStack } from '../../harness/stack.js';
import { RetellSimulator, type SimulatorOptions } from '../../retell-simulator/simulator.js';

const WEBHOOK_KEY = 'key_webhook_0123456789';

/** A carrier, the proxy with this number, and a simulated Retell that asks the proxy's inbound webhook. */
async function startScene(t: Test, number: Record<string, unknown>, options: SimulatorOptions = {}) {
  const simulator = await RetellSimulator.start({ host: RETELL_HOST, webhookKey: WEBHOOK_KEY, ...options });
  t.teardown(() => simulator.stop());
  const carrier = await startPeer(t, { host: CARRIER_HOST, transport: 'udp' });
  const stack = await startStack(t, {
    gateways: [{ uri: `sip:${RETELL_HOST}:${simulator.sip.port};transport=udp` }],
    config: { retell: { webhook_keys: [WEBHOOK_KEY] }, numbers: [{ number: NUMBER, ...number }] },
  });
  simulator.setWebhooks({ inbound_url: `${stack.api.url}/webhooks/retell/inbound`, retries: 0 });
  return { simulator, stack, carrier, retell: simulator.sip.udp };
}

for (const headerNames of ['prefixed', 'stripped'] as const) {
  t.test(`the number's settings reach the ringing call at Retell, header names ${headerNames}`, async (t) => {
    const settings = {
      agent_id: 'agent_ours',
      dynamic_variables: { tier: 'gold' },
      metadata: { department: 'sales' },
    };
    const scene = await startScene(t, settings, { headerNames });
    const caller = dial(scene);
    await caller.answered();
    const record = await recordOf(scene.stack, caller.callId, 'answered');
    const [entry] = scene.simulator.calls.all();
    t.match(entry?.call, {
      agent_id: 'agent_ours',
      metadata: { department: 'sales', call_ref: record.id },
      retell_llm_dynamic_variables: { tier: 'gold' },
    });

    const retellCallId = entry?.call.call_id ?? '';
    const found = await eventually('the record is found by the id of Retell', async () => {
      const { status, body } = await scene.stack.api.get(`/v1/calls/retell:${retellCallId}`);
      return status === 200 && body;
    });
    t.match(found, { id: record.id, retell_call_id: retellCallId, agent_id: 'agent_ours' });
    const entries = found.timeline.filter(({ type }: { type: string }) => type === 'inbound_webhook');
    t.match(entries, [{ answer: 'accepted' }]);
    const listed = await scene.stack.api.get(`/v1/calls?retell_call_id=${retellCallId}`);
    t.same(
      listed.body.items.map(({ id }: { id: string }) => id),
      [record.id],
    );

    const hangup = await scene.stack.api.post(`/v1/calls/retell:${retellCallId}/hangup`);
    t.match(hangup, { status: 200, body: { outcome: 'ended' } });
    t.equal(await caller.ended, 'remote');
  });
}

t.test('a number that rejects has Retell refuse the call', async (t) => {
  const scene = await startScene(t, { reject: true });
  const caller = dial(scene);
  t.equal((await caller.finalResponse()).status, 403);
  // What was answered to the webhook is written after the answer, and the call may be over before that.
  const { record, entry } = await eventually('the webhook is in the timeline', async () => {
    const ended = await recordOf(scene.stack, caller.callId, 'ended');
    const found = ended.timeline.find(({ type }: { type: string }) => type === 'inbound_webhook');
    return found && { record: ended, entry: found };
  });
  t.equal(entry.answer, 'rejected');
  t.equal(record.agent_id, null);
});

t.test('the webhook needs no token, and a signature', async (t) => {
  const { stack } = await startScene(t, {});
  const body = JSON.stringify({ event: 'call_inbound', call_inbound: { to_number: '+14155550188' } });
  const send = async (signature?: string) => {
    const reply = await request(`${stack.api.url}/webhooks/retell/inbound`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(signature === undefined ? {} : { 'x-retell-signature': signature }),
      },
      body,
    });
    return { status: reply.statusCode, body: await reply.body.json() };
  };
  t.match(await send(), { status: 401, body: { code: 'invalid_signature' } });
  t.match(await send(await sign(body, 'key_other_0123456789')), {
    status: 401,
    body: { code: 'invalid_signature' },
  });
  t.same(await send(await sign(body, WEBHOOK_KEY)), { status: 200, body: { call_inbound: {} } });
});

t.test('a call that Retell knows by no such id is not found', async (t) => {
  const { stack } = await startScene(t, {});
  t.match(await stack.api.get('/v1/calls/retell:call_unknown'), {
    status: 404,
    body: { code: 'call_not_found' },
  });
  t.same((await stack.api.get('/v1/calls?retell_call_id=call_unknown')).body.items, []);
});
