import t from 'tap';
import { callOfRecord } from '../../../control-plane/src/calls/call-of-record.js';
import { renderPage } from '../../../control-plane/src/http/status/page.js';
import type { Snapshot } from '../../../control-plane/src/http/status/snapshot.js';

const AT = 1_790_000_000_000;
const none = { attempts: 0, answered: 0, ser: undefined, srd_median_ms: undefined, srd_p95_ms: undefined };
const some = { attempts: 5, answered: 3, ser: 0.75, srd_median_ms: 8.25, srd_p95_ms: 12_345 };
const FULL: Snapshot = {
  at: AT,
  open: {
    value: {
      ...{ total: 12_000, counted: 10_000 },
      rows: [{ carrier: undefined, direction: 'outbound', routing: 1, ringing: 2, answered: 3 }],
    },
  },
  hour: {
    value: {
      ...{ isPart: true, all: some, inbound: none, outbound: some },
      failed: [
        callOfRecord('id"><b>', {
          ...{ direction: 'inbound', carrier: 'acme', sip_status: '486', sip_call_id: 'x' },
          ...{ created_at: String(AT), ended_at: String(AT), ended_by: 'failure' },
          ...{ from: '<script>alert("x")</script>', to: '4155550100' },
        }),
      ],
    },
  },
  gateways: {
    value: [
      { owner: 'acme', uri: 'sip:+14155550199@192.0.2.1', state: 'down', latency_ms: null, calls: null },
      { owner: 'Retell', uri: 'sip:192.0.2.2', state: 'up', latency_ms: 7, calls: 4 },
    ],
  },
  dependencies: [
    { name: 'redis', answers: true },
    { name: 'kamailio:node1', answers: false },
  ],
  reconciliation: {
    value: {
      ...{ started_at: AT, finished_at: AT, replica: 'one', total: 2, findings: [] },
      nodes: [
        {
          ...{ node: 'node1', dialogs: 5, early_dialogs: 1, records: 7, drift: -2 },
          ...{ compared: true, postponed: 0, error: null },
        },
      ],
      retell: { ongoing: 4, ours: 3, skipped: null, error: null },
      counts: [{ kind: 'lost_end', action: 'healed', count: 2 }],
    },
  },
};

t.test('the page has every figure, in words and with its unit', async (t) => {
  const page = renderPage(FULL, '1.2.3');
  for (const part of [
    'not chosen yet<small>outbound</small></th><td>1</td><td>2</td><td>3</td><td>6</td>',
    'newest 10000 of 12000',
    'SER</th><td>75.0 %</td><td>–</td><td>75.0 %</td>',
    'SRD median</th><td>8.3 ms</td>',
    'SRD 95th percentile</th><td>12.3 s</td>',
    'newest 5,000',
    '<td>7 ms</td><td>4</td>',
    'badge bad">down',
    'node1 away',
    '<td>5</td><td>7</td><td><span class="badge warn">-2</span></td>',
    'lost_end</th><td>healed</td><td>2</td>',
    '4 calls are ongoing there, 3 of them have a record',
  ])
    t.match(page, part);
});

t.test('text of strangers stays text, and numbers are masked', async (t) => {
  const page = renderPage(FULL, '1.2.3');
  t.match(page, '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; to 4155***00');
  t.equal(page.split('<script').length, 2, "no script but the page's own");
  t.match(page, 'href="/v1/calls/id%22%3E%3Cb%3E"');
  t.notMatch(page, '4155550199');
});

t.test('what is away is a word', async (t) => {
  const away = 'away' as const;
  const page = renderPage({ ...FULL, open: away, hour: away, gateways: away, reconciliation: away }, '1.2.3');
  t.equal(page.split('Not known: Redis does not answer').length, 6);
  t.match(page, '<dt>SER</dt><dd>away</dd>');
});
