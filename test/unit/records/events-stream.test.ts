import { PassThrough } from 'node:stream';
import t from 'tap';
import type { FeedItem } from '../../../control-plane/src/calls/event-feed.js';
import { PUBLIC_EVENTS } from '../../../control-plane/src/calls/public-events.js';
import { writeEvents } from '../../../control-plane/src/http/event-stream.js';
import { type ReceivedEvent, readEvents } from '../../harness/event-client.js';
import { ANSWERED, recordsScene, TOKEN } from '../records-fixture.js';

const OPTIONS = { token: TOKEN };

t.test(
  'a follower that is cut and comes back twenty times misses nothing and sees nothing twice',
  async (t) => {
    const { redis, url, merge } = await recordsScene(t);
    const CALLS = 200;
    const writing = (async () => {
      for (let n = 0; n < CALLS; n += 1) {
        const id = await merge(ANSWERED);
        await merge({ ended_at: '1790000002000', ended_by: 'carrier' }, id);
      }
    })();
    const seen: ReceivedEvent[] = [];
    const all = CALLS * 3;
    let after = '0-0';
    for (let connection = 1; connection <= 21; connection += 1) {
      const until = connection === 21 ? all : Math.floor((connection * all) / 21);
      await readEvents(`${url}/v1/events`, { ...OPTIONS, after }, (event) => {
        seen.push(event);
        after = event.id ?? after;
        return seen.length < until;
      });
    }
    await writing;
    const written = (await redis.xrange(PUBLIC_EVENTS, '-', '+')).map(([id]) => id);
    t.same(
      seen.map(({ id }) => id),
      written,
    );
    t.match(seen[0], {
      event: 'call.created',
      data: { type: 'call.created', data: { call: { from: ANSWERED.from, carrier: 'acme' } } },
    });
  },
);

t.test('only events of the wanted types, carrier and call are sent, those from now on', async (t) => {
  const { url, merge } = await recordsScene(t);
  await merge(ANSWERED);
  const seen: ReceivedEvent[] = [];
  const follow = (query: string, count: number) =>
    readEvents(`${url}/v1/events?${query}`, OPTIONS, (event) => seen.push(event) < count);
  let started = false;
  const following = follow('type=call.ended&type=transfer.requested&carrier=acme', 2);
  const writing = (async () => {
    while (!started || seen.length < 2) {
      started = true;
      const id = await merge(ANSWERED);
      await merge({ ended_at: '1790000002000', ended_by: 'carrier' }, id);
      const other = await merge({ ...ANSWERED, carrier: 'other' });
      await merge({ ended_at: '1790000002000', ended_by: 'carrier' }, other);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await Promise.all([following, writing]);
  t.ok(seen.every(({ event, data }) => event === 'call.ended' && data.data.call.carrier === 'acme'));

  const id = await merge(ANSWERED);
  seen.length = 0;
  await readEvents(
    `${url}/v1/events?call=${id}`,
    { ...OPTIONS, after: '0-0' },
    (event) => seen.push(event) < 2,
  );
  t.same(
    seen.map(({ event, data }) => [event, data.data.call_id]),
    [
      ['call.created', id],
      ['call.answered', id],
    ],
  );
});

t.test('a follower whose place is not kept any more is told of the gap', async (t) => {
  const { redis, url, merge } = await recordsScene(t);
  await merge(ANSWERED);
  const [first] = await redis.xrange(PUBLIC_EVENTS, '-', '+');
  await merge(ANSWERED);
  await redis.xtrim(PUBLIC_EVENTS, 'MAXLEN', '=', 1);
  const seen: string[] = [];
  await readEvents(
    `${url}/v1/events`,
    { ...OPTIONS, after: first?.[0] },
    (event) => seen.push(event.event) < 2,
  );
  t.same(seen, ['gap', 'call.answered']);
});

t.test('a Last-Event-ID and a type that are none are refused', async (t) => {
  const { get } = await recordsScene(t);
  const bad = await get('/v1/events', { 'last-event-id': 'yesterday' });
  t.match(bad, { status: 400, text: /Last-Event-ID/ });
  t.match(await get('/v1/events?type=call.flew'), { status: 400, text: /querystring/ });
});

t.test('a reader that takes nothing is dropped with a word, and nothing piles up for it', async (t) => {
  let made = 0;
  async function* endless(): AsyncGenerator<FeedItem> {
    for (;;) {
      made += 1;
      yield {
        event: {
          ...{ id: `${made}-0`, type: 'call.created', at: made, call_id: 'x'.repeat(1000) },
          ...{ direction: 'inbound', carrier: undefined, transfer_id: undefined },
        },
        call: undefined,
      };
    }
  }
  const out = new PassThrough();
  const dropped = await writeEvents(endless(), out, new AbortController().signal, 50);
  t.equal(dropped, true);
  t.ok(made < 100, `${made} events were made for it`);
  let text = '';
  for await (const chunk of out) text += chunk;
  t.match(text, /event: dropped\ndata: \{"reason":"nothing was taken for 0.05 s"\}\n\n$/);
});
