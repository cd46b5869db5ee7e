import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { type SippOptions, SippRun } from '../../sipp-scenarios/sipp.js';
import { eventually } from '../harness/await.js';
import { allQueries, filledIn } from '../harness/dashboard-queries.js';
import { DeliverySink } from '../harness/delivery-sink.js';
import { Prometheus } from '../harness/prometheus.js';
import {
  ENDINGS,
  LIMITED_HOST,
  NUMBERS,
  playEndings,
  startEndingsScene,
} from '../harness/scripted-endings.js';
import { CARRIER_HOST } from '../harness/stack.js';

/** What SIPp dials, and what it is answered there. */
const RUNS = [
  { number: NUMBERS.trunk, calls: 40, code: '200' },
  { number: NUMBERS.busy, calls: 12, code: '486' },
  { number: NUMBERS.deadFallback, calls: 6, code: '503' },
  { number: NUMBERS.declined, calls: 5, code: '603' },
] as const;
/** Calls at once of the carrier that may have one. */
const LIMITED = 4;

/** Panels of which a query has nothing to show after some seconds of these calls, and why. */
const EMPTY: readonly [place: RegExp, why: string][] = [
  [/week before$/, 'nothing is a week old'],
  [/ertificate/, 'there is no TLS here'],
  [/Drift$|Findings$/, 'the dialogs are first compared after 30 s'],
  [/Redis memory/, 'this Redis has no limit'],
  [/Met at the limit/, 'Retell takes more calls than there are'],
  [/Decisions failing$|RPC faults$|Fallbacks and deadlines$/, 'nothing fails so'],
];

t.test(
  'what Prometheus scrapes after real calls is what happened, and every rule and panel reads it',
  async (t) => {
    const sink = await DeliverySink.start(t);
    const scene = await startEndingsScene(t, {
      webhooks: [{ name: 'crm', url: sink.url, secrets: [`whsec_${randomBytes(32).toString('base64')}`] }],
    });
    const { stack } = scene;
    const prometheus = await Prometheus.start(t, stack.api.url);
    /** SIPp's own figures. */
    const sipp = async (options: Pick<SippOptions, 'host' | 'number' | 'calls' | 'holdMs'>) => {
      const run = await SippRun.start({
        ...{ ...options, scenario: 'carrier/inbound-answered.xml', rate: 20 },
        target: `${stack.sip.host}:${stack.sip.port}`,
      });
      t.teardown(() => run.stop());
      return run.result();
    };
    let [attempts, answered] = [0, 0];
    for (const { number, calls, code } of RUNS) {
      const seen = await sipp({ host: CARRIER_HOST, number, calls });
      t.same(
        [seen.successful, seen.failed],
        code === '200' ? [calls, 0] : [0, calls],
        `SIPp's calls get ${code}`,
      );
      attempts += seen.created;
      answered += seen.successful;
    }
    const limited = await sipp({
      ...{ host: LIMITED_HOST, number: NUMBERS.trunk, calls: LIMITED, holdMs: 3000 },
    });
    t.same(
      [limited.successful, limited.failed],
      [1, LIMITED - 1],
      'one call of the limited carrier is taken',
    );
    attempts += limited.created;
    answered += limited.successful;

    const results = 'sum(retell_proxy_call_results_total)';
    await eventually('all are counted', async () => (await prometheus.value(results)) === attempts);
    const counted = (carrier: string, code: string) =>
      prometheus.value(`sum(retell_proxy_call_results_total{carrier="${carrier}",code="${code}"})`);
    t.equal(
      await prometheus.value('sum(retell_proxy_calls_total{direction="inbound"})'),
      attempts,
      'attempts',
    );
    for (const { calls, code } of RUNS) t.equal(await counted('acme', code), calls, code);
    t.equal(await counted('gamma', '200'), limited.successful, 'taken within the limit');
    t.equal(
      await prometheus.value('sum(retell_proxy_kamailio_refused_calls_total{reason="carrier_limit"})'),
      limited.failed,
      'refused by the limit',
    );
    const ser = 'sum(retell_proxy_call_results_total{code="200"}) / sum(retell_proxy_call_results_total)';
    t.equal(await prometheus.value(ser), answered / attempts, 'SER');
    t.equal(
      await prometheus.value('sum(retell_proxy_session_duration_seconds_count)'),
      answered,
      'durations',
    );

    await playEndings(scene, 1, 6);
    for (const path of ['/webhooks/retell', '/functions/end_call']) {
      const { statusCode } = await request(`${stack.api.url}${path}`, {
        ...{ method: 'POST', body: '{}' },
        headers: { 'content-type': 'application/json', 'x-retell-signature': 'v=1,d=00' },
      });
      t.equal(statusCode, 401, `${path} of somebody else`);
    }
    const all = attempts + ENDINGS.length;
    await eventually('those are counted too', async () => (await prometheus.value(results)) === all);
    t.equal(
      await prometheus.value('sum(retell_proxy_transfers_total{outcome="succeeded"})'),
      1,
      'the transfer',
    );
    t.equal(await prometheus.value('sum(retell_proxy_hangups_total{outcome="ended"})'), 2, 'the hangups');

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
    const queries = allQueries().filter(({ place }) => !EMPTY.some(([known]) => known.test(place)));
    // A rate is there once what is counted has been scraped twice.
    await eventually('every other panel has something to show', async () => {
      for (const { place, expr } of queries) {
        // The rates of a few seconds: the calls are not older.
        const query = filledIn(expr).replace(/\[5m\]/g, '[1m]');
        if ((await prometheus.query(query)).length === 0) throw new Error(`nothing in ${place}`);
      }
      return true;
    });
  },
);
