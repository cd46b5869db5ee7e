import t from 'tap';
import { percentileOf, ResponseTimes } from '../../../sipp-scenarios/load/response-times.js';
import {
  countsAt,
  type SippCounts,
  SippStatistics,
  sumCounts,
} from '../../../sipp-scenarios/sipp-statistics.js';

function counts(atMs: number, created: number, failed = 0): SippCounts {
  const reasons: Record<string, number> = failed === 0 ? {} : { rejected: failed };
  return { atMs, created, successful: created - failed, failed, reasons, retransmissions: 0 };
}

t.test("a row of SIPp's statistics becomes counts, with the reasons of failed calls", async (t) => {
  const statistics = new SippStatistics();
  const names =
    'CurrentTime;TotalCallCreated;SuccessfulCall(C);FailedCall(C);FailedMaxUDPRetrans(C);Retransmissions(C)';
  t.equal(statistics.read(names), undefined, 'the line of names is none');
  t.same(statistics.read('2026-11-27\t12:14:20.022140\t1795781660.500000;10;6;3;2;7'), {
    ...{ atMs: 1795781660500, created: 10, successful: 6, failed: 3, retransmissions: 7 },
    reasons: { 'no answer to any retransmission': 2, unknown: 1 },
  });
});

t.test('counts between two rows are in proportion, and before the first there are none', async (t) => {
  const rows = [counts(1000, 0), counts(2000, 10), counts(4000, 30)];
  t.equal(countsAt(rows, 1500).created, 5);
  t.equal(countsAt(rows, 3000).created, 20);
  t.equal(countsAt(rows, 9000).created, 30, 'behind the last they stay');
  t.equal(countsAt(rows, 500).created, 0);
  t.equal(countsAt([], 500).created, 0);
});

t.test('counts of several callers add up, reasons too', async (t) => {
  const sum = sumCounts([counts(1000, 10, 1), counts(2000, 20, 2)]);
  t.match(sum, { atMs: 2000, created: 30, failed: 3, reasons: { rejected: 3 } });
});

t.test('a percentile is a value that was measured, by nearest rank', async (t) => {
  const times = new Map([
    [4, 90],
    [0, 9],
    [500, 1],
  ]);
  t.equal(percentileOf(times, 50), 4);
  t.equal(percentileOf(times, 99), 4);
  t.equal(percentileOf(times, 100), 500);
  t.equal(percentileOf(new Map(), 50), undefined);
});

t.test('response times are told for the seconds that are asked for', async (t) => {
  const times = new ResponseTimes();
  times.add(0.5, 100);
  times.add(1.2, 1);
  times.add(1.9, 3);
  t.same(times.percentiles(1, 2), { p50: 1, p95: 3, p99: 3 });
  t.same(times.percentiles(), { p50: 3, p95: 100, p99: 100 });
  t.equal(times.percentiles(2, 3), undefined);
});
