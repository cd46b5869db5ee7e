import t, { type Test } from 'tap';
import { request } from 'undici';
import { DialogTable } from '../../control-plane/src/kamailio/dialog-table.js';
import { KamailioError } from '../../control-plane/src/kamailio/errors.js';
import { dial, establish, recordOf, startScene } from '../harness/scene.js';
import { type Stack, startStack } from '../harness/stack.js';

const GATEWAYS = [{ uri: 'sip:127.0.0.3:5060' }];

async function post(stack: Stack, body: string, headers: Record<string, string> = {}) {
  const reply = await request(stack.config.kamailio.nodes[0]?.rpc_url ?? '', {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.rpcToken}`, ...headers },
    body,
    headersTimeout: 3000,
    // Whoever is refused is disconnected, as a rule only after the next request went out on the same connection.
    reset: true,
  });
  return { status: reply.statusCode, text: await reply.body.text() };
}

async function rejects(t: Test, promise: Promise<unknown>, expected: Partial<KamailioError>): Promise<void> {
  const error = await promise.catch((reason) => reason);
  t.ok(error instanceof KamailioError);
  t.match(error, expected);
}

t.test('what is no JSON-RPC 2.0 request gets 400 and is not executed', async (t) => {
  const stack = await startStack(t, { gateways: GATEWAYS, controlPlane: 'none' });
  const command = { id: 1, method: 'htable.sets', params: ['drained', 'trap', 'sprung'] };
  const bodies = [
    JSON.stringify([{ jsonrpc: '2.0', ...command }]),
    JSON.stringify(command),
    JSON.stringify({ jsonrpc: '1.0', ...command }),
    JSON.stringify({ jsonrpc: 2.0, ...command }),
    JSON.stringify({ jsonrpc: '2.0', id: 1, params: command.params }),
    JSON.stringify({ jsonrpc: '2.0', ...command, method: '' }),
    '[]',
    '{}',
    'null',
    '5',
    '"x"',
    '{"jsonrpc"',
    '',
  ];
  for (const body of bodies) t.equal((await post(stack, body)).status, 400, body);
  await rejects(t, stack.rpc.call('htable.get', ['drained', 'trap']), { code: 'KAMAILIO_FAULT' });
});

t.test('the RPC socket takes POST /RPC with the token, and nothing else', async (t) => {
  const stack = await startStack(t, { gateways: GATEWAYS, controlPlane: 'none' });
  const { rpc_url = '' } = stack.config.kamailio.nodes[0] ?? {};
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'core.version', params: [] });
  t.equal((await post(stack, body, { authorization: 'Bearer wrong' })).status, 401);
  t.equal((await post(stack, body, { authorization: '' })).status, 401);
  const token = { authorization: `Bearer ${stack.rpcToken}` };
  const get = await request(rpc_url, { headers: token, headersTimeout: 3000 });
  t.equal(get.statusCode, 405);
  await get.body.dump();
  const elsewhere = await request(rpc_url.replace('/RPC', '/other'), {
    headers: token,
    headersTimeout: 3000,
  });
  t.equal(elsewhere.statusCode, 404);
  await elsewhere.body.dump();
  t.match(await stack.rpc.call('core.version'), /^kamailio \d/);
});

t.test('an unknown method, an unknown dialog and wrong parameters are typed faults', async (t) => {
  const { rpc } = await startStack(t, { gateways: GATEWAYS, controlPlane: 'none' });
  await rejects(t, rpc.call('no.such'), { code: 'KAMAILIO_FAULT', faultCode: 500 });
  await rejects(t, rpc.call('dlg.end_dlg', [115, 2585]), { code: 'KAMAILIO_FAULT', faultCode: 404 });
  await rejects(t, rpc.call('dlg.end_dlg', []), { code: 'KAMAILIO_FAULT' });
  t.same(await new DialogTable(rpc).withCallId('unknown'), [], 'an empty result is no dialog');
});

t.test('a dialog that rings is seen as early, not as one that can be ended', async (t) => {
  const scene = await startScene(t);
  scene.retell.onInvite = (call) => call.ring();
  const caller = dial(scene);
  await caller.response(180);
  const [dialog] = await new DialogTable(scene.stack.rpc).withCallId(caller.callId);
  t.ok(dialog && dialog.state < 3, `state ${dialog?.state}`);
  await caller.cancel();
  await recordOf(scene.stack, caller.callId, 'ended');
});

t.test('a request with 40 KB of body passes on the RPC socket', async (t) => {
  const { rpc } = await startStack(t, { gateways: GATEWAYS, controlPlane: 'none' });
  const value = 'x'.repeat(40_000);
  await rpc.call('htable.sets', ['drained', 'large', value]);
  t.match(await rpc.call('htable.get', ['drained', 'large']), { item: { value } });
});

t.test('a hangup does not stop for SIP over TCP, nor SIP for RPC workers that are all busy', async (t) => {
  const scene = await startScene(t, { transport: 'tcp' });
  const { record } = await establish(scene);
  const idle = await Promise.all(
    Array.from({ length: 20 }, () =>
      request(scene.stack.config.kamailio.nodes[0]?.rpc_url ?? '', { method: 'POST' }),
    ),
  );
  for (const reply of idle) await reply.body.dump();
  const { body } = await scene.stack.api.post(`/v1/calls/${record.id}/hangup`);
  t.equal(body.outcome, 'ended');
});
