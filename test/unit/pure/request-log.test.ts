import Fastify from 'fastify';
import t from 'tap';
import { RequestLog } from '../../../control-plane/src/http/request-log.js';
import { createLogger } from '../../../control-plane/src/log.js';

t.test('a route that logs refusals only says nothing of the rest, and one line of each', async (t) => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('info', 'full', { write: (line: string) => void lines.push(JSON.parse(line)) });
  const app = Fastify({ loggerInstance: log, logController: new RequestLog() });
  t.teardown(() => app.close());
  app.get('/each', async () => 'done');
  app.get<{ Params: { status: number } }>(
    '/refusals/:status',
    { config: { logsRefusalsOnly: true } },
    async (request, reply) => reply.code(Number(request.params.status)).send('done'),
  );
  const messagesOf = async (url: string) => {
    lines.length = 0;
    await app.inject(url);
    return lines.map(({ msg }) => msg);
  };
  t.same(await messagesOf('/each'), ['incoming request', 'request completed']);
  t.same(await messagesOf('/refusals/204'), []);
  t.same(await messagesOf('/refusals/401'), ['request refused']);
  t.match(lines, [{ req: { method: 'GET', url: '/refusals/401' }, res: { statusCode: 401 }, reqId: /./ }]);
  t.same(await messagesOf('/refusals/503'), ['request refused']);
});
