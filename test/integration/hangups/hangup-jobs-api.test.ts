import t from 'tap';
import { jobOver } from '../../harness/hangup-jobs.js';
import { startStack } from '../../harness/stack.js';

const GATEWAYS = [{ uri: 'sip:127.0.0.3:5060' }];

t.test('what is wrong with a job is told by its field', async (t) => {
  const { api } = await startStack(t, { gateways: GATEWAYS });
  const cases = [
    [{}, 'body.filter', /filter/],
    [{ filter: {} }, 'body.filter', /"all": true/],
    [{ filter: { carrier: 'acme' }, all: true }, 'body.all', /empty filter/],
    [{ filter: { carrier: 'acm' } }, 'body.filter.carrier', /acm is not in the configuration/],
    [{ filter: { number: '+14155550199' } }, 'body.filter.number', /not in the configuration/],
    [{ filter: { node: 'node9' } }, 'body.filter.node', /not in the configuration/],
    [{ filter: { node: 'node9' }, dry_run: true }, 'body.filter.node', /not in the configuration/],
    [{ filter: { colour: 'red' } }, 'body.filter.colour', /additional/],
    [{ filter: { state: 'ended' } }, 'body.filter.state', /./],
    [{ filter: { older_than_s: 0 } }, 'body.filter.older_than_s', />= 1/],
    [{ filter: { older_than_s: null } }, 'body.filter.older_than_s', />= 1/],
    [{ filter: { carrier: null } }, 'body.filter.carrier', /./],
    [{ filter: { call_ids: [] } }, 'body.filter.call_ids', /./],
    [{ filter: { call_ids: Array(10_001).fill('x') } }, 'body.filter.call_ids', /10000/],
    [{ filter: { carrier: 'acme' }, rate: 0 }, 'body.rate', />= 1/],
    [{ filter: { carrier: 'acme' }, rate: 2001 }, 'body.rate', /<= 2000/],
    [{ filter: { carrier: 'acme' }, reason: '' }, 'body.reason', /./],
    [{ filter: { carrier: 'acme' }, soon: true }, 'body.soon', /additional/],
  ] as const;
  for (const [body, field, message] of cases) {
    const reply = await api.post('/v1/hangups', body);
    t.equal(reply.status, 400, field);
    t.equal(reply.body.code, 'validation_failed');
    t.match(reply.body.errors, [{ field, message }]);
    t.match(reply.body.detail, field);
  }
  const cursor = await api.get('/v1/hangups/any/calls?cursor=x');
  t.equal(cursor.status, 404, 'a job that is not there has no cursor either');
  t.same((await api.get('/v1/hangups')).body.items, []);
});

t.test('a job needs the scope control, and its reading read', async (t) => {
  const { api } = await startStack(t, { gateways: GATEWAYS });
  const body = { filter: {}, all: true };
  const cases = [
    [await api.post('/v1/hangups', body, 'reader'), 403],
    [await api.post('/v1/hangups', { ...body, dry_run: true }, 'reader'), 403],
    [await api.post('/v1/hangups/any/cancel', undefined, 'reader'), 403],
    [await api.get('/v1/hangups', 'reader'), 200],
    [await api.post('/v1/hangups', body, 'none'), 401],
    [await api.get('/v1/hangups', 'none'), 401],
    [await api.get('/v1/hangups/any', 'none'), 401],
    [await api.get('/v1/hangups/any/calls', 'none'), 401],
  ] as const;
  for (const [reply, status] of cases) t.equal(reply.status, status);
});

t.test('an unknown job is not found, and one without calls is done at once', async (t) => {
  const { api, ...stack } = await startStack(t, { gateways: GATEWAYS });
  for (const reply of [
    await api.get('/v1/hangups/unknown'),
    await api.get('/v1/hangups/unknown/calls'),
    await api.post('/v1/hangups/unknown/cancel'),
  ]) {
    t.equal(reply.status, 404);
    t.equal(reply.body.code, 'hangup_job_not_found');
  }
  const ids = Array.from({ length: 10_000 }, (_, i) => `${i}`.padStart(36, '0'));
  const { status, body } = await api.post('/v1/hangups', { filter: { call_ids: ids } });
  t.equal(status, 202);
  const job = await jobOver({ api, ...stack }, body.id);
  t.match(job, { state: 'done', total: 0, pending: 0, filter: { call_ids: 10_000 } });
  const cursor = await api.get(`/v1/hangups/${body.id}/calls?cursor=x`);
  t.equal(cursor.status, 400);
  t.match(cursor.body.detail, 'querystring.cursor');
  for (const kind of ['job', 'results', 'pending', 'lease'])
    t.not(await stack.redis.ttl(`hangups:${kind}:${body.id}`), -1, `${kind} does not stay for ever`);
});
