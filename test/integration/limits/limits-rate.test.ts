import t from 'tap';
import {
  burst,
  hangUp,
  inboundBurst,
  type Limits,
  limitedScene,
  withinOneSecond,
} from '../../harness/bursts.js';
import { answering, twoCarriers } from '../../harness/outbound.js';
import { dialOut, noDialogLeft } from '../../harness/scene.js';
import { NUMBER } from '../../harness/stack.js';

const FIVE: Limits = { calls_per_second: 5 };
const OTHER_NUMBER = '+14155550101';

for (const [limit, { ofCarrier, config }] of Object.entries({
  carrier: { ofCarrier: FIVE, config: {} },
  number: { ofCarrier: undefined, config: { numbers: [{ number: NUMBER, limits: FIVE }] } },
  overall: { ofCarrier: undefined, config: { calls: { limits: FIVE } } },
})) {
  t.test(`${limit} limit: of 50 calls in one second 5 pass, and 5 more in the next`, async (t) => {
    const scene = await limitedScene(t, ofCarrier, { config });
    answering(scene.retell);
    for (const second of ['one second', 'another one']) {
      const { up, refused } = await withinOneSecond(
        () => inboundBurst(scene, 50),
        (tried) => hangUp(tried.up),
      );
      t.equal(up.length, 5, second);
      t.equal(refused.length, 45);
      t.ok(refused.every((response) => response.status === 503 && response.get('retry-after') === '10'));
      await hangUp(up);
    }
    await noDialogLeft(scene.stack);
  });
}

t.test('a call that one limit refuses does not count for another', async (t) => {
  const scene = await limitedScene(t, FIVE, {
    config: {
      calls: { limits: { ...FIVE } },
      numbers: [{ number: NUMBER, limits: { calls_per_second: 1 } }, { number: OTHER_NUMBER }],
    },
  });
  answering(scene.retell);
  const { limited, free } = await withinOneSecond(
    async () => ({
      limited: await inboundBurst(scene, 10, NUMBER),
      free: await inboundBurst(scene, 10, OTHER_NUMBER),
    }),
    async (tried) => hangUp([...tried.limited.up, ...tried.free.up]),
  );
  t.equal(limited.up.length, 1);
  t.equal(free.up.length, 4);
  await hangUp([...limited.up, ...free.up]);
  await noDialogLeft(scene.stack);
});

t.test('outbound calls over the rate of a carrier go to the next one', async (t) => {
  const scene = await twoCarriers(t, { first: { limits: FIVE }, second: { limits: { ...FIVE } } });
  answering(scene.carrier);
  const before = { first: 0, second: 0 };
  const { up, refused } = await withinOneSecond(
    () => burst(() => dialOut(scene), 20),
    async (tried) => {
      await hangUp(tried.up);
      before.first = scene.carrier.count('INVITE');
      before.second = scene.second.count('INVITE');
    },
  );
  t.equal(up.length, 10);
  t.equal(scene.carrier.count('INVITE') - before.first, 5);
  t.equal(scene.second.count('INVITE') - before.second, 5);
  t.ok(refused.every((response) => response.status === 503 && response.get('retry-after') === '10'));
  await hangUp(up);
  await noDialogLeft(scene.stack);
});
