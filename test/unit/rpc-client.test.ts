import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { Breaker } from '../../control-plane/src/kamailio/breaker.js';
import { KamailioError, type KamailioErrorCode } from '../../control-plane/src/kamailio/errors.js';
import { KamailioNode } from '../../control-plane/src/kamailio/node.js';
import { RpcClient } from '../../control-plane/src/kamailio/rpc-client.js';

type Answer = (body: string, reply: ServerResponse, request: IncomingMessage) => void;

/** A client of a node that answers as told. */
async function clientOf(t: Test, answer: Answer, deadlineMs = 2000): Promise<RpcClient> {
  const server = createServer(async (request, reply) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    answer(body, reply, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = new RpcClient({
    node: 'node1',
    url: `http://127.0.0.1:${port}/RPC`,
    token: 'secret',
    deadlineMs,
  });
  t.teardown(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

async function codeOf(promise: Promise<unknown>): Promise<KamailioErrorCode | 'none'> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  return error instanceof KamailioError ? error.code : 'none';
}

t.test('every request has the exact envelope, positional parameters and the token', async (t) => {
  let seen = '';
  let authorization: string | undefined;
  const client = await clientOf(t, (body, reply, request) => {
    seen = body;
    authorization = request.headers.authorization;
    reply.end(`{"jsonrpc":"2.0","result":"pong","id":${JSON.parse(body).id}}`);
  });
  t.equal(await client.call('core.echo', ['a', 5]), 'pong');
  t.same(JSON.parse(seen), { jsonrpc: '2.0', id: 1, method: 'core.echo', params: ['a', 5] });
  t.equal(authorization, 'Bearer secret');
});

// Real replies of Kamailio 5.6.3 and 6.0.1 to a batch, a wrong envelope and a broken body.
for (const [name, status, text] of [
  ['an empty result without id', 200, '{"jsonrpc":"2.0","result":{}}'],
  ['the id of another request', 200, '{"jsonrpc":"2.0","result":{},"id":99}'],
  ['a result without envelope', 200, '{}'],
  ['an empty body', 200, ''],
  ['a page that is no JSON', 502, '<html>Bad Gateway</html>'],
  ['the 400 of the RPC socket', 400, '{"error":"not a JSON-RPC 2.0 request"}'],
] as const) {
  t.test(`${name} is never taken for success`, async (t) => {
    const client = await clientOf(t, (_body, reply) => reply.writeHead(status).end(text));
    t.equal(await codeOf(client.call('dlg.end_dlg', [1, 2])), 'KAMAILIO_PROTOCOL');
  });
}

t.test("a fault carries Kamailio's code", async (t) => {
  const client = await clientOf(t, (body, reply) => {
    const { id } = JSON.parse(body);
    reply
      .writeHead(404)
      .end(JSON.stringify({ jsonrpc: '2.0', error: { code: 404, message: 'Dialog not found' }, id }));
  });
  await t.rejects(client.call('dlg.end_dlg', [1, 2]), {
    code: 'KAMAILIO_FAULT',
    faultCode: 404,
    message: 'dlg.end_dlg on node1: 404 Dialog not found',
  });
});

t.test(
  'a hangup of a dialog that the node does not have answers nothing, any other status is an error',
  async (t) => {
    let status = 404;
    const client = await clientOf(t, (_body, reply) => {
      reply.writeHead(status).end('{"state":4,"action":"bye"}');
    });
    const node = new KamailioNode(client);
    const dialog = { sip_call_id: 'call-id', from_tag: 'a', to_tag: undefined };
    t.equal(await node.hangUp(dialog, 'api', 'SIP;cause=200'), undefined);
    status = 200;
    t.same(await node.hangUp(dialog, 'api', 'SIP;cause=200'), { state: 4, action: 'bye' });
    status = 500;
    t.equal(await codeOf(node.hangUp(dialog, 'api', 'SIP;cause=200')), 'KAMAILIO_PROTOCOL');
  },
);

t.test('a node that does not answer is a timeout after the deadline', async (t) => {
  const client = await clientOf(t, () => {}, 50);
  t.equal(await codeOf(client.call('core.version')), 'KAMAILIO_TIMEOUT');
});

t.test('once a node has let a deadline pass it is not asked as patiently, until it answers', async (t) => {
  let hangs = true;
  const client = await clientOf(
    t,
    (body, reply) => {
      if (!hangs) reply.end(`{"jsonrpc":"2.0","result":"pong","id":${JSON.parse(body).id}}`);
    },
    600,
  );
  const detailOf = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message);
  t.match(await detailOf(client.ask('core.echo')), 'no answer in 600 ms');
  t.match(await detailOf(client.ask('core.echo')), 'no answer in 300 ms');
  hangs = false;
  t.equal(await client.call('core.echo'), 'pong');
  hangs = true;
  t.match(await detailOf(client.ask('core.echo')), 'no answer in 600 ms');
});

t.test('a node that is gone is unreachable, and after three times not asked any more', async (t) => {
  const client = await clientOf(t, (_body, reply) => reply.destroy());
  for (let i = 0; i < 3; i++) t.equal(await codeOf(client.call('core.version')), 'KAMAILIO_UNREACHABLE');
  t.equal(client.breakerState, 'open');
  t.equal(await codeOf(client.call('core.version')), 'KAMAILIO_BREAKER_OPEN');
});

t.test('a fault does not open the breaker', async (t) => {
  const client = await clientOf(t, (body, reply) => {
    const { id } = JSON.parse(body);
    reply.writeHead(500).end(JSON.stringify({ jsonrpc: '2.0', error: { code: 500, message: 'no' }, id }));
  });
  for (let i = 0; i < 5; i++) t.equal(await codeOf(client.call('core.version')), 'KAMAILIO_FAULT');
  t.equal(client.breakerState, 'closed');
});

t.test('an open breaker lets one call through in each interval, and closes when it succeeds', (t) => {
  let now = 0;
  const breaker = new Breaker({ failures: 2, openMs: 100, now: () => now });
  breaker.failed();
  t.ok(breaker.admits());
  breaker.failed();
  t.notOk(breaker.admits());
  now = 100;
  t.ok(breaker.admits(), 'the probe');
  t.notOk(breaker.admits(), 'only one');
  breaker.succeeded();
  t.ok(breaker.admits());
  t.equal(breaker.state, 'closed');
  t.end();
});
