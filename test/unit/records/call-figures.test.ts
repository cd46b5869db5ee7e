import t from 'tap';
import { CallFigures } from '../../../control-plane/src/calls/call-figures.js';
import { recordsScene } from '../records-fixture.js';

const NOW = Date.now();
const at = (secondsAgo: number) => String(NOW - secondsAgo * 1000);
const INVITED = { direction: 'inbound', carrier: 'acme', sip_call_id: 'x', invited_at: at(100) };
const ended = (by: string, status: number, secondsAgo = 10) => ({
  ended_at: at(secondsAgo),
  ended_by: by,
  sip_status: String(status),
});

t.test('the last hour: a redirect is no failed attempt, and only answered calls have a delay', async (t) => {
  const { redis, store, merge } = await recordsScene(t);
  const figures = new CallFigures(redis, store);
  t.match(await figures.lastHour(NOW), { isPart: false, all: { attempts: 0, ser: undefined }, failed: [] });
  await merge({ ...INVITED, ringing_at: at(99), answered_at: at(95), ...ended('carrier', 200) });
  await merge({ ...INVITED, answered_at: at(97), ...ended('retell', 200) });
  await merge({ ...INVITED, ...ended('failure', 302, 8) }, 'redirected');
  await merge({ ...INVITED, ...ended('failure', 486, 5) }, 'busy');
  await merge({ ...INVITED, ...ended('carrier', 487) }, 'gave up');
  await merge({ ...INVITED, direction: 'outbound', ...ended('carrier', 603, 6) }, 'refused');
  await merge({ ...INVITED, ...ended('api', 480) }, 'hung up');
  await merge({ ...INVITED, ...ended('failure', 503, 4000) }, 'long ago');
  await merge(
    { direction: 'outbound', requested_by: 'ops', created_at: at(9), ...ended('failure', 0, 7) },
    'unplaced',
  );
  const hour = await figures.lastHour(NOW);
  t.same(hour.all, { attempts: 7, answered: 2, ser: 2 / 6, srd_median_ms: 1000, srd_p95_ms: 3000 });
  t.match(hour.outbound, { attempts: 1, answered: 0, ser: 0, srd_median_ms: undefined });
  t.same(
    hour.failed.map(({ id }) => id),
    ['busy', 'refused', 'unplaced', 'redirected'],
    'the newest first',
  );
});

t.test('calls that are up are counted by carrier, direction and state', async (t) => {
  const { redis, store, merge } = await recordsScene(t);
  const figures = new CallFigures(redis, store);
  t.same(await figures.open(), { total: 0, counted: 0, rows: [] });
  await merge(INVITED);
  await merge({ ...INVITED, ringing_at: at(99) });
  await merge({ ...INVITED, ringing_at: at(99), answered_at: at(95) });
  await merge({ ...INVITED, answered_at: at(95), ...ended('carrier', 200) });
  await merge({ direction: 'outbound', sip_call_id: 'y', created_at: at(3) });
  t.same(await figures.open(), {
    ...{ total: 4, counted: 4 },
    rows: [
      { carrier: undefined, direction: 'outbound', routing: 1, ringing: 0, answered: 0 },
      { carrier: 'acme', direction: 'inbound', routing: 1, ringing: 1, answered: 1 },
    ],
  });
});
