import { dashboard } from './dashboard.js';
import { figure, heat, lines } from './panels.js';
import {
  buckets,
  hangupsFailing,
  inRange,
  metric,
  perMinute,
  perSecond,
  quantile,
  share,
} from './queries.js';
import { THRESHOLDS } from './thresholds.js';

const hangups = metric('hangups_total');
const transfersFailing = share(
  [],
  metric('transfers_total', 'outcome=~"rejected|failed|timed_out"'),
  metric('transfers_total', 'outcome!="call_ended"'),
);

export const callControl = dashboard({
  name: 'call-control',
  title: 'Call control',
  description: 'Whether calls end and move when they are told to, and how fast.',
  rows: [
    {
      title: 'Now',
      panels: [
        figure({
          title: 'Hangups',
          description: 'Hangups by command per second, those of jobs among them.',
          unit: 'cps',
          width: 6,
          queries: [{ expr: perSecond([], hangups), legend: 'hangups' }],
        }),
        figure({
          title: 'Hangups failing',
          description:
            'Share after which a side is still up or nobody knows (partial, failed). Over 5 % look at the nodes and at RPC.',
          unit: 'percentunit',
          width: 6,
          step: '5m',
          threshold: THRESHOLDS.hangupsFailing,
          queries: [{ expr: hangupsFailing(), legend: 'failing' }],
        }),
        figure({
          title: 'Hangup p99',
          description:
            'From the request to its outcome on the wire, for 99 of 100. Seconds mean that a side does not answer its BYE.',
          unit: 's',
          width: 6,
          step: '5m',
          threshold: THRESHOLDS.hangupP99,
          queries: [{ expr: quantile(0.99, [], metric('hangup_seconds')), legend: 'p99' }],
        }),
        figure({
          title: 'Transfers failing',
          description:
            "Share of transfers that the carrier rejected, that failed or that told no outcome; those whose caller had gone are left out. Over 30 % look at the carrier's preset.",
          unit: 'percentunit',
          width: 6,
          step: '5m',
          threshold: THRESHOLDS.transfersFailing,
          queries: [{ expr: transfersFailing, legend: 'failing' }],
        }),
      ],
    },
    {
      title: 'Hangups',
      panels: [
        lines({
          title: 'Hangups by outcome',
          description:
            'Per second. partial and failed are bad: a side is still up, or may be. already_ended is harmless. refused: the request was wrong, or no node could be asked.',
          unit: 'cps',
          stacked: true,
          queries: [{ expr: perSecond(['outcome'], hangups), legend: '{{outcome}}' }],
        }),
        lines({
          title: 'Hangup latency',
          description:
            'From the request to its outcome. p50 is the round trip to both sides; p99 at calls.hangup_timeout_ms: a side never answers.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.hangupP99,
          queries: [0.5, 0.95, 0.99].map((q) => ({
            expr: quantile(q, [], metric('hangup_seconds')),
            legend: `p${q * 100}`,
          })),
        }),
        heat({
          title: 'Hangup latencies',
          description: 'How long hangups took. A heap high up is BYEs that are sent again: packets get lost.',
          unit: 's',
          expr: buckets(metric('hangup_seconds')),
        }),
        lines({
          title: 'Jobs',
          description:
            'Jobs that end many calls, over per minute. cancelled: somebody stopped one, or calls are left.',
          unit: 'cpm',
          queries: [{ expr: perMinute(['outcome'], metric('hangup_jobs_total')), legend: '{{outcome}}' }],
        }),
      ],
    },
    {
      title: 'Transfers',
      panels: [
        figure({
          title: 'How far transfers came',
          description:
            'Transfers of the time shown that reached each stage, and that succeeded. The step with the largest loss is where to look: not accepted is the carrier refusing REFER, accepted without success its far end.',
          unit: 'short',
          instant: true,
          width: 12,
          height: 8,
          queries: [
            ...['requested', 'accepted', 'trying', 'ringing'].map((stage) => ({
              expr: inRange([], metric('transfer_stages_total', `stage="${stage}"`)),
              legend: stage,
            })),
            { expr: inRange([], metric('transfers_total', 'outcome="succeeded"')), legend: 'succeeded' },
          ],
        }),
        lines({
          title: 'Transfers by source and outcome',
          description:
            'Ended per minute. rejected: the carrier does not take REFER, see its preset. timed_out: it told no outcome. call_ended: the caller had gone.',
          unit: 'cpm',
          stacked: true,
          queries: [
            {
              expr: perMinute(['source', 'outcome'], metric('transfers_total')),
              legend: '{{source}} {{outcome}}',
            },
          ],
        }),
        lines({
          title: 'Time of transfers, p95',
          description:
            'From the request to the end, by outcome. What succeeds slowly is a far end that rings long; what fails slowly keeps callers waiting.',
          unit: 's',
          step: '5m',
          queries: [{ expr: quantile(0.95, ['outcome'], metric('transfer_seconds')), legend: '{{outcome}}' }],
        }),
        lines({
          title: 'Agents told of failed transfers',
          description: 'Per minute. not_told is bad: the agent believes that the caller has been sent on.',
          unit: 'cpm',
          queries: [
            { expr: perMinute(['outcome'], metric('transfer_notices_total')), legend: '{{outcome}}' },
          ],
        }),
      ],
    },
    {
      title: 'Asked for by agents and by API',
      panels: [
        lines({
          title: 'Functions',
          description:
            'Calls of functions by agents, per minute. failed is ours and bad; refused is a destination that is not allowed or a call that is not known.',
          unit: 'cpm',
          stacked: true,
          queries: [
            {
              expr: perMinute(['function', 'outcome'], metric('functions_total')),
              legend: '{{function}} {{outcome}}',
            },
          ],
        }),
        lines({
          title: 'Calls asked for',
          description:
            'Requests for a call, per minute. unknown_outcome is worst: it may ring or not. refused and limited are by Retell; node_unavailable and failed are ours.',
          unit: 'cpm',
          stacked: true,
          queries: [{ expr: perMinute(['outcome'], metric('calls_created_total')), legend: '{{outcome}}' }],
        }),
      ],
    },
  ],
});
