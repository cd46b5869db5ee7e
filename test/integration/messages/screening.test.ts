import net from 'node:net';
import t from 'tap';
import { request } from 'undici';
import { eventually } from '../../harness/await.js';
import { dialOut, startPeer, startScene } from '../../harness/scene.js';
import { type Stack, startStack } from '../../harness/stack.js';

const GATEWAYS = [{ uri: 'sip:127.0.0.3:5060' }];

async function statistic({ rpc }: Stack, name: string): Promise<number> {
  const [group] = name.split('.');
  return Number(((await rpc.call('stats.fetch', [`${group}:`])) as Record<string, string>)[name]);
}

t.test('an unknown source gets no answer to anything, and is counted', async (t) => {
  const stack = await startStack(t, { gateways: GATEWAYS });
  const stranger = await startPeer(t, { host: '127.0.0.66' });
  const to = `sip:+14155550100@${stack.sip.host}:${stack.sip.port}`;
  stranger.invite({ to, via: stack.sip });
  void stranger.request('OPTIONS', { to, via: stack.sip });
  void stranger.request('REGISTER', { to, via: stack.sip });
  await eventually('three drops', async () => (await statistic(stack, 'script.drops_unknown_source')) >= 3);
  t.same(
    stranger.trace.filter(({ direction }) => direction === 'in'),
    [],
  );
});

t.test('OPTIONS from a known source is answered 200', async (t) => {
  const { stack, carrier, retell } = await startScene(t);
  for (const peer of [carrier, retell]) {
    const to = `sip:${stack.sip.host}:${stack.sip.port}`;
    const response = await peer.request('OPTIONS', { to, via: stack.sip });
    t.equal(response.status, 200);
  }
});

t.test('a carrier gets 405 for a method that we do not take, and 483 when out of hops', async (t) => {
  const { stack, carrier } = await startScene(t);
  const to = `sip:+14155550100@${stack.sip.host}:${stack.sip.port}`;
  const register = await carrier.request('REGISTER', { to, via: stack.sip });
  t.equal(register.status, 405);
  t.match(register.get('allow'), 'INVITE');
  const tired = await carrier.request('OPTIONS', { to, via: stack.sip, headers: [['Max-Forwards', '0']] });
  t.equal(tired.status, 483);
});

t.test('a request in a dialog that nobody knows gets 481', async (t) => {
  const { stack, carrier } = await startScene(t);
  const to = `<sip:+14155550100@${stack.sip.host}:${stack.sip.port}>;tag=nobody`;
  const bye = await carrier.request('BYE', { to, via: stack.sip });
  t.equal(bye.status, 481);
});

t.test("Retell's INVITE is refused with a reason while no carrier takes outbound calls", async (t) => {
  const scene = await startScene(t);
  const response = await dialOut(scene).finalResponse();
  t.equal(response.status, 403);
  t.match(response.get('reason'), /destination not allowed/);
});

t.test('HTTP on the SIP port is refused', async (t) => {
  const stack = await startStack(t, { gateways: GATEWAYS, controlPlane: 'none' });
  const reply = await request(`http://${stack.sip.host}:${stack.sip.port}/RPC`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.rpcToken}` },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'core.version', params: [] }),
  });
  t.equal(reply.statusCode, 403);
  await reply.body.dump();
});

t.test('SIP on the RPC socket goes nowhere', async (t) => {
  const { stack, retell } = await startScene(t);
  const { hostname, port } = new URL(stack.config.kamailio.nodes[0]?.rpc_url ?? '');
  const socket = net.connect({ host: hostname, port: Number(port), localAddress: '127.0.0.2' });
  t.teardown(() => socket.destroy());
  const answers: string[] = [];
  socket.on('data', (data) => answers.push(data.toString()));
  const uri = `sip:+14155550100@${hostname}`;
  socket.write(
    [
      `INVITE ${uri} SIP/2.0`,
      'Via: SIP/2.0/TCP 127.0.0.2:9;branch=z9hG4bKrpc',
      'From: <sip:a@example.com>;tag=1',
      `To: <${uri}>`,
      'Call-ID: on-the-rpc-socket',
      'CSeq: 1 INVITE',
      'Contact: <sip:a@127.0.0.2:9>',
      'Max-Forwards: 70',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n'),
  );
  await eventually(
    'Kamailio has read it',
    async () => (await statistic(stack, 'core.rcv_requests_invite')) === 1,
  );
  t.same(answers, []);
  t.equal(retell.count('INVITE'), 0);
});
