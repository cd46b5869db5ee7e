import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { SippRun } from '../../sipp-scenarios/sipp.js';
import { eventually } from '../harness/await.js';
import { allQueries, filledIn } from '../harness/dashboard-queries.js';
import { Prometheus } from '../harness/prometheus.js';
import { ENDINGS, NUMBERS, playEndings, startEndingsScene } from '../harness/scripted-endings.js';
import { CARRIER_HOST } from '../harness/stack.js';

const ANSWERED = 40;
const BUSY = 12;

/** Panels of which a query has nothing to show after some seconds of these calls, and why. */
const EMPTY: readonly [place: RegExp, why: string][] = [
  [/week before$/, 'nothing is a week old'],
  [/ertificate/, 'there is no TLS here'],
  [/Drift$|Findings$/, 'the dialogs are first compared after 30 s'],
  [/Limits reached$|Limits used$|carriers, Carriers$|at the limit/, 'no limit is configured'],
  [/Transfers failing$|Time of transfers/, 'nothing is transferred'],
  [/deliver|Deliver|Endpoints disabled$/, 'no system of the owner wants events'],
  [/Redis memory/, 'this Redis has no limit'],
  [/Decisions failing$|RPC faults$|Fallbacks and deadlines$/, 'nothing fails so'],
  [/security, (Refused|Calls to unknown|Webhooks not|Functions and)/, 'nobody is refused so'],
];

t.test(
  'what Prometheus scrapes after real calls is what happened, and every rule and panel reads it',
  async (t) => {
    const scene = await startEndingsScene(t);
    const { stack } = scene;
    const prometheus = await Prometheus.start(t, stack.api.url);
    /** SIPp's own figures of calls to one of our numbers. */
    const sipp = async (number: string, calls: number) => {
      const run = await SippRun.start({
        ...{ scenario: 'carrier/inbound-answered.xml', host: CARRIER_HOST, number, calls, rate: 20 },
        target: `${stack.sip.host}:${stack.sip.port}`,
      });
      t.teardown(() => run.stop());
      return run.result();
    };
    const answered = await sipp(NUMBERS.trunk, ANSWERED);
    const busy = await sipp(NUMBERS.busy, BUSY);
    t.same([answered.successful, busy.failed], [ANSWERED, BUSY], 'SIPp saw them so');
    const attempts = answered.created + busy.created;

    const results = 'sum(retell_proxy_call_results_total)';
    await eventually('all are counted', async () => (await prometheus.value(results)) === attempts);
    const code = (which: string) =>
      prometheus.value(`sum(retell_proxy_call_results_total{carrier="acme",code="${which}"})`);
    t.equal(
      await prometheus.value('sum(retell_proxy_calls_total{direction="inbound"})'),
      attempts,
      'attempts',
    );
    t.equal(await code('200'), answered.successful, 'answered');
    t.equal(await code('486'), busy.failed, 'failed');
    const ser = 'sum(retell_proxy_call_results_total{code="200"}) / sum(retell_proxy_call_results_total)';
    t.equal(await prometheus.value(ser), answered.successful / attempts, 'SER');
    t.equal(
      await prometheus.value('sum(retell_proxy_session_duration_seconds_count)'),
      answered.successful,
      'durations',
    );

    await playEndings(scene, 1, 6);
    const ended = async () => (await prometheus.value(results)) ?? 0;
    await eventually('those are counted too', async () => (await ended()) === attempts + ENDINGS.length);

    const page = readFileSync(join(ROOT, 'docs/reference/metrics.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `(retell_proxy_\w+)`/gm)].map(([, name = '']) => name);
    const scraped = await prometheus.metrics();
    t.same(
      documented.filter((name) => !scraped.has(name)),
      [],
      'every documented metric is there',
    );
    const { body } = await stack.api.get('/metrics', 'none');
    const check = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
    t.same([check.status, check.stdout, check.stderr], [0, '', ''], 'promtool finds nothing to say');

    for (const { name, health, lastError } of await prometheus.rules()) {
      t.equal(health, 'ok', `rule ${name}: ${lastError ?? ''}`);
    }
    const empty: string[] = [];
    for (const { place, expr } of allQueries()) {
      // The rates of a few seconds: the calls are not older.
      const query = filledIn(expr).replace(/\[5m\]/g, '[1m]');
      if ((await prometheus.query(query)).length === 0) empty.push(place);
    }
    t.same(
      empty.filter((place) => !EMPTY.some(([known]) => known.test(place))),
      [],
      'every other panel has something to show',
    );
  },
);
