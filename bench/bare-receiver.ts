import Fastify from 'fastify';
import { verify } from 'retell-sdk';

/** The least that a receiver of webhooks has to do: check the signature and answer. Takes host, port and key. */
const [host = '', port = '', key = ''] = process.argv.slice(2);
const app = Fastify({ bodyLimit: 1024 * 1024 });
app.removeAllContentTypeParsers();
app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (_request, body, done) =>
  done(null, body),
);
app.post('/webhooks/retell', async (request, reply) => {
  const signature = String(request.headers['x-retell-signature']);
  return reply.code((await verify(request.body as string, key, signature)) ? 204 : 401).send();
});
await app.listen({ host, port: Number(port) });
