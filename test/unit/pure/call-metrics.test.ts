import t from 'tap';
import { callOfRecord } from '../../../control-plane/src/calls/call-of-record.js';
import { type DetailRecord, detailRecordOf } from '../../../control-plane/src/calls/detail-record.js';
import { Metrics } from '../../../control-plane/src/metrics/metrics.js';

const INVITED_MS = 1_790_000_000_000;

function metricsOf(...carriers: string[]) {
  return new Metrics({ version: '1.0.0', carriers: () => carriers.map((name) => ({ name })) });
}

/** The record of a call that ended: so many ms after its INVITE it rang, was answered and ended. */
function recordOf(fields: Record<string, string> = {}, id = 'call1'): DetailRecord {
  const invite = {
    direction: 'inbound',
    carrier: 'acme',
    node: 'node1',
    sip_call_id: `${id}@192.0.2.1`,
    created_at: String(INVITED_MS),
    invited_at: String(INVITED_MS),
  };
  return detailRecordOf(callOfRecord(id, { ...invite, ...fields }));
}

const ANSWERED = {
  ringing_at: String(INVITED_MS + 400),
  answered_at: String(INVITED_MS + 2000),
  ended_at: String(INVITED_MS + 62_000),
  ended_by: 'carrier',
  sip_status: '200',
};
const BUSY = { ended_at: String(INVITED_MS + 300), ended_by: 'failure', sip_status: '486' };

/** The samples of one metric, by their labels as the text has them. */
async function samplesOf(metrics: Metrics, name: string): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n');
  return new Map(
    lines
      .filter((line) => line.startsWith(`retell_proxy_${name}{`))
      .map((line) => [line.slice(line.indexOf('{') + 1, line.indexOf('}')), Number(line.split('} ')[1])]),
  );
}

t.test('an answered call counts with its result, its end and its times', async (t) => {
  const metrics = metricsOf('acme');
  metrics.calls.ended(recordOf(ANSWERED));
  const subject = 'direction="inbound",carrier="acme"';
  t.same(await samplesOf(metrics, 'calls_ended_total'), new Map([[`${subject},ended_by="carrier"`, 1]]));
  t.same(await samplesOf(metrics, 'call_results_total'), new Map([[`${subject},code="200"`, 1]]));
  t.same(
    await samplesOf(metrics, 'session_request_delay_seconds_sum'),
    new Map([[`${subject},outcome="answered"`, 0.4]]),
  );
  t.same(await samplesOf(metrics, 'session_duration_seconds_sum'), new Map([[subject, 60]]));
  t.equal(
    (await samplesOf(metrics, 'session_disconnect_delay_seconds_count')).size,
    0,
    'no BYE was answered',
  );
});

t.test('a refused call counts with the status of its INVITE, and has no duration', async (t) => {
  const metrics = metricsOf('acme');
  metrics.calls.ended(recordOf(BUSY));
  const subject = 'direction="inbound",carrier="acme"';
  t.same(await samplesOf(metrics, 'call_results_total'), new Map([[`${subject},code="486"`, 1]]));
  t.same(
    await samplesOf(metrics, 'session_request_delay_seconds_sum'),
    new Map([[`${subject},outcome="refused"`, 0.3]]),
  );
  t.equal((await samplesOf(metrics, 'session_duration_seconds_count')).size, 0);
});

t.test('each gateway that was tried counts with its final response', async (t) => {
  const metrics = metricsOf('acme');
  const attempts = [
    { carrier: 'acme', status: 503 },
    { carrier: 'acme', status: 477 },
    { carrier: null, status: 200 },
    { carrier: null, status: null },
  ].map((attempt) => ({
    gateway: 'sip:192.0.2.1',
    at: '',
    ringing_at: null,
    q850_cause: null,
    reason: null,
    ...attempt,
  }));
  metrics.calls.ended({ ...recordOf(ANSWERED), attempts });
  t.same(
    await samplesOf(metrics, 'gateway_responses_total'),
    new Map([
      ['carrier="acme",code="503"', 1],
      ['carrier="acme",code="4xx"', 1],
      ['carrier="retell",code="200"', 1],
      ['carrier="retell",code="none"', 1],
    ]),
  );
});

t.test('a call that Retell was asked for and no node ever had counts nowhere', async (t) => {
  const metrics = metricsOf('acme');
  const { sip_call_id: _, ...others } = recordOf(BUSY);
  metrics.calls.ended({ ...others, sip_call_id: null });
  t.equal((await samplesOf(metrics, 'calls_ended_total')).size, 0);
  t.equal((await samplesOf(metrics, 'call_results_total')).size, 0);
});

t.test(
  'calls of any number, Call-ID, carrier and status make no more series than there are labels',
  async (t) => {
    const metrics = metricsOf('acme');
    const play = (n: number) => {
      const carrier = n % 2 === 0 ? 'acme' : `stranger${n}`;
      metrics.callStarted('inbound', carrier);
      metrics.callLimited('carrier', carrier);
      metrics.attemptFailed(carrier, n);
      metrics.calls.active([{ direction: 'inbound', carrier, state: 'ringing', calls: 1 }]);
      const parties = { number: `+1415555${n}`, from: `+1212555${n}`, to: `+1415555${n}` };
      const attempts = [
        {
          carrier,
          gateway: `sip:${n}@192.0.2.1`,
          at: '',
          ringing_at: null,
          status: n,
          q850_cause: n,
          reason: null,
        },
      ];
      metrics.calls.ended({
        ...recordOf({ ...BUSY, ...parties, carrier, sip_status: String(n) }, `call${n}`),
        attempts,
      });
    };
    for (let n = 0; n < 1000; n += 1) play(n);
    t.same(
      new Set([...(await samplesOf(metrics, 'calls_total')).keys()]),
      new Set(['direction="inbound",carrier="acme"', 'direction="inbound",carrier="other"']),
    );
    // 17 codes that are told apart, four classes, none; for each of the two carriers.
    t.ok((await samplesOf(metrics, 'call_results_total')).size <= 2 * 22);
    t.ok((await samplesOf(metrics, 'gateway_responses_total')).size <= 2 * 22);
    t.ok((await samplesOf(metrics, 'attempts_failed_total')).size <= 2 * 5);
    t.equal((await samplesOf(metrics, 'limits_reached_total')).size, 2);
    const text = await metrics.text();
    t.notMatch(text, /1415555|1212555|stranger|192\.0\.2\.1/);
  },
);

t.test('calls that are up are gone from the metrics where they cannot be counted', async (t) => {
  const metrics = metricsOf('acme');
  metrics.calls.active([{ direction: 'inbound', carrier: 'acme', state: 'answered', calls: 7 }]);
  t.equal(
    (await samplesOf(metrics, 'calls_active')).get('direction="inbound",carrier="acme",state="answered"'),
    7,
  );
  metrics.calls.active(undefined);
  t.equal((await samplesOf(metrics, 'calls_active')).size, 0);
});
