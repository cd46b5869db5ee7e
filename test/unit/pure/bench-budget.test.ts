import t from 'tap';
import { budgetSummary, budgetTable, figureText, judge } from '../../../bench/budget.js';

t.test('a figure is held against its limit', async (t) => {
  const met = (measured: number | null, limit: Parameters<typeof judge>[0]['limit']) =>
    judge({ name: 'x', measured, limit }).met;
  t.same([met(9, { under: 10 }), met(10, { under: 10 })], [true, false]);
  t.same([met(10, { atMost: 10 }), met(10.1, { atMost: 10 })], [true, false]);
  t.same([met(10, { atLeast: 10 }), met(9.9, { atLeast: 10 })], [true, false]);
  t.same([met(0, { exactly: 0 }), met(1, { exactly: 0 })], [true, false]);
});

t.test('without a figure a budget is missed', async (t) => {
  const result = judge({ name: 'x', measured: null, unit: 'ms', limit: { under: 10 } });
  t.same(result, { name: 'x', measured: null, unit: 'ms', budget: 'under 10 ms', met: false });
});

t.test('a ratio is held against its limit, and needs its baseline', async (t) => {
  const rate = {
    name: 'rate',
    measured: 900,
    unit: 'calls/s',
    of: 'ratio',
    limit: { atLeast: 0.8 },
  } as const;
  const beside = (value: number) => judge({ ...rate, baseline: { name: 'bare', value } });
  t.match(beside(1000), { ratio: 0.9, met: true, budget: 'at least 0.800 of the baseline' });
  t.match(beside(1200), { ratio: 0.75, met: false });
  t.match(judge(rate), { met: false });
});

t.test('what is added is held against its limit', async (t) => {
  const delay = { name: 'delay', measured: 1.5, unit: 'ms', of: 'difference', limit: { under: 1 } } as const;
  t.match(judge({ ...delay, baseline: { name: 'bare', value: 0.6 } }), {
    met: true,
    budget: 'under 1 ms more',
  });
  t.match(judge({ ...delay, baseline: { name: 'bare', value: 0.4 } }), { met: false });
});

t.test('the table has a row for each, and what saturated where that is known', async (t) => {
  const results = [
    judge({ name: 'a', measured: 3, unit: 's', limit: { atMost: 5 } }),
    judge({
      ...{ name: 'b', measured: 60, unit: 'ms', limit: { under: 50 } },
      ...{ baseline: { name: 'bare', value: 30 }, saturated: 'one core' },
    }),
  ];
  t.same(budgetTable(results).split('\n'), [
    '| what | measured | baseline | ratio | budget | result | saturated first |',
    '| --- | ---: | --- | ---: | --- | --- | --- |',
    '| a | 3 s |  |  | at most 5 s | met |  |',
    '| b | 60 ms | 30 ms (bare) | 2.00 | under 50 ms | **MISSED** | one core |',
  ]);
  t.notMatch(budgetTable(results.slice(0, 1)), 'saturated');
  t.equal(budgetSummary(results), '1 of 2 budgets MISSED: b.');
  t.equal(budgetSummary(results.slice(0, 1)), 'All 1 budgets are met.');
});

t.test('figures have as many digits as mean something', async (t) => {
  t.same(
    [0, 5, 1234.5, 12.34, 1.234, 0.1234, 0.00123].map((value) => figureText(value)),
    ['0', '5', '1235', '12.3', '1.23', '0.123', '0.0012'],
  );
  t.equal(figureText(2, 'ms'), '2 ms');
});
