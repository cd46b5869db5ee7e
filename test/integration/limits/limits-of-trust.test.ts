import { sign } from 'retell-sdk';
import t, { type Test } from 'tap';
import { request } from 'undici';
import type { ApiReply } from '../../harness/api-client.js';
import { eventually } from '../../harness/await.js';
import { asked, startRegisterScene } from '../../harness/register-scene.js';
import { dial, establish, recordOf, type Scene, startScene } from '../../harness/scene.js';
import type { StackNode } from '../../harness/stack-node.js';

const WEBHOOK_KEY = 'key_webhook_0123456789';
/** Longest that the API may take because a node hangs, in ms, as far as it is told: nothing is asserted about time. */
const BUDGET_MS = 2000;

interface TwoNodes {
  /** The same scene, whose calls go through the one node or the other. */
  first: Scene;
  second: Scene;
  nodes: [StackNode, StackNode];
}

async function startTwoNodes(t: Test): Promise<TwoNodes> {
  const first = await startScene(t, { nodes: 2, config: { retell: { webhook_keys: [WEBHOOK_KEY] } } });
  const [one, two] = first.stack.nodes;
  if (two === undefined) throw new Error('no second node');
  const second = { ...first, stack: { ...first.stack, sip: two.sip, rpc: two.rpc } };
  return { first, second, nodes: [one, two] };
}

/** Stops every process of a node where it stands, until the test ends or the returned function is called. */
function hang(t: Test, { part }: StackNode): () => void {
  const group = part.pid ?? 0;
  process.kill(-group, 'SIGSTOP');
  const wake = () => void process.kill(-group, 'SIGCONT');
  t.teardown(wake);
  return wake;
}

/** A request of the API, and how long it took as a comment. */
async function timed(t: Test, what: string, send: () => Promise<ApiReply>): Promise<ApiReply> {
  const started = performance.now();
  const reply = await send();
  const ms = Math.round(performance.now() - started);
  t.comment(`${what}: ${ms} ms${ms > BUDGET_MS ? `, over ${BUDGET_MS} ms` : ''}`);
  return reply;
}

t.test('one of two nodes hangs', async (t) => {
  const { first, second, nodes } = await startTwoNodes(t);
  const { api } = first.stack;
  const stuck = await establish(first);
  const other = await establish(second);
  t.match([stuck.record.node, other.record.node], ['node1', 'node2']);
  const wake = hang(t, nodes[0]);
  const stuckHangup = () => api.post(`/v1/calls/${stuck.record.id}/hangup`);

  const refused = await timed(t, 'hangup of its call', stuckHangup);
  t.match(refused, { status: 503, headers: { 'retry-after': '2' }, body: { code: 'node_unavailable' } });
  t.equal(first.carrier.count('BYE') + first.retell.count('BYE'), 0, 'nobody was told anything');

  const ready = await timed(t, 'readyz', () => api.get('/readyz'));
  t.match(ready, {
    status: 503,
    body: { checks: { 'kamailio:node1': { ok: false }, 'kamailio:node2': { ok: true } } },
  });
  const metrics = await timed(t, 'metrics', () => api.get('/metrics'));
  t.match(metrics.body, /^retell_proxy_kamailio_up\{node="node1"\} 0$/m);
  t.match(metrics.body, /^retell_proxy_kamailio_up\{node="node2"\} 1$/m);

  const calls = await timed(t, 'list of calls', () => api.get('/v1/calls?state=answered'));
  t.same(
    calls.body.items.map(({ id }: { id: string }) => id).sort(),
    [stuck.record.id, other.record.id].sort(),
  );
  t.equal((await timed(t, 'its call', () => api.get(`/v1/calls/${stuck.record.id}`))).body.state, 'answered');

  const hangup = await timed(t, "hangup of the other node's call", () =>
    api.post(`/v1/calls/${other.record.id}/hangup`),
  );
  t.match(hangup, { status: 200, body: { outcome: 'ended' } });
  await other.caller.next('BYE');
  await other.callee.next('BYE');

  const carriers = await timed(t, 'carriers', () => api.get('/v1/carriers'));
  t.match(carriers.body.items, [{ name: 'acme', nodes: { node1: null, node2: { drained: false } } }]);
  for (const command of ['drain', 'resume']) {
    const reply = await timed(t, command, () => api.post(`/v1/carriers/acme/${command}`));
    t.match(reply, {
      status: 200,
      body: { nodes: { node1: null, node2: { drained: command === 'drain' } } },
    });
  }
  t.equal((await timed(t, 'retell', () => api.get('/v1/retell'))).status, 200);
  const reload = await timed(t, 'reload', () => api.post('/v1/config/reload'));
  t.match(reload, {
    status: 200,
    body: {
      outcome: 'incomplete',
      nodes: [
        { name: 'node1', applied: false },
        { name: 'node2', applied: true },
      ],
    },
  });

  wake();
  // The breaker lets a call through each second.
  const ended = await eventually('the call of the node that goes on is hung up', async () => {
    const reply = await stuckHangup();
    return reply.status === 200 && reply;
  });
  t.match(ended.body, {
    // Kamailio may take up the request that was given up on.
    outcome: /^(already_)?ended$/,
    legs: [
      { method: 'BYE', status: 200 },
      { method: 'BYE', status: 200 },
    ],
  });
  t.equal(first.carrier.count('BYE'), 2, 'one for each call');
});

t.test('calls come and go on the other node while one hangs', async (t) => {
  const { second, nodes } = await startTwoNodes(t);
  const { api } = second.stack;
  hang(t, nodes[0]);

  const arrived = await establish(second);
  t.equal(arrived.record.node, 'node2');
  const body = JSON.stringify({
    event: 'call_inbound',
    call_inbound: { from_number: '+14155550123', to_number: arrived.record.number },
  });
  const answer = await request(`${api.url}/webhooks/retell/inbound`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-retell-signature': await sign(body, WEBHOOK_KEY) },
    body,
  });
  t.equal(answer.statusCode, 200, 'the inbound webhook answers');
  await answer.body.dump();

  t.equal((await arrived.callee.bye()).status, 200);
  t.match(await recordOf(second.stack, arrived.caller.callId, 'ended'), {
    ended_by: 'retell',
    node: 'node2',
  });
});

t.test('calls that wait for a decision get it on the other node while one hangs', async (t) => {
  const scene = await startRegisterScene(t, { nodes: 2 });
  const [one, two] = scene.stack.nodes;
  if (two === undefined) throw new Error('no second node');
  hang(t, one);
  const caller = dial({ ...scene, stack: { ...scene.stack, sip: two.sip } });
  await caller.answered();
  t.match(await recordOf(scene.stack, caller.callId, 'answered'), { node: 'node2' });
  t.equal(asked(scene, 'register-phone-call').length, 1);
  t.equal((await caller.bye()).status, 200);
});

t.test("the BYEs of a node's call go through the other one where it died", async (t) => {
  const { first, nodes } = await startTwoNodes(t);
  const { caller, callee, record } = await establish(first);
  await nodes[0].part.kill();

  const reply = await timed(t, 'hangup of its call', () =>
    first.stack.api.post(`/v1/calls/${record.id}/hangup`),
  );
  t.match(reply, { status: 200, body: { outcome: 'ended' } });
  for (const leg of [caller, callee]) {
    const bye = await leg.next('BYE');
    t.equal(bye.message.topVia.host, nodes[1].sip.host);
  }
  t.match(await recordOf(first.stack, caller.callId, 'ended'), { ended_by: 'api' });
});
