import t from 'tap';
import { DETAIL_RECORDS } from '../../../control-plane/src/calls/detail-records.js';
import { ANSWERED, recordsScene } from '../records-fixture.js';

const END = { ended_at: '1790000002000', ended_by: 'carrier' };

t.test('an ended call has one detail record, and an amendment for what comes late', async (t) => {
  const { redis, merge, writeDue } = await recordsScene(t);
  const id = await merge(ANSWERED);
  t.same(await writeDue(), [], 'a call that is up has none');
  await merge(END, id);
  t.same(await writeDue(), [1]);
  await merge(END, id);
  await merge({ 't:1790000002000001:bye_answered': '{}' }, id);
  t.same(await writeDue(), [], 'what is not in it amends nothing');
  await merge({ retell_disconnection_reason: 'user_hangup' }, id);
  t.same(await writeDue(), [2]);
  const entries = await redis.xrange(DETAIL_RECORDS, '-', '+');
  t.match(
    entries.map(([, [, of, , version, , record]]) => [of, version, JSON.parse(record as string)]),
    [
      [id, '1', { id, ended_by: 'carrier', retell_disconnection_reason: null }],
      [id, '2', { id, ended_by: 'carrier', retell_disconnection_reason: 'user_hangup' }],
    ],
  );
});

t.test('writing the same detail record again writes nothing', async (t) => {
  const { redis, merge, detailRecords } = await recordsScene(t);
  const id = await merge({ ...ANSWERED, ...END });
  const versions: number[] = [];
  const writers = [1, 2, 3].map(() => detailRecords.write([id], (version) => versions.push(version)));
  await Promise.all(writers);
  t.same(versions, [1], 'one of the writers is told of it');
  t.equal(await redis.xlen(DETAIL_RECORDS), 1);
});

t.test('records are listed in the order of their ends, by time, carrier and page', async (t) => {
  const { merge, get } = await recordsScene(t);
  const ids: string[] = [];
  for (let n = 0; n < 5; n += 1) {
    const carrier = n === 3 ? 'other' : 'acme';
    const ended_at = String(1790000010000 - n * 1000);
    ids.unshift(await merge({ ...ANSWERED, carrier, ...END, ended_at }));
  }
  await merge(ANSWERED);
  const list = async (query: string) => {
    const { status, text } = await get(`/v1/records?${query}`);
    t.equal(status, 200, text);
    const { items, next_cursor } = JSON.parse(text);
    return { ids: items.map(({ id }: { id: string }) => id), next_cursor };
  };
  t.same(await list(''), { ids, next_cursor: null });
  t.same((await list('carrier=other')).ids, [ids[1]]);
  const iso = (ms: number) => new Date(ms).toISOString();
  const range = `from=${iso(1790000007000)}&to=${iso(1790000009000)}`;
  t.same((await list(range)).ids, [ids[1], ids[2]]);
  const first = await list('limit=3');
  t.same(first.ids, ids.slice(0, 3));
  t.same(await list(`limit=3&cursor=${first.next_cursor}`), { ids: ids.slice(3), next_cursor: null });
  t.match(await get('/v1/records?cursor=none'), { status: 400, text: /cursor/ });
  t.match(await get('/v1/records?from=yesterday'), { status: 400, text: /querystring.from/ });
});

t.test('all records of a time come as JSON Lines or CSV', async (t) => {
  const { merge, get } = await recordsScene(t);
  const COUNT = 450;
  for (let n = 0; n < COUNT; n += 1) {
    await merge({ ...ANSWERED, ...END, ended_at: String(1790000002000 + n), reason: 'a "word", said' });
  }
  const lines = await get('/v1/records', { accept: 'application/x-ndjson' });
  t.equal(lines.type, 'application/x-ndjson');
  const records = lines.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.equal(records.length, COUNT);
  t.match(records[0], { from: ANSWERED.from, reason: 'a "word", said' });
  const csv = await get('/v1/records', { accept: 'text/csv' });
  t.match(csv.type, /^text\/csv/);
  const [head, row, ...rest] = csv.text.trim().split('\n');
  t.match(head, /^id,direction,carrier,/);
  t.match(row, /,"a ""word"", said",/);
  t.equal(rest.length, COUNT - 1);
});
