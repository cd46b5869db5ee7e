import { dashboard } from './dashboard.js';
import { grid, heat, lines } from './panels.js';
import {
  buckets,
  CALLS,
  CARRIER,
  inRange,
  isa,
  metric,
  NODE,
  perMinute,
  perSecond,
  quantile,
  same,
  seer,
  ser,
  srd,
  weekBefore,
} from './queries.js';
import { THRESHOLDS } from './thresholds.js';

const BY = ['carrier'];
const results = metric('call_results_total', CALLS);
const limitUsed = used(BY, 'limit="carrier"');
const limitsUsed = used(['limit', ...BY]);
const attempts = { expr: perSecond(BY, results), legend: '{{carrier}}' };
const established = { expr: ser(BY), legend: '{{carrier}}' };

export const carriers = dashboard({
  name: 'carriers',
  title: 'Carriers',
  description:
    'Which carrier, and which of its gateways, is worse than the others. Calls are counted as they end; a row or line without a name is calls that no carrier was chosen for.',
  rows: [
    {
      title: 'Side by side',
      panels: [
        grid({
          title: 'Carriers',
          description:
            'One row for each carrier. Calls are those of the time shown; the ratios are of now, over 5 minutes. A carrier that is worse than the others has a fault of its own.',
          step: '5m',
          none: 'No calls yet',
          columns: [
            { name: 'Calls', expr: inRange(BY, results), unit: 'short' },
            { name: 'SER', expr: ser(BY), unit: 'percentunit', threshold: THRESHOLDS.ser },
            { name: 'SEER', expr: seer(BY), unit: 'percentunit', threshold: THRESHOLDS.seer },
            { name: 'ISA', expr: isa(BY), unit: 'percentunit', threshold: THRESHOLDS.isa },
            { name: 'SRD p95', expr: srd(0.95, BY), unit: 's', threshold: THRESHOLDS.srdP95 },
            { name: 'Limit used', expr: limitUsed, unit: 'percentunit', threshold: THRESHOLDS.limitUsed },
          ],
        }),
      ],
    },
    {
      title: 'Calls',
      panels: [
        lines({
          title: 'Attempts, and a week before',
          description:
            'Calls per second by carrier, as they end. One that falls to 0 while others go on does not reach the proxy, or is not chosen.',
          unit: 'cps',
          queries: [attempts, weekBefore(attempts)],
        }),
        lines({
          title: 'SER, and a week before',
          description:
            'Answered calls among all but redirected ones (RFC 6076 4.6), over 5 minutes. Below 95 % and below its week before: that carrier has become worse.',
          unit: 'percentunit',
          step: '5m',
          max: 1,
          threshold: THRESHOLDS.ser,
          queries: [established, weekBefore(established)],
        }),
        lines({
          title: 'Results by code',
          description:
            'Final status of calls per second. 403 is often an account or an address that the carrier does not know, 404 a number, 503 overload, 408 silence, 607 and 608 a blocked caller id.',
          unit: 'cps',
          stacked: true,
          queries: [{ expr: perSecond(['carrier', 'code'], results), legend: '{{carrier}} {{code}}' }],
        }),
        lines({
          title: 'Ineffective attempts (ISA)',
          description:
            'Share of calls that ended in 408, 500, 503 or 504 (RFC 6076 4.8). Over 25 % the carrier, or Retell behind it, does not answer.',
          unit: 'percentunit',
          step: '5m',
          max: 1,
          threshold: THRESHOLDS.isa,
          queries: [{ expr: isa(BY), legend: '{{carrier}}' }],
        }),
        lines({
          title: 'SRD p95',
          description:
            'From the INVITE to the first sign that it rings, or to the refusal (RFC 6076 4.3). Over 3 s callers hang up; slow refusals are time lost before the next gateway is tried.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.srdP95,
          queries: [
            {
              expr: quantile(0.95, ['carrier', 'outcome'], metric('session_request_delay_seconds', CALLS)),
              legend: '{{carrier}} {{outcome}}',
            },
          ],
        }),
        heat({
          title: 'SRD',
          description:
            'How long calls of the chosen carriers took to ring. Two heaps are two routes, one of them slow: choose single carriers to find it.',
          unit: 's',
          expr: buckets(metric('session_request_delay_seconds', CALLS, 'outcome="answered"')),
        }),
      ],
    },
    {
      title: 'Gateways',
      panels: [
        grid({
          title: 'Gateways',
          description:
            'What Kamailio knows of each gateway by OPTIONS; the carrier retell is Retell. Down at one node only: the way between the two. Down at all: the gateway.',
          width: 12,
          none: 'No gateways',
          columns: [
            {
              name: 'Up',
              expr: same(['carrier', 'gateway', 'node'], metric('gateway_up', CARRIER, NODE)),
              unit: 'short',
              threshold: THRESHOLDS.up,
            },
            {
              name: 'Latency',
              expr: same(['carrier', 'gateway', 'node'], metric('gateway_latency_seconds', CARRIER, NODE)),
              unit: 's',
              threshold: THRESHOLDS.gatewayLatency,
            },
          ],
        }),
        lines({
          title: 'Gateways up',
          description:
            '1 where it takes calls, 0 where it is down or drained. Going up and down: probes get lost, look at the network.',
          unit: 'short',
          max: 1,
          threshold: THRESHOLDS.up,
          queries: [
            {
              expr: same(['carrier', 'gateway', 'node'], metric('gateway_up', CARRIER, NODE)),
              legend: '{{carrier}} {{gateway}} at {{node}}',
            },
          ],
        }),
        lines({
          title: 'Latency of gateways',
          description:
            'Average time of the answers to OPTIONS. Over 500 ms every request of a call waits that long: network, or an overloaded gateway.',
          unit: 's',
          threshold: THRESHOLDS.gatewayLatency,
          queries: [
            {
              expr: same(['carrier', 'gateway', 'node'], metric('gateway_latency_seconds', CARRIER, NODE)),
              legend: '{{carrier}} {{gateway}} at {{node}}',
            },
          ],
        }),
        lines({
          title: 'Responses of gateways',
          description:
            "Final responses of every gateway that was tried, per second: a call that failed over counts once for each. Many 5xx with a good SER: failover hides a gateway's fault.",
          unit: 'cps',
          stacked: true,
          queries: [
            {
              expr: perSecond(['carrier', 'code'], metric('gateway_responses_total', CARRIER)),
              legend: '{{carrier}} {{code}}',
            },
          ],
        }),
        lines({
          title: 'Gateways that did not take a call',
          description:
            'Tries per minute that went on to the next gateway or failed; silence counts as 4xx. Any that lasts is a gateway to take out.',
          unit: 'cpm',
          queries: [
            {
              expr: perMinute(['carrier', 'code_class'], metric('attempts_failed_total', CARRIER)),
              legend: '{{carrier}} {{code_class}}',
            },
          ],
        }),
        lines({
          title: 'Calls up',
          description: 'Answered calls by carrier. A step down is bad: the carrier has cut its calls.',
          unit: 'short',
          stacked: true,
          queries: [
            {
              expr: `sum by (carrier) (${same(['direction', 'carrier'], metric('calls_active', CALLS, 'state="answered"'))})`,
              legend: '{{carrier}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'Limits',
      panels: [
        lines({
          title: 'Limits used',
          description:
            'Calls at once as a share of the limit, of each carrier and overall. Over 95 % raise it, or send calls elsewhere: at 100 % they are refused.',
          unit: 'percentunit',
          threshold: THRESHOLDS.limitUsed,
          queries: [{ expr: limitsUsed, legend: '{{limit}} {{carrier}}' }],
        }),
        lines({
          title: 'Limits reached',
          description:
            'Calls per minute that met a limit, of calls at once or per second. Any is a call lost, or one that went to its fallback.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: perMinute(['carrier', 'limit'], metric('limits_reached_total', CARRIER)),
              legend: '{{carrier}} {{limit}}',
            },
          ],
        }),
      ],
    },
  ],
});

function used(by: string[], ...matchers: string[]): string {
  const now = same(by, metric('limit_used', CARRIER, ...matchers));
  return `${now} / (${same(by, metric('limit_max', CARRIER, ...matchers))} > 0)`;
}
