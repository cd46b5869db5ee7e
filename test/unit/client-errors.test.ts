import { connect } from 'node:net';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { answerClientError } from '../../control-plane/src/http/client-errors.js';

/** What the server answers to these bytes before it closes the connection. */
async function answerTo(t: Test, bytes: string) {
  const app = Fastify({
    requestTimeout: 100,
    http: { connectionsCheckingInterval: 20, headersTimeout: 50 },
    clientErrorHandler: answerClientError,
  });
  t.teardown(() => app.close());
  app.post('/', async () => ({}));
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
  let text = '';
  for await (const chunk of socket) text += chunk;
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { head, body: JSON.parse(body) };
}

const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n';

for (const [what, bytes, status, code] of [
  ['a body that does not come', `${HEAD}\r\n{"event":`, 408, 'request_timeout'],
  ['headers that do not come', HEAD, 408, 'request_timeout'],
  ['headers that are too long', `${HEAD}X-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
  ['what is no HTTP', 'hello\r\n\r\n', 400, 'bad_request'],
] as const) {
  t.test(`${what}: ${status}, and the connection is closed`, async (t) => {
    const { head, body } = await answerTo(t, bytes);
    t.match(head, new RegExp(`^HTTP/1.1 ${status} .*application/problem\\+json`, 's'));
    t.match(body, { status, code, instance: String });
  });
}
