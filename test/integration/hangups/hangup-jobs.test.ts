import t from 'tap';
import { eventually, SILENCE_MS } from '../../harness/await.js';
import { byesTo, callsUp, jobOver } from '../../harness/hangup-jobs.js';
import {
  dial,
  noDialogLeft,
  recordOf,
  type Scene,
  type SceneOptions,
  startScene,
} from '../../harness/scene.js';
import { NUMBER, type TestLike } from '../../harness/stack.js';

const OTHER = '+14155550101';

/** A scene with two numbers to tell calls apart by. */
function sceneOfTwo(t: TestLike, options: SceneOptions = {}): Promise<Scene> {
  return startScene(t, { config: { numbers: [{ number: NUMBER }, { number: OTHER }] }, ...options });
}

t.test('a job ends the calls that fit its filter, on both legs, and no other', async (t) => {
  const scene = await sceneOfTwo(t);
  const { api } = scene.stack;
  const wanted = await callsUp(scene, 30, NUMBER);
  const others = await callsUp(scene, 15, OTHER);

  const body = { filter: { number: NUMBER, carrier: 'acme', node: 'node1' }, reason: 'maintenance' };
  const { status, headers, body: made } = await api.post('/v1/hangups', body);
  t.equal(status, 202);
  t.equal(headers.location, `/v1/hangups/${made.id}`);
  t.match(made, {
    by: 'all',
    reason: 'maintenance',
    filter: body.filter,
    rate: 500,
    total: 30,
    finished_at: null,
  });

  const job = await jobOver(scene.stack, made.id);
  t.match(job, {
    state: 'done',
    total: 30,
    pending: 0,
    outcomes: { ended: 30, already_ended: 0, partial: 0, failed: 0 },
    finished_at: /^\d{4}-.*Z$/,
  });
  t.same(byesTo(scene.carrier), wanted);
  t.same(byesTo(scene.retell), wanted);
  for (const callId of wanted) {
    const record = await recordOf(scene.stack, callId, 'ended');
    t.equal(record.ended_by, 'api');
  }
  for (const callId of others) await recordOf(scene.stack, callId, 'answered');

  const results = (await api.get(`/v1/hangups/${made.id}/calls`)).body;
  t.equal(results.next_cursor, null);
  t.equal(new Set(results.items.map(({ call_id }: { call_id: string }) => call_id)).size, 30);
  t.match(results.items[0], {
    outcome: 'ended',
    legs: [
      { leg: 'carrier', method: 'BYE', status: 200 },
      { leg: 'retell', method: 'BYE', status: 200 },
    ],
  });

  const rest = await api.post('/v1/hangups', { filter: {}, all: true });
  t.match((await jobOver(scene.stack, rest.body.id)).outcomes, { ended: 15 });
  t.same(byesTo(scene.retell), [...wanted, ...others].sort());
  await noDialogLeft(scene.stack);

  const listed = (await api.get('/v1/hangups')).body.items;
  t.same(
    listed.map(({ id }: { id: string }) => id),
    [rest.body.id, made.id],
    'the newest is first',
  );
  const metrics = (await api.get('/metrics', 'none')).body;
  t.match(metrics, 'retell_proxy_hangup_jobs_total{outcome="done"} 2');
  t.match(metrics, 'retell_proxy_hangups_total{outcome="ended"} 45');
});

t.test('a dry run says which calls fit, and sends nothing', async (t) => {
  const scene = await sceneOfTwo(t);
  const { api } = scene.stack;
  const wanted = await callsUp(scene, 3, NUMBER);
  await callsUp(scene, 2, OTHER);
  const { status, headers, body } = await api.post('/v1/hangups', {
    filter: { number: NUMBER },
    dry_run: true,
  });
  t.equal(status, 200);
  t.equal(headers.location, undefined);
  t.equal(body.matched, 3);
  const found: string[] = [];
  for (const id of body.calls) found.push((await api.get(`/v1/calls/${id}`)).body.sip_call_id);
  t.same(found.sort(), wanted);
  t.equal((await api.post('/v1/hangups', { filter: {}, all: true, dry_run: true })).body.matched, 5);
  t.same((await api.get('/v1/hangups')).body.items, []);
  t.same([byesTo(scene.carrier), byesTo(scene.retell)], [[], []]);
});

t.test('calls are named by id too: those that are open are ended, each once', async (t) => {
  const scene = await sceneOfTwo(t);
  const { api } = scene.stack;
  const up = await callsUp(scene, 4, NUMBER);
  const [first, second, third] = await Promise.all(up.map((id) => recordOf(scene.stack, id, 'answered')));
  await api.post(`/v1/calls/${third.id}/hangup`);
  const { body } = await api.post('/v1/hangups', {
    filter: { call_ids: [second.id, first.id, second.id, third.id, 'unknown'] },
  });
  t.match(body, { total: 2, filter: { call_ids: 5 } });
  t.match((await jobOver(scene.stack, body.id)).outcomes, { ended: 2 });
  t.same(byesTo(scene.retell), up.slice(0, 3));
});

t.test('the rate holds, and a cancelled job starts no further call', async (t) => {
  const scene = await sceneOfTwo(t);
  const { api } = scene.stack;
  const up = await callsUp(scene, 20, NUMBER);
  const { body } = await api.post('/v1/hangups', { filter: { number: NUMBER }, rate: 1 });
  await eventually('the first call is ended', () => byesTo(scene.retell).length > 0);
  const cancelled = await api.post(`/v1/hangups/${body.id}/cancel`);
  t.equal(cancelled.status, 200);
  t.match(cancelled.body, { state: 'cancelled', finished_at: /Z$/ });
  const ended = byesTo(scene.retell).length;
  t.ok(ended < 20, `${ended} of 20 were started`);
  const job = await eventually('the calls in hand have their outcome', async () => {
    const { body: now } = await api.get(`/v1/hangups/${body.id}`);
    return now.outcomes.ended === byesTo(scene.retell).length && now;
  });
  t.equal(job.pending, 20 - job.outcomes.ended);

  const again = await api.post(`/v1/hangups/${body.id}/cancel`);
  t.equal(again.status, 409);
  t.equal(again.body.code, 'hangup_job_finished');

  // A job that comes after it has the rest: had the cancelled one gone on, some would have ended already.
  const rest = await api.post('/v1/hangups', { filter: { number: NUMBER } });
  t.equal(rest.body.total, job.pending);
  t.match((await jobOver(scene.stack, rest.body.id)).outcomes, { ended: job.pending });
  t.same(byesTo(scene.carrier), up);
  t.same(byesTo(scene.retell), up);
  t.match((await api.get('/metrics', 'none')).body, 'retell_proxy_hangup_jobs_total{outcome="cancelled"} 1');
});

t.test('results are paged in order, and picked by outcome', async (t) => {
  const scene = await startScene(t, {
    config: { numbers: [{ number: NUMBER }, { number: OTHER }], calls: { hangup_timeout_ms: SILENCE_MS } },
  });
  const { api } = scene.stack;
  await callsUp(scene, 7, NUMBER);
  scene.retell.onInvite = (call) => {
    call.on('BYE', () => {});
    call.answer();
  };
  const silent = dial(scene, OTHER);
  await silent.answered();
  const { id: silentId } = await recordOf(scene.stack, silent.callId, 'answered');

  const { body } = await api.post('/v1/hangups', { filter: { direction: 'inbound' } });
  const job = await jobOver(scene.stack, body.id);
  t.match(job.outcomes, { ended: 7, partial: 1 });

  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '' : `&cursor=${cursor}`;
    const page = (await api.get(`/v1/hangups/${body.id}/calls?limit=3${query}`)).body;
    seen.push(...page.items.map(({ call_id }: { call_id: string }) => call_id));
    cursor = page.next_cursor;
  } while (cursor !== null);
  t.equal(seen.length, 8);
  t.equal(new Set(seen).size, 8);
  t.equal(seen.at(-1), silentId, 'the one that waited comes last');

  const partial = (await api.get(`/v1/hangups/${body.id}/calls?outcome=partial`)).body;
  t.match(partial, {
    items: [
      {
        call_id: silentId,
        outcome: 'partial',
        legs: [
          { leg: 'carrier', status: 200 },
          { leg: 'retell', status: 'timeout' },
        ],
      },
    ],
    next_cursor: null,
  });
  t.same((await api.get(`/v1/hangups/${body.id}/calls?outcome=failed`)).body.items, []);
});

t.test('a call that has ended meanwhile counts as already ended', async (t) => {
  const scene = await sceneOfTwo(t);
  const { api } = scene.stack;
  await callsUp(scene, 2, OTHER);
  const last = dial(scene, OTHER);
  await last.answered();
  await recordOf(scene.stack, last.callId, 'answered');
  const { body } = await api.post('/v1/hangups', { filter: { number: OTHER }, rate: 1 });
  t.equal(body.total, 3);
  await last.bye();
  await recordOf(scene.stack, last.callId, 'ended');
  t.match((await jobOver(scene.stack, body.id)).outcomes, { ended: 2, already_ended: 1 });
});
