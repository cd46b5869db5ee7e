import { dashboard } from './dashboard.js';
import { figure, grid, lines } from './panels.js';
import {
  CALLS,
  CARRIER,
  hangupsFailing,
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

const attempts = { expr: perSecond([], metric('calls_total', CALLS)), legend: 'attempts' };
const established = { expr: ser(), legend: 'SER' };

export const overview = dashboard({
  name: 'overview',
  title: 'Overview',
  description: 'Is the service as good as it is to be? From here to the dashboard that tells why it is not.',
  rows: [
    {
      title: 'Service level',
      panels: [
        figure({
          title: 'Attempts',
          description:
            'Calls that come in per second, refused ones too. A fall against the week before is bad: carriers or Retell do not reach the proxy. With a carrier chosen outbound calls are left out: at their INVITE none is chosen yet.',
          unit: 'cps',
          queries: [attempts],
        }),
        figure({
          title: 'SER',
          description:
            'Session establishment ratio (RFC 6076 4.6): answered calls among all but redirected ones, by the time they ended, over 5 minutes. Below 95 % look at results by code; busy and unanswered calls lower it too, SEER leaves them out.',
          unit: 'percentunit',
          step: '5m',
          threshold: THRESHOLDS.ser,
          queries: [established],
        }),
        figure({
          title: 'SEER',
          description:
            'Session establishment effectiveness ratio (RFC 6076 4.7): as SER, but busy, unanswered and declined calls (480, 486, 600, 603) count as good. Where it falls, the network is at fault and not the callees.',
          unit: 'percentunit',
          step: '5m',
          threshold: THRESHOLDS.seer,
          queries: [{ expr: seer(), legend: 'SEER' }],
        }),
        figure({
          title: 'ISA',
          description:
            'Ineffective session attempts (RFC 6076 4.8): share of calls that ended in 408, 500, 503 or 504. Over 25 % somebody does not answer or is overloaded: see the carriers.',
          unit: 'percentunit',
          step: '5m',
          threshold: THRESHOLDS.isa,
          queries: [{ expr: isa(), legend: 'ISA' }],
        }),
        figure({
          title: 'SRD p95',
          description:
            'Session request delay (RFC 6076 4.3) of answered calls: from the INVITE to the first sign that it rings, for 95 of 100 calls. Over 3 s callers hang up; a telephone that is called may take 8 s to ring.',
          unit: 's',
          step: '5m',
          threshold: THRESHOLDS.srdP95,
          queries: [{ expr: srd(0.95), legend: 'p95' }],
        }),
        figure({
          title: 'Calls up',
          description:
            'Answered calls, by the records in Redis. A sudden fall is bad: calls were cut, or no new ones are answered.',
          unit: 'short',
          queries: [
            {
              expr: `sum(${same(['direction', 'carrier'], metric('calls_active', CALLS, 'state="answered"'))})`,
              legend: 'calls',
            },
          ],
        }),
        figure({
          title: 'Hangups failing',
          description:
            'Share of hangups by command after which a side is still up or nobody knows (partial, failed). Over 5 % see call control.',
          unit: 'percentunit',
          step: '5m',
          threshold: THRESHOLDS.hangupsFailing,
          queries: [{ expr: hangupsFailing(), legend: 'failing' }],
        }),
        figure({
          title: 'Kamailio nodes up',
          description:
            'Share of the nodes that answer the control plane. Below 100 % a node is gone, and its calls with it.',
          unit: 'percentunit',
          threshold: THRESHOLDS.up,
          queries: [{ expr: `avg(${same(['node'], metric('kamailio_up', NODE))})`, legend: 'up' }],
        }),
        figure({
          title: 'Gateways up',
          description:
            'Share of the gateways, of carriers and of Retell, that answer OPTIONS. Below 100 % calls go to the others, or nowhere.',
          unit: 'percentunit',
          threshold: THRESHOLDS.up,
          queries: [
            {
              expr: `avg(${same(['node', 'carrier', 'gateway'], metric('gateway_up', NODE, CARRIER))})`,
              legend: 'up',
            },
          ],
        }),
        figure({
          title: "Retell's concurrency",
          description:
            "Calls that Retell has for the workspace as a share of those that it takes at once. Over 90 % raise Retell's limit: at 100 % calls are refused or go to their fallback.",
          unit: 'percentunit',
          threshold: THRESHOLDS.concurrency,
          queries: [
            {
              expr: `${same([], metric('retell_concurrency_used'))} / ${same([], metric('retell_concurrency_limit'))}`,
              legend: 'used',
            },
          ],
        }),
        figure({
          title: 'Zombies found',
          description:
            'Calls of the time shown that were over on one side only. Any is bad: somebody pays for a call that nobody is in.',
          unit: 'short',
          instant: true,
          threshold: THRESHOLDS.never,
          queries: [{ expr: `${inRange([], metric('zombies_found_total'))} or vector(0)`, legend: 'found' }],
        }),
        figure({
          title: 'Next certificate to expire',
          description:
            'Time that the first of the configured certificates has left. Below 14 days renew it: with none TLS calls are refused.',
          unit: 's',
          threshold: THRESHOLDS.certificateLeft,
          queries: [
            {
              expr: `min(${same(['certificate'], metric('certificate_expiry_timestamp_seconds'))}) - time()`,
              legend: 'left',
            },
          ],
        }),
      ],
    },
    {
      title: 'Alerts',
      panels: [
        grid({
          title: 'Firing alerts',
          description:
            'Every alert of the proxy that fires now. Each row is something to do; the alert itself names its page of the runbook.',
          height: 6,
          none: 'No alert fires',
          columns: [
            {
              name: 'Series',
              expr: 'count by (alertname, severity, node, carrier, gateway) (ALERTS{alertname=~"RetellProxy.*", alertstate="firing"})',
              unit: 'short',
            },
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
            'Calls that come in per second. The grey line is the same time a week before: well below it, calls do not arrive; well above it, look at security and at limits.',
          unit: 'cps',
          queries: [attempts, weekBefore(attempts)],
        }),
        lines({
          title: 'SER and SEER, and SER a week before',
          description:
            'Both over 5 minutes. SER falling alone: callees do not answer. Both falling: calls do not get through.',
          unit: 'percentunit',
          step: '5m',
          max: 1,
          threshold: THRESHOLDS.ser,
          queries: [established, { expr: seer(), legend: 'SEER' }, weekBefore(established)],
        }),
        lines({
          title: 'Results by code',
          description:
            'Final status of calls, per second, as they end. 408 and 5xx are bad; none is a call that ended without a final answer.',
          unit: 'cps',
          stacked: true,
          queries: [{ expr: perSecond(['code'], metric('call_results_total', CALLS)), legend: '{{code}}' }],
        }),
        lines({
          title: 'SRD',
          description:
            'From the INVITE to the first sign that it rings, of answered calls. p50 rising: everything is slower. p95 alone: one carrier, or Retell now and then.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.srdP95,
          queries: [
            { expr: srd(0.5), legend: 'p50' },
            { expr: srd(0.95), legend: 'p95' },
          ],
        }),
        lines({
          title: 'Calls up',
          description: 'Answered calls by direction. A step down is bad: calls were cut.',
          unit: 'short',
          stacked: true,
          queries: [
            {
              expr: `sum by (direction) (${same(['direction', 'carrier'], metric('calls_active', CALLS, 'state="answered"'))})`,
              legend: '{{direction}}',
            },
          ],
        }),
        lines({
          title: 'Limits reached',
          description:
            'Calls per minute that met a limit: each was refused or went to its fallback. More than now and then: raise it, or ask who calls.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: perMinute(['limit', 'carrier'], metric('limits_reached_total', CARRIER)),
              legend: '{{limit}} {{carrier}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'What calls depend on',
      panels: [
        lines({
          title: 'Up',
          description:
            '1 where it answers, 0 where not. Redis at 0: calls go on, but are not recorded until it is back.',
          unit: 'short',
          max: 1,
          threshold: THRESHOLDS.up,
          queries: [
            { expr: same(['node'], metric('kamailio_up', NODE)), legend: 'kamailio {{node}}' },
            { expr: same([], metric('redis_up')), legend: 'redis' },
          ],
        }),
        lines({
          title: 'From an event to its record, p95',
          description:
            'How long what happened on the wire takes to be seen by the control plane. Over 1 s hangups and webhooks work on old news.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.eventLagP95,
          queries: [{ expr: quantile(0.95, [], metric('event_lag_seconds')), legend: 'p95' }],
        }),
      ],
    },
  ],
});
