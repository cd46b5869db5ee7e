import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { parse } from 'yaml';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { Metrics } from '../../control-plane/src/metrics/metrics.js';

const FOLDER = join(ROOT, 'monitoring/prometheus');
const PREFIX = 'retell_proxy_';
/** Where a runbook_url has its anchor. */
const RUNBOOK = 'docs/operations/runbook.md';
/** Labels that Prometheus gives to every series. */
const TARGET_LABELS = ['job', 'instance'];

interface Rule {
  alert?: string;
  record?: string;
  expr: string;
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}
interface RuleFile {
  groups: { rules: Rule[] }[];
}
interface TestFile {
  rule_files: string[];
  tests: { alert_rule_test?: { alertname: string; exp_alerts: unknown[] }[] }[];
}
interface Selector {
  name: string;
  /** Its matchers, each value in full or an alternative of a regular expression. */
  matchers: { label: string; values: string[] }[];
}

const yamlFiles = (folder: string) =>
  readdirSync(join(FOLDER, folder))
    .filter((name) => name.endsWith('.yml'))
    .map((name) => join(folder, name));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const load = <T>(file: string): T => parse(readFileSync(join(FOLDER, file), 'utf8')) as T;

const rules = yamlFiles('rules').flatMap((file) =>
  load<RuleFile>(file).groups.flatMap((group) => group.rules),
);
const alerts = rules.flatMap((rule) => (rule.alert === undefined ? [] : [{ ...rule, alert: rule.alert }]));
const records = new Set(rules.flatMap(({ record }) => record ?? []));

/** The metrics of docs/reference/metrics.md: type and labels of each. */
function documentedMetrics(): Map<string, { type: string; labels: string[] }> {
  const rows = read('docs/reference/metrics.md')
    .split('\n')
    .flatMap((line) => {
      const [name = '', type = '', labels = ''] = line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim());
      if (!line.startsWith('|') || !name.startsWith(`\`${PREFIX}`)) return [];
      const names = [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label);
      return [[name.replaceAll('`', ''), { type, labels: names }] as const];
    });
  return new Map(rows);
}

/** The series that an expression reads. Words of PromQL itself are no names of ours. */
function selectorsOf(expression: string): Selector[] {
  const selectors: Selector[] = [];
  const text = expression.replace(/\b(by|on|without|ignoring|group_left|group_right) *\([^)]*\)/g, ' ');
  for (const [, name = '', matchers = ''] of text.matchAll(/([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?/g)) {
    const ours =
      name.includes(PREFIX) || name.includes(':') || name === 'up' || /^(nodejs|process)_/.test(name);
    if (!ours && matchers === '') continue;
    selectors.push({
      name,
      matchers: [...matchers.matchAll(/(\w+) *(?:=~|!~|!=|=) *"([^"]*)"/g)].map(
        ([, label = '', value = '']) => ({ label, values: value.split('|') }),
      ),
    });
  }
  return selectors;
}

/** The labels that an expression groups or joins by. */
function groupingLabels(expression: string): string[] {
  return [...expression.matchAll(/\b(?:by|on|without|ignoring) *\(([^)]*)\)/g)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((label) => label.trim())
      .filter((label) => label !== ''),
  );
}

/** The labels of a recorded series: its level, "all" for none. */
function levelLabels(record: string): string[] {
  const level = record.slice(0, record.indexOf(':'));
  return level === 'all' ? [] : level.split('_');
}

const documented = documentedMetrics();
const { registry } = new Metrics({ version: '0.0.0', carriers: () => [] });
const processMetrics = new Set(registry.getMetricsAsArray().map(({ name }) => name));

/** The labels of a series, or undefined where neither the page, nor a rule, nor the process has it. */
function labelsOf(name: string): string[] | undefined {
  if (name.includes(':')) return records.has(name) ? levelLabels(name) : undefined;
  if (name === 'up') return TARGET_LABELS;
  if (!name.startsWith(PREFIX)) return processMetrics.has(name) ? TARGET_LABELS : undefined;
  const [, base = name, suffix] = /^(.+)_(bucket|sum|count)$/.exec(name) ?? [];
  const histogram = documented.get(base);
  if (suffix !== undefined && histogram?.type === 'histogram') {
    return [...histogram.labels, ...TARGET_LABELS, ...(suffix === 'bucket' ? ['le'] : [])];
  }
  const metric = documented.get(name);
  // A histogram has no series of its bare name.
  return metric === undefined || metric.type === 'histogram'
    ? undefined
    : [...metric.labels, ...TARGET_LABELS];
}

const promtool = async (...args: string[]) => promisify(execFile)('promtool', args, { cwd: FOLDER });

t.test('promtool finds the rules and the example of a configuration right', async (t) => {
  await t.resolves(promtool('check', 'rules', ...yamlFiles('rules')));
  await t.resolves(promtool('check', 'config', 'prometheus.yml'));
  t.type(load<{ route: unknown }>('alertmanager.example.yml').route, 'object');
});

for (const file of yamlFiles('tests')) {
  t.test(`promtool passes ${file}`, async (t) => {
    await t.resolves(promtool('test', 'rules', file));
  });
}

t.test('every metric and label that a rule names is documented', async (t) => {
  t.ok(rules.length > 0 && documented.size > 0);
  // The kinds of findings are listed on the page that explains them.
  const page = read('docs/reference/metrics.md') + read('docs/operations/reconciliation.md');
  for (const { alert, record, expr } of rules) {
    const rule = alert ?? record;
    const known = new Set<string>();
    const selectors = selectorsOf(expr);
    t.ok(selectors.length > 0 || /^vector\(/.test(expr), `${rule} reads something`);
    for (const { name, matchers } of selectors) {
      const labels = labelsOf(name);
      if (labels === undefined) {
        t.fail(`${rule} names ${name}, which does not exist`);
        continue;
      }
      for (const label of labels) known.add(label);
      for (const { label, values } of matchers) {
        t.ok(labels.includes(label), `${rule}: ${name} has the label ${label}`);
        // Statuses, names of the owner's and of this Prometheus are values that no page lists.
        if (['code', 'carrier', 'job'].includes(label)) continue;
        for (const value of values) t.match(page, `\`${value}\``, `${rule}: ${label} may be ${value}`);
      }
    }
    if (selectors.some(({ name }) => labelsOf(name) === undefined)) continue;
    for (const label of groupingLabels(expr)) t.ok(known.has(label), `${rule}: there is a label ${label}`);
  }
});

t.test('a recorded series is named after what is left of its labels', async (t) => {
  for (const { record, expr, labels } of rules) {
    if (record === undefined) continue;
    t.match(record, /^[a-z_]+:retell_proxy_[a-z_]+:[a-z0-9_]+$/);
    const left = new Set([
      ...Object.keys(labels ?? {}),
      ...groupingLabels(expr).filter((label) => label !== 'le'),
      ...selectorsOf(expr).flatMap(({ name }) => (name.includes(':') ? levelLabels(name) : [])),
    ]);
    for (const label of levelLabels(record)) t.ok(left.has(label), `${record} has ${label}`);
  }
});

t.test('every alert says how severe it is, what it means and where to read on', async (t) => {
  const runbook = read(RUNBOOK).replace(/^```.*?^```/gms, '');
  const sections = [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title);
  t.equal(new Set(alerts.map(({ alert }) => alert)).size, alerts.length, 'no name twice');
  for (const { alert, for: wait, labels, annotations } of alerts) {
    t.match(labels?.severity, /^(critical|warning)$/, alert);
    t.type(wait, 'string', `${alert} waits`);
    t.ok(annotations?.summary && annotations.description, alert);
    t.equal(annotations?.runbook_url, `${RUNBOOK}#${alert.toLowerCase()}`);
    t.equal(sections.filter((title) => title === alert).length, 1, `the runbook has a section ${alert}`);
  }
  const names = alerts.map(({ alert }) => alert);
  t.same(
    sections.filter((title) => title.startsWith('RetellProxy') && !names.includes(title)),
    [],
    'and of no other',
  );
});

t.test('the table of thresholds has every alert as it is', async (t) => {
  const rows = read('docs/operations/monitoring.md')
    .split('\n')
    .filter((line) => /^\| \[`RetellProxy/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
  t.same(
    rows.map(([link, , wait, severity]) => [link, wait, severity]).sort(),
    alerts
      .map(({ alert, for: wait, labels }) => [
        `[\`${alert}\`](runbook.md#${alert.toLowerCase()})`,
        wait,
        labels?.severity,
      ])
      .sort(),
  );
});

t.test('every alert is tested to fire and to keep quiet', async (t) => {
  const cases = yamlFiles('tests').flatMap((file) =>
    load<TestFile>(file).tests.flatMap(({ alert_rule_test: tests = [] }) => tests),
  );
  for (const { alert } of alerts) {
    const own = cases.filter(({ alertname }) => alertname === alert);
    t.ok(
      own.some(({ exp_alerts: expected }) => expected.length > 0),
      `${alert} fires`,
    );
    t.ok(
      own.some(({ exp_alerts: expected }) => expected.length === 0),
      `${alert} keeps quiet`,
    );
  }
});

t.test('what Alertmanager holds back are alerts that exist', async (t) => {
  const { inhibit_rules: inhibitions } = load<{
    inhibit_rules: { source_matchers: string[]; target_matchers: string[] }[];
  }>('alertmanager.example.yml');
  const names = alerts.map(({ alert }) => alert);
  for (const matcher of inhibitions.flatMap(({ source_matchers: s, target_matchers: g }) => [...s, ...g])) {
    const [, pattern = ''] = /^alertname =~? "(.+)"$/.exec(matcher) ?? [];
    const [, head = '', list] = /^(\w+?)\((.+)\)$/.exec(pattern) ?? [];
    const meant = list === undefined ? pattern.split('|') : list.split('|').map((name) => head + name);
    for (const name of meant) t.ok(names.includes(name), name);
  }
});
