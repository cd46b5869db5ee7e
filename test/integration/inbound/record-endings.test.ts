import t from 'tap';
import { request } from 'undici';
import { eventually } from '../../harness/await.js';
import { noDialogLeft } from '../../harness/scene.js';
import { ENDINGS, playEndings, startEndingsScene } from '../../harness/scripted-endings.js';
import type { Stack } from '../../harness/stack.js';

const TIMES = 4;

/** Every call detail record, as a program that exports them reads it. */
async function allRecords({ api }: Stack) {
  const reply = await request(`${api.url}/v1/records`, {
    headers: { authorization: `Bearer ${api.tokens.reader}`, accept: 'application/x-ndjson' },
  });
  const text = await reply.body.text();
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
}

t.test(
  'every call has one record that joins both sides, however it ended and its webhooks came',
  async (t) => {
    const scene = await startEndingsScene(t);
    const { stack } = scene;
    const played = await playEndings(scene, TIMES, 12);
    t.equal(played.length, ENDINGS.length * TIMES);

    const whole = async () => {
      const records = new Map((await allRecords(stack)).map((record) => [record.sip_call_id, record]));
      const missing = played.filter(({ ending, callId }) => {
        const record = records.get(callId);
        return record === undefined || (ending.atRetell && record.retell_disconnection_reason === null);
      });
      if (missing.length > 0) throw new Error(missing.map(({ ending }) => ending.name).join('; '));
      return records;
    };
    const records = await eventually('every record is there and whole', whole);
    for (const { ending, callId } of played) {
      const record = records.get(callId);
      t.match(record?.explanation, ending.explanation, ending.name);
      if (ending.atRetell) t.match(record?.retell_matched_by, String, `${ending.name}: matched`);
    }
    t.equal(records.size, played.length, 'one each');

    await eventually('each is in the stream once', async () => {
      const entries = await stack.redis.xrange('calls:records', '-', '+');
      const first = entries.filter(([, [, , , version]]) => version === '1').map(([, [, id]]) => id);
      return first.length === played.length && new Set(first).size === first.length;
    });
    t.equal(await stack.redis.zcard('calls:open'), 0);
    await noDialogLeft(stack);
    t.same((await stack.api.get('/v1/webhooks/dead')).body.items, []);
  },
);
