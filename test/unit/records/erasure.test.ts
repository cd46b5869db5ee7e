import t from 'tap';
import { DETAIL_RECORDS } from '../../../control-plane/src/calls/detail-records.js';
import { matchFields, timeline } from '../../../control-plane/src/calls/record.js';
import { retellDetailsField } from '../../../control-plane/src/calls/retell-details.js';
import { transferFields } from '../../../control-plane/src/calls/transfer/transfer.js';
import { ANSWERED, recordsScene } from '../records-fixture.js';

const PERSON = '+14155550123';
const SAID = 'my name is';
const TOLD = {
  ...ANSWERED,
  ...matchFields('call_secret', 'metadata'),
  ...retellDetailsField('call_ended', { transcript: SAID }),
  ...transferFields.requested('t1', {
    ...{ source: 'api', by: 'ops', to: PERSON, refer_to: `sip:${PERSON}@192.0.2.1`, on_failure: 'resume' },
    ...{ requested_at: 1, timeout_s: 60, warnings: [] },
  }),
  ...timeline({ at: 1, type: 'refer_received' }, { refer_to: PERSON }),
};
const END = { ended_at: '1790000002000', ended_by: 'carrier' };

t.test('of a call whose data is erased nothing is left that leads to a person', async (t) => {
  const { redis, send, get, merge, writeDue, store } = await recordsScene(t);
  const id = await merge({ ...TOLD, ...END });
  t.same(await writeDue(), [1]);
  t.equal((await send('DELETE', `/v1/calls/sip:${TOLD.sip_call_id}/data`)).status, 204);
  for (const key of await redis.keys('*')) {
    const dump = JSON.stringify(
      await redis
        .hgetall(key)
        .catch(() => redis.xrange(key, '-', '+'))
        .catch(() => redis.get(key))
        .catch(() => redis.zrange(key, '0', '-1')),
    );
    for (const trace of [PERSON, SAID, 'call_secret', TOLD.sip_call_id]) {
      t.notOk(dump.includes(trace) || key.includes(trace), `${trace} in ${key}`);
    }
  }
  const { text } = await get('/v1/records');
  t.match(JSON.parse(text).items, [
    {
      ...{ id, carrier: 'acme', number: TOLD.number, ended_by: 'carrier', sip_status: 200 },
      ...{ from: null, to: null, retell_call_id: null, transfers: [], erased_at: /^20/ },
    },
  ]);
  t.same(
    (await redis.xrange(DETAIL_RECORDS, '-', '+')).map(([, fields]) => fields.slice(0, 3)),
    [['id', id, 'erased_at']],
  );

  await merge({ from: PERSON, retell_disconnection_reason: 'late' }, id);
  t.match(await store.get(id), { from: undefined, retell_disconnection_reason: undefined });
  t.equal((await send('DELETE', `/v1/calls/${id}/data`)).status, 204, 'once more changes nothing');
  t.equal(await redis.xlen(DETAIL_RECORDS), 1);
});

t.test('data of a call that is up, or of none, is not erased', async (t) => {
  const { send, merge, store } = await recordsScene(t);
  const id = await merge(TOLD);
  t.match(await send('DELETE', `/v1/calls/${id}/data`), { status: 409, text: /"call_not_ended"/ });
  t.match(await store.get(id), { from: PERSON });
  t.match(await send('DELETE', '/v1/calls/none/data'), { status: 404, text: /"call_not_found"/ });
});
