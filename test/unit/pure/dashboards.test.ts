import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../../control-plane/src/cli/paths.js';
import { Metrics } from '../../../control-plane/src/metrics/metrics.js';
import { DASHBOARDS, dashboardFiles, FOLDER } from '../../../monitoring/grafana/src/dashboards.js';
import { allQueries, metricsOf, type PanelOf, panelsOf } from '../../harness/dashboard-queries.js';

/** Given to every series by Prometheus. */
const TARGET_LABELS = ['instance', 'job'];
/** What alerts are about; which of them an alert has is its rule's matter. */
const ALERT_LABELS = ['alertname', 'alertstate', 'severity', 'node', 'carrier', 'gateway'];

/** Metrics to their labels: ours as metrics.md lists them, those of the process as its registry has them. */
function knownMetrics(): Map<string, string[]> {
  const known = new Map([['ALERTS', ALERT_LABELS]]);
  const add = (name: string, type: string, labels: string[]) => {
    if (type !== 'histogram') return known.set(name, labels);
    known.set(`${name}_bucket`, [...labels, 'le']);
    return known.set(`${name}_count`, labels).set(`${name}_sum`, labels);
  };
  const page = readFileSync(join(ROOT, 'docs/reference/metrics.md'), 'utf8');
  for (const row of page.split('\n').filter((line) => line.startsWith('| `retell_proxy_'))) {
    const [name = '', type = '', labels = ''] = row
      .slice(1)
      .split('|')
      .map((cell) => cell.trim());
    add(
      name.replaceAll('`', ''),
      type,
      [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label),
    );
  }
  const { registry } = new Metrics({ version: '0.0.0', carriers: () => [] });
  for (const { name, type } of registry.getMetricsAsArray()) {
    if (!name.startsWith('retell_proxy_')) add(name, String(type), []);
  }
  return known;
}

function overlap({ gridPos: a }: PanelOf, { gridPos: b }: PanelOf): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

t.test('the dashboards are what the code makes: `npm run dashboards` writes them', async (t) => {
  const files = dashboardFiles();
  t.same(readdirSync(join(ROOT, FOLDER)).sort(), [...files.keys()].sort());
  for (const [name, content] of files) t.ok(readFileSync(join(ROOT, FOLDER, name), 'utf8') === content, name);
});

for (const dashboard of DASHBOARDS) {
  t.test(`dashboard ${dashboard.uid}`, async (t) => {
    const panels = panelsOf(dashboard);

    t.test('has the variables, links and settings that all have', async (t) => {
      const variables = dashboard.templating?.list ?? [];
      t.same(
        variables.map(({ name }) => name),
        ['datasource', 'node', 'carrier', 'direction'],
      );
      for (const { name, multi, includeAll } of variables.slice(1)) t.ok(multi && includeAll, name);
      t.match(dashboard.links, [{ type: 'dashboards', tags: dashboard.tags, includeVars: true }]);
      t.match(dashboard, { tags: ['sip', 'kamailio', 'retell'], refresh: '30s', timezone: 'browser' });
    });

    t.test('hides the variables that no query asks, and no others', async (t) => {
      const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join('\n');
      for (const { name, hide } of (dashboard.templating?.list ?? []).slice(1))
        t.equal(hide === 2, !asked.includes(`$${name}`), name);
    });

    t.test('has panels with a unit, a description and a query each', async (t) => {
      t.not(panels.length, 0);
      for (const { title, description, unit, targets } of panels) {
        t.ok(title);
        t.ok(unit, title);
        t.match(description, /\.$/, title);
        t.not(targets.length, 0, title);
      }
    });

    t.test('fills lines of 24 columns, with no panel over another', async (t) => {
      const widths = new Map<number, number>();
      for (const [index, panel] of panels.entries()) {
        const { y, w } = panel.gridPos;
        widths.set(y, (widths.get(y) ?? 0) + w);
        t.notOk(
          panels.slice(0, index).some((other) => overlap(panel, other)),
          panel.title,
        );
      }
      t.same(new Set(widths.values()), new Set([24]));
    });
  });
}

t.test('panels and dashboards have ids of their own', async (t) => {
  t.equal(new Set(DASHBOARDS.map(({ uid }) => uid)).size, DASHBOARDS.length);
  for (const { uid, panels = [] } of DASHBOARDS)
    t.equal(new Set(panels.map(({ id }) => id)).size, panels.length, `${uid}`);
});

t.test('queries name metrics that there are, with labels that they have', async (t) => {
  const known = knownMetrics();
  const unknown = new Set<string>();
  for (const { place, expr, legend } of allQueries()) {
    const uses = metricsOf(expr);
    t.not(uses.length, 0, place);
    for (const { name, labels } of uses) {
      const has = known.get(name);
      const strange = labels.filter((label) => ![...(has ?? labels), ...TARGET_LABELS].includes(label));
      if (!has) unknown.add(name);
      for (const label of strange) unknown.add(`${name}{${label}}`);
    }
    for (const [, label = ''] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
      const grouped = uses.some(({ labels }) => labels.includes(label));
      t.ok(grouped, `${place}: legend {{${label}}}`);
    }
  }
  t.same([...unknown], []);
});

t.test(
  "queries take rates over Grafana's interval, and increases over that or all the time shown",
  async (t) => {
    for (const { place, expr } of allQueries()) {
      for (const [, over] of expr.matchAll(/\brate\(\w+(?:\{[^}]*\})?(\[[^\]]*\])/g))
        t.equal(over, '[$__rate_interval]', place);
      for (const [, over] of expr.matchAll(/\bincrease\(\w+(?:\{[^}]*\})?(\[[^\]]*\])/g))
        t.match(over, /^\[\$__(range|rate_interval)\]$/, place);
      t.notMatch(expr.replaceAll(/\b(rate|increase)\(\w+(\{[^}]*\})?\[/g, ''), /\[|\b(irate|delta)\(/, place);
    }
  },
);
