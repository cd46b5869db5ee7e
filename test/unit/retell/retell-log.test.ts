import Fastify from 'fastify';
import { Redis } from 'ioredis';
import t from 'tap';
import { CallChanges } from '../../../control-plane/src/calls/changes.js';
import { Hangup } from '../../../control-plane/src/calls/hangup/hangup.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { errorsPlugin } from '../../../control-plane/src/http/plugins/errors.js';
import { callRoutes } from '../../../control-plane/src/http/routes/calls.js';
import { createLogger } from '../../../control-plane/src/log.js';
import { startRedis } from '../retell-fixture.js';

t.test("the log shows requests without Retell's id of a call", async (t) => {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  const id = 'id1';
  await store.merge([
    { id, atMs: Date.now(), fields: { retell_call_id: 'call_secret', sip_call_id: 'a@b' } },
  ]);

  const lines: string[] = [];
  const log = createLogger('trace', 'full', { write: (line: string) => void lines.push(line) });
  const app = Fastify({ loggerInstance: log });
  await app.register(errorsPlugin);
  const hangup = new Hangup({ store, changes: new CallChanges(redis), nodes: new Map(), timeoutMs: 100 });
  await app.register(callRoutes, { store, hangup, hangupDone: () => {} });
  t.teardown(() => app.close());

  const found = await app.inject('/v1/calls/retell:call_secret');
  t.equal(found.json().id, id);
  t.equal((await app.inject('/v1/calls/retell%3Acall_secret')).json().id, id);
  t.equal((await app.inject('/v1/calls?limit=5&retell_call_id=call_secret')).json().items[0].id, id);
  t.equal(
    (await app.inject('/v1/calls?retell_call_id=call_secret&sip_call_id=a@b')).json().items[0].id,
    id,
    'both name the same call',
  );
  t.same((await app.inject('/v1/calls?retell_call_id=call_secret&sip_call_id=other')).json().items, []);
  const refused = await app.inject({
    method: 'POST',
    url: '/v1/calls/retell:call_secret/hangup',
    payload: {},
  });
  t.equal(refused.json().code, 'node_unknown');

  const written = lines.join('');
  t.match(written, '/v1/calls/retell:[redacted]/hangup');
  t.match(written, '/v1/calls?limit=5&retell_call_id=[redacted]');
  t.notMatch(written, 'call_secret');
});
