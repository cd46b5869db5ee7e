import t from 'tap';
import { confirmHighest, findHighest } from '../../../sipp-scenarios/load/search.js';
import type { Trial } from '../../../sipp-scenarios/load/trial.js';
import { middleTurn, ratioOf, type Turn } from '../../../sipp-scenarios/load/turns.js';

/** A system that is clean up to a rate, and what was tried on it. */
function systemUpTo(limit: number) {
  const tried: number[] = [];
  const isClean = async (rate: number) => {
    tried.push(rate);
    return rate <= limit;
  };
  return { tried, isClean };
}

t.test('the highest clean rate is found from below and from above, within 5 %', async (t) => {
  for (const start of [100, 1000, 10_000]) {
    const { tried, isClean } = systemUpTo(1234);
    const found = (await findHighest(isClean, { start })) ?? 0;
    t.ok(found <= 1234 && found > 1234 * 0.95, `from ${start}: ${found}`);
    t.ok(tried.length < 15, `${tried.length} trials`);
  }
});

t.test('from below at most one rate of the steps is not clean', async (t) => {
  const { tried, isClean } = systemUpTo(1234);
  await findHighest(isClean, { start: 100, precision: 1 });
  t.equal(tried.filter((rate) => rate > 1234).length, 1);
});

t.test('where not even the least rate is clean there is none', async (t) => {
  const { tried, isClean } = systemUpTo(5);
  t.equal(await findHighest(isClean, { start: 40, least: 10 }), undefined);
  t.equal(tried.at(-1), 10);
});

t.test('with its start as the least, one trial that is not clean ends the search', async (t) => {
  const { tried, isClean } = systemUpTo(5);
  t.equal(await findHighest(isClean, { start: 40, least: 40 }), undefined);
  t.same(tried, [40]);
});

t.test('a rate that holds is raised by 5 % until one does not', async (t) => {
  const { tried, isClean } = systemUpTo(1100);
  t.equal(await confirmHighest(isClean, 1000), 1050);
  t.same(tried, [1000, 1050, 1103]);
  t.equal(await confirmHighest(systemUpTo(1000).isClean, 1000), 1000);
});

t.test(
  'a rate that does not hold is lowered until one does, and raised by half a step where that holds',
  async (t) => {
    const low = systemUpTo(820);
    t.equal(await confirmHighest(low.isClean, 1000), 810);
    t.same(low.tried, [1000, 900, 810, 855]);
    const high = systemUpTo(860);
    t.equal(await confirmHighest(high.isClean, 1000), 855);
    t.same(high.tried, [1000, 900, 810, 855]);
    t.equal(await confirmHighest(systemUpTo(1).isClean, 1000), undefined);
  },
);

t.test('of turns the one with the middle ratio counts, whatever the rates', (t) => {
  const trial = (rate: number) => ({ rate }) as Trial;
  const turn = (bare: number, ours: number): Turn => ({ bare: trial(bare), ours: trial(ours) });
  const [low, middle, high] = [turn(5000, 3000), turn(2000, 1600), turn(4000, 3600)];
  t.equal(middleTurn([high, low, middle]), middle);
  t.equal(middleTurn([low]), low);
  const missed: Turn = { bare: trial(4000), ours: null };
  t.equal(ratioOf(missed.ours, missed.bare), null);
  t.equal(middleTurn([high, missed, low]), low);
  t.end();
});
