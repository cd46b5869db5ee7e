import t from 'tap';
import { eventually } from '../harness/await.js';
import { byesTo, callsUp, jobOver } from '../harness/hangup-jobs.js';
import { noDialogLeft, recordOf, startScene } from '../harness/scene.js';
import { NUMBER } from '../harness/stack.js';

const ALL = { filter: {}, all: true };

t.test(
  'a job whose control plane is killed goes on after its restart, and no call is forgotten',
  async (t) => {
    const scene = await startScene(t, { controlPlane: 'process' });
    const { api, parts, redis } = scene.stack;
    const up = await callsUp(scene, 50, NUMBER);
    const { body } = await api.post('/v1/hangups', { ...ALL, rate: 50 });
    await eventually('some calls are ended', () => byesTo(scene.retell).length >= 5);
    await parts.controlPlane?.kill();
    const before = byesTo(scene.retell).length;
    t.ok(before < 50, `${before} of 50 were started before`);
    t.equal(await redis.hget(`hangups:job:${body.id}`, 'state'), 'running');
    await parts.controlPlane?.start();

    const job = await jobOver(scene.stack, body.id);
    t.match(job, { state: 'done', total: 50, pending: 0 });
    t.equal(job.outcomes.ended + job.outcomes.already_ended, 50);
    t.same(byesTo(scene.carrier), up, 'each carrier leg got one BYE');
    t.same(byesTo(scene.retell), up, 'each leg of Retell got one BYE');
    const results = (await api.get(`/v1/hangups/${body.id}/calls`)).body.items;
    t.equal(new Set(results.map(({ call_id }: { call_id: string }) => call_id)).size, 50);
    t.equal(results.length, 50);
    await noDialogLeft(scene.stack);
  },
);

t.test('a job waits for a Redis that is away, and goes on', async (t) => {
  const scene = await startScene(t);
  const { api, parts } = scene.stack;
  const up = await callsUp(scene, 30, NUMBER);
  const { body } = await api.post('/v1/hangups', { ...ALL, rate: 50 });
  await eventually('some calls are ended', () => byesTo(scene.retell).length >= 5);
  await parts.redis.kill();
  t.equal((await api.get(`/v1/hangups/${body.id}`)).status, 503);
  await parts.redis.start();
  const job = await jobOver(scene.stack, body.id);
  t.match(job, { state: 'done', total: 30, pending: 0 });
  for (const callId of up) await recordOf(scene.stack, callId, 'ended');
  t.same(byesTo(scene.carrier), up);
  t.same(byesTo(scene.retell), up);
});

t.test('calls whose node does not answer are tried again until it does', async (t) => {
  const scene = await startScene(t);
  const { api, parts } = scene.stack;
  const up = await callsUp(scene, 5, NUMBER);
  const group = parts.kamailio.pid ?? 0;
  process.kill(-group, 'SIGSTOP');
  t.teardown(() => process.kill(-group, 'SIGCONT'));
  const { body } = await api.post('/v1/hangups', ALL);
  await eventually('each was tried once', async () => {
    const refused = /hangups_total\{outcome="refused"\} (\d+)/.exec((await api.get('/metrics', 'none')).body);
    return Number(refused?.[1]) >= 5;
  });
  t.match((await api.get(`/v1/hangups/${body.id}`)).body, { state: 'running', pending: 5 });
  process.kill(-group, 'SIGCONT');
  // The node may still do what it was asked for while it hung: then the second try comes too late.
  const { ended, already_ended } = (await jobOver(scene.stack, body.id)).outcomes;
  t.equal(ended + already_ended, 5);
  t.same(byesTo(scene.carrier), up);
  t.same(byesTo(scene.retell), up);
});

t.test(
  'a control plane that stops leaves its job at once, and one that another replica works on is left alone',
  async (t) => {
    const scene = await startScene(t, { controlPlane: 'process' });
    const { api, parts, redis } = scene.stack;
    const up = await callsUp(scene, 10, NUMBER);
    const { body } = await api.post('/v1/hangups', { ...ALL, rate: 1 });
    await eventually('the first call is ended', () => byesTo(scene.retell).length >= 1);
    // Stopped as an operator would, it leaves the rest of the job at once.
    await parts.controlPlane?.stop();
    t.equal(await redis.exists(`hangups:lease:${body.id}`), 0);
    const left = await redis.zrange(`hangups:pending:${body.id}`, '0', '-1');
    t.equal(left.length, 10 - byesTo(scene.retell).length, 'what was in hand was finished');

    await redis.set(`hangups:lease:${body.id}`, 'another replica');
    await redis.config('RESETSTAT');
    await parts.controlPlane?.start();
    await eventually('it has looked for work twice', async () => {
      const stats = await redis.info('commandstats');
      return Number(/cmdstat_zrange:calls=(\d+)/.exec(stats)?.[1]) >= 2;
    });
    t.equal((await api.get(`/v1/hangups/${body.id}`)).body.pending, left.length);
    await redis.del(`hangups:lease:${body.id}`);
    await eventually('it goes on', () => byesTo(scene.retell).length > 10 - left.length);
    await api.post(`/v1/hangups/${body.id}/cancel`);
    t.ok(up.length > byesTo(scene.retell).length);
  },
);
