import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { sign } from 'retell-sdk';
import t from 'tap';
import { request } from 'undici';
import { CallStore } from '../../control-plane/src/calls/store.js';
import { eventually } from '../harness/await.js';
import { NUMBER, startStack } from '../harness/stack.js';

const KEY = 'key_0123456789abcdef';
const CALLS = 667;
/** How long the control plane serves before it is killed, in ms. */
const KILL_AFTER_MS = 3000;
/** On a slow machine it gets on with little between two kills. */
const MOST_KILLS = 6;
/** Pause of each of the eight senders between two webhooks, in ms: so they last for several kills. */
const PAUSE_MS = 40;
const EVENTS = ['call_started', 'call_ended', 'call_analyzed'] as const;

t.test(
  'every webhook that was answered 2xx is in its record, right through kills and a restart of Redis',
  async (t) => {
    const stack = await startStack(t, {
      controlPlane: 'process',
      gateways: [{ uri: 'sip:127.0.0.3:5999' }],
      config: { retell: { webhook_keys: [KEY] } },
    });
    const store = new CallStore(stack.redis, 3600);
    const calls = Array.from({ length: CALLS }, (_, i) => ({ id: randomUUID(), call_id: `call_${i}` }));
    const atMs = Date.now();
    await store.merge(
      calls.map(({ id }) => ({
        id,
        atMs,
        fields: { direction: 'inbound', number: NUMBER, created_at: String(atMs) },
      })),
    );

    let answered = 0;
    /** As Retell does: again where no 2xx came, with a new signature. */
    const deliver = async (event: string, { id, call_id }: (typeof calls)[number]) => {
      const body = JSON.stringify({
        event,
        call: {
          ...{ call_id, call_type: 'phone_call', call_status: 'ended', from_number: '+14155550123' },
          ...{ to_number: NUMBER, start_timestamp: atMs, metadata: { call_ref: id } },
          ...(event !== 'call_started' && {
            end_timestamp: atMs + 5000,
            disconnection_reason: 'user_hangup',
          }),
        },
      });
      await eventually(
        `${event} of ${call_id} is answered`,
        async () => {
          const reply = await request(`${stack.api.url}/webhooks/retell`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'x-retell-signature': await sign(body, KEY) },
            body,
            headersTimeout: 5000,
          });
          await reply.body.dump();
          return reply.statusCode === 204;
        },
        60_000,
      );
      answered += 1;
    };
    const work = calls.flatMap((call) => EVENTS.map((event) => () => deliver(event, call)));
    // Shuffled: every third, then the next ones.
    const lanes = [0, 1, 2].flatMap((lane) => work.filter((_, i) => i % 3 === lane).reverse());
    const hands = Array.from({ length: 8 }, async () => {
      for (let next = lanes.pop(); next !== undefined; next = lanes.pop()) {
        await next();
        await delay(PAUSE_MS);
      }
    });
    const { controlPlane, redis } = stack.parts;
    let kills = 0;
    while (lanes.length > 0 && kills < MOST_KILLS) {
      await delay(KILL_AFTER_MS);
      await controlPlane?.kill();
      kills += 1;
      if (kills === 2) {
        await redis.kill();
        await redis.start();
      }
      await controlPlane?.start();
    }
    await Promise.all(hands);
    t.ok(kills >= 3, `${kills} kills`);
    t.equal(answered, work.length);

    for (const { id, call_id } of calls) {
      const record = await eventually(`all is written of ${call_id}`, async () => {
        const found = await store.get(id);
        const told = found?.timeline.filter(({ type }) => type.startsWith('retell_call_'));
        return told?.length === EVENTS.length ? found : undefined;
      });
      t.match(record, {
        retell_call_id: call_id,
        retell_ended_at: atMs + 5000,
        retell_disconnection_reason: 'user_hangup',
      });
    }
    await eventually('nothing waits', async () => (await stack.redis.xlen('retell:webhooks')) === 0);
  },
);
