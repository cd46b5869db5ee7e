import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { ROOT } from '../../../control-plane/src/cli/paths.js';
import { OF_ALERTS, type Threshold } from '../../../monitoring/grafana/src/thresholds.js';

interface Rule {
  alert?: string;
  record?: string;
  labels?: Record<string, string>;
  expr: string;
}

const rules = ['alerts.yml', 'recording.yml'].flatMap((file) => {
  const text = readFileSync(join(ROOT, 'monitoring/prometheus/rules', file), 'utf8');
  const { groups } = parse(text) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
});

/** The number in a rule that the expression has as its one group, which may be a product. */
function numberIn(rule: string, number: RegExp): number {
  const found = rules
    .filter(({ alert, record }) => rule === alert || rule === record)
    .flatMap(({ expr, labels }) => number.exec(`${expr}\n${JSON.stringify(labels ?? {})}`)?.[1] ?? []);
  const [product] = found;
  if (product === undefined || found.length !== 1) throw new Error(`${rule}: ${found.length} of ${number}`);
  return product.split('*').reduce((result, factor) => result * Number(factor), 1);
}

const ABOVE = />=? ([\d.]+)$/m;
const BELOW = /< ([\d.* ]+)/;
const LEVEL = 'direction:retell_proxy_call_success:level';

/** What a panel takes for bad, and where a rule says it. A panel shows how much fails where a rule says how much does not. */
const ROWS: [
  keyof typeof OF_ALERTS,
  'warning' | 'critical',
  rule: string,
  number: RegExp,
  inPanel?: (value: number) => number,
][] = [
  ['ser', 'warning', LEVEL, /([\d.]+)\D*"inbound"/],
  ['ser', 'critical', LEVEL, /([\d.]+)\D*"outbound"/],
  ['seer', 'warning', LEVEL, /([\d.]+)\D*"inbound"/],
  ['seer', 'critical', LEVEL, /([\d.]+)\D*"outbound"/],
  ['isa', 'critical', 'RetellProxyIneffectiveAttempts', /isa:\S+ > ([\d.]+)/],
  ['srdP95', 'warning', 'RetellProxyRequestDelayHigh', /"inbound", .*> ([\d.]+)/],
  ['srdP95', 'critical', 'RetellProxyRequestDelayHigh', /"outbound", .*> ([\d.]+)/],
  ['hangupsFailing', 'critical', 'RetellProxyHangupsFailing', BELOW, (succeed) => 1 - succeed],
  ['transfersFailing', 'warning', 'RetellProxyTransfersFailing', BELOW, (succeed) => 1 - succeed],
  ['retellApiFailing', 'critical', 'RetellProxyRetellApiFailing', /error_ratio_rate5m > ([\d.]+)/],
  ['sharedMemory', 'warning', 'RetellProxyKamailioMemoryHigh', ABOVE],
  ['sharedMemory', 'critical', 'RetellProxyKamailioMemoryCritical', ABOVE],
  ['redisMemory', 'warning', 'RetellProxyRedisMemoryHigh', ABOVE],
  ['concurrency', 'warning', 'RetellProxyRetellConcurrencyHigh', ABOVE],
  ['limitUsed', 'warning', 'RetellProxyCallsAtLimit', ABOVE],
  ['certificateLeft', 'warning', 'RetellProxyCertificateExpiresSoon', BELOW],
  ['certificateLeft', 'critical', 'RetellProxyCertificateExpires', BELOW],
  ['nodeUptime', 'warning', 'RetellProxyKamailioRestarted', BELOW],
  ['queuedEvents', 'warning', 'RetellProxyEventQueueFilling', ABOVE],
  ['streamLag', 'warning', 'RetellProxyStreamLag', ABOVE],
  ['dueWorkOverdue', 'warning', 'RetellProxyDueWorkLate', ABOVE],
  ['eventLoopP99', 'warning', 'RetellProxyEventLoopLag', ABOVE],
  ['reconciliationAge', 'warning', 'RetellProxyReconciliationNotRunning', ABOVE],
  ['unknownSources', 'warning', 'RetellProxyUnknownSources', ABOVE, (perSecond) => perSecond * 60],
];
/** All of it used, down or happened at all: there is no other number in a rule. */
const PLAIN = ['up', 'never', 'concurrency critical', 'limitUsed critical'];

t.test('what the panels take for bad is what the alerts do', async (t) => {
  for (const [key, level, rule, number, inPanel = (value: number) => value] of ROWS) {
    const shown = (OF_ALERTS[key] as Threshold)[level] ?? Number.NaN;
    t.equal(shown.toFixed(6), inPanel(numberIn(rule, number)).toFixed(6), `${key}, ${level}: ${rule}`);
  }
});

t.test('every threshold of an alert is compared with its rule', async (t) => {
  const compared = new Set(ROWS.map(([key, level]) => `${key} ${level}`));
  for (const [key, threshold] of Object.entries<Threshold>(OF_ALERTS)) {
    for (const level of ['warning', 'critical'] as const) {
      if (threshold[level] === undefined || PLAIN.includes(key) || PLAIN.includes(`${key} ${level}`))
        continue;
      t.ok(compared.has(`${key} ${level}`), `${key}, ${level}`);
    }
  }
});
