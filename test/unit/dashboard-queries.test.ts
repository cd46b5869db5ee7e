import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { allQueries, filledIn } from '../harness/dashboard-queries.js';

const missing = spawnSync('promtool', ['--version']).error !== undefined;

t.test('Prometheus can read every query', { skip: missing && 'promtool is not installed' }, async (t) => {
  // promtool has no check of a lone query, so each is a rule; its message names the rule, and that the place.
  const queries = allQueries();
  const rules = queries.map(({ expr }, index) => ({ record: `query_${index}`, expr: filledIn(expr) }));
  for (const { expr } of rules) t.notMatch(expr, '$', 'no variable is left');
  const file = join(t.testdir(), 'queries.json');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboards', rules }] }));
  const { status, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
  const named = stderr.replace(/query_(\d+)/g, (_, index) => queries[Number(index)]?.place ?? '');
  t.equal(status, 0, named);
});
