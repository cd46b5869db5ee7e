import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { eventually } from '../harness/await.js';
import { oneCarrier } from '../harness/outbound.js';
import { nothingLeft } from '../harness/scene.js';
import { received, Stage } from '../harness/staged-calls.js';
import { notify, sidesOf, TARGET } from '../harness/transfers.js';

/** How a carrier plays its part, and what the transfer then comes to. */
const SCRIPTS = ['succeeded', 'failed', 'timed_out', 'rejected'] as const;
const CALLS = 100;
/** All of them at once keep a busy machine busy, in ms. */
const LONG_MS = 60_000;
/** A client whose request was not taken does not ask again at once, in ms. */
const RETRY_MS = 500;

t.test(
  '100 transfers at once each end once, as the wire says, right through two kills of the control plane',
  async (t) => {
    const stage = new Stage(
      await oneCarrier(t, {
        controlPlane: 'process',
        first: { transfer: { timeout_s: 12 } },
        config: { transfers: { per_minute: 10_000 } },
      }),
    );
    const { stack, carrier: peer, retell: retellPeer } = stage.scene;
    const controlPlane = stack.parts.controlPlane;
    const calls = await Promise.all(
      Array.from({ length: CALLS }, async (_, i) => {
        const direction = i % 2 === 0 ? 'inbound' : 'outbound';
        const call = await stage.answered(direction);
        const script = SCRIPTS[Math.floor(i / 2) % SCRIPTS.length] as (typeof SCRIPTS)[number];
        return { call, script, ...sidesOf(call, direction) };
      }),
    );
    let refers = 0;
    let goOn: () => void = () => {};
    const half = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    for (const { carrier, script } of calls) {
      carrier.on('REFER', (refer) => {
        refers += 1;
        if (refers === CALLS / 2) goOn();
        if (script === 'rejected') return refer.reply(603);
        refer.reply(202);
        void (async () => {
          for (const status of [100, 180]) await notify(carrier, status);
          if (script !== 'timed_out') await notify(carrier, script === 'succeeded' ? 200 : 486);
        })();
      });
    }
    const posts = calls.map(async ({ call }) => {
      const post = () => stack.api.post(`/v1/calls/${call.id}/transfers`, { to: TARGET });
      // What a client does whose connection broke: it looks whether there is a transfer, and asks again where there is none.
      const taken = async () => {
        const reply = await post().catch(() => undefined);
        if (reply !== undefined && [202, 409].includes(reply.status)) return true;
        await delay(RETRY_MS);
        return false;
      };
      await eventually('a transfer of the call', taken, LONG_MS);
    });
    // One that is never taken fails the test here.
    await Promise.race([half, Promise.all(posts)]);
    for (const _ of ['once', 'and again']) {
      await controlPlane?.kill();
      await controlPlane?.start();
    }
    await Promise.all(posts);
    const states = await Promise.all(
      calls.map(({ call }) =>
        eventually(
          `the end of the transfer of ${call.id}`,
          async () => {
            const { body } = await stack.api.get(`/v1/calls/${call.id}`);
            const open = body.transfers?.filter(
              ({ ended_at }: { ended_at: string | null }) => ended_at === null,
            );
            return open?.length === 0 && body.transfers.length > 0 ? body : undefined;
          },
          LONG_MS,
        ),
      ),
    );
    for (const [i, record] of states.entries()) {
      const { call, script } = calls[i] as (typeof calls)[number];
      const sent = received(peer, 'REFER', call.caller);
      const outcomes = record.transfers.map(({ state }: { state: string }) => state);
      const unsent = outcomes.length - sent;
      // A REFER was never sent because its control plane was killed just then, or because the node did not answer.
      for (const outcome of outcomes.slice(0, unsent))
        t.match(outcome, /^(timed_out|failed)$/, `call ${i}, not sent`);
      t.same(outcomes.slice(unsent), Array(sent).fill(script), `call ${i}, ${script}`);
      const ends = record.timeline.filter(({ type }: { type: string }) => type === 'transfer_ended');
      t.equal(ends.length, record.transfers.length, 'each has one end');
      t.equal(received(retellPeer, 'NOTIFY', call.caller), 0);
    }
    await Promise.all(
      calls.map(async ({ carrier, retell }, i) => {
        if (states[i].transfers.at(-1).state !== 'succeeded') await retell.bye();
        await Promise.all([carrier.ended, retell.ended]);
      }),
    );
    await eventually('no open record', async () => (await stack.redis.zcard('calls:open')) === 0);
    await nothingLeft(t, stage.scene);
  },
);
