import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import Fastify from 'fastify';
import t from 'tap';
import { Agent, request } from 'undici';
import { idleConnectionsPlugin } from '../../control-plane/src/http/plugins/idle-connections.js';
import { eventually } from '../harness/await.js';

t.test('a server that stops answers the request in hand and does not wait for its connection', async (t) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let arrived = false;
  const app = Fastify({ keepAliveTimeout: 3_600_000 });
  await app.register(idleConnectionsPlugin);
  app.get('/', async () => {
    arrived = true;
    await held;
    return 'done';
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const dispatcher = new Agent({ keepAliveTimeout: 3_600_000 });
  t.teardown(() => dispatcher.destroy());
  const answer = request(url, { dispatcher });
  await eventually('the request is in hand', () => arrived);
  const closed = app.close();
  await eventually('the server takes nothing more', () => !app.server.listening);
  release();
  const { statusCode, body } = await answer;
  t.same([statusCode, await body.text()], [200, 'done']);
  await closed;
  t.pass('it has stopped');
});

t.test('a server that stops does not wait for a connection without any request', async (t) => {
  const app = Fastify();
  await app.register(idleConnectionsPlugin);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const accepted = once(app.server, 'connection');
  const socket = connect(port, '127.0.0.1');
  const cut = once(socket, 'close');
  await accepted;
  await Promise.all([app.close(), cut]);
  t.pass('it has stopped');
});
