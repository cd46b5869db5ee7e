import { dashboard } from './dashboard.js';
import { figure, heat, lines } from './panels.js';
import { buckets, metric, perMinute, perSecond, quantile, same, share } from './queries.js';
import { THRESHOLDS } from './thresholds.js';

const api = 'retell_api_seconds';
/** Of each endpoint. What Retell refuses may be the caller's fault: it is not among them. */
const apiFailing = share(
  ['endpoint'],
  metric(`${api}_count`, 'outcome=~"timeout|unreachable|protocol"'),
  metric(`${api}_count`, 'outcome!~"aborted|not_configured"'),
);
const decisionsFailing = share(
  [],
  metric('decision_seconds_count', 'outcome!~"registered|cancelled|gone|duplicate"'),
  metric('decision_seconds_count', 'outcome!~"cancelled|gone|duplicate"'),
);
const used = same([], metric('retell_concurrency_used'));
const limit = same([], metric('retell_concurrency_limit'));

export const retell = dashboard({
  name: 'retell',
  title: 'Retell',
  description: "Retell's API as it answers us, and Retell's webhooks as we answer them.",
  rows: [
    {
      title: 'Now',
      panels: [
        figure({
          title: 'API errors',
          description:
            'Share of requests to the API without a usable answer, of the endpoint that is worst. Over 10 % look at outcomes below, then at status.retellai.com.',
          unit: 'percentunit',
          step: '5m',
          threshold: THRESHOLDS.retellApiFailing,
          queries: [{ expr: `max(${apiFailing})`, legend: 'worst endpoint' }],
        }),
        figure({
          title: 'register-phone-call p95',
          description:
            'What callers of numbers with method register wait for. At the deadline (retell.register_timeout_ms) they go to their fallback.',
          unit: 's',
          step: '5m',
          threshold: THRESHOLDS.retellApiP95,
          queries: [
            { expr: quantile(0.95, [], metric(api, 'endpoint="register-phone-call"')), legend: 'p95' },
          ],
        }),
        figure({
          title: 'Decisions failing',
          description:
            'Share of calls with method register that were not registered in time: they went to their fallback, and no agent took them.',
          unit: 'percentunit',
          step: '5m',
          threshold: THRESHOLDS.decisionsFailing,
          queries: [{ expr: decisionsFailing, legend: 'failing' }],
        }),
        figure({
          title: 'Concurrency used',
          description:
            'Share of the calls that Retell takes at once. Over 90 % raise it at Retell: at 100 % calls go to their fallback or are refused.',
          unit: 'percentunit',
          threshold: THRESHOLDS.concurrency,
          queries: [{ expr: `${used} / ${limit}`, legend: 'used' }],
        }),
        figure({
          title: 'Webhooks refused',
          description:
            'Webhooks per minute that were not believed: signature, age, source. Any is a wrong key, a clock that is off, or somebody else.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: `${perMinute([], metric('webhook_seconds_count', 'outcome=~"invalid_signature|stale_signature|source_not_allowed"'))} or vector(0)`,
              legend: 'refused',
            },
          ],
        }),
        figure({
          title: 'Webhook to record p95',
          description:
            'From the arrival of a webhook to its record. Over 1 s the control plane or Redis does not keep up.',
          unit: 's',
          step: '5m',
          threshold: THRESHOLDS.webhookP95,
          queries: [{ expr: quantile(0.95, [], metric('call_webhook_lag_seconds')), legend: 'p95' }],
        }),
      ],
    },
    {
      title: 'API',
      panels: [
        lines({
          title: 'API latency p95',
          description: 'By endpoint. One endpoint slow: Retell. All slow: the way there.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.retellApiP95,
          queries: [{ expr: quantile(0.95, ['endpoint'], metric(api)), legend: '{{endpoint}}' }],
        }),
        lines({
          title: 'API requests by outcome',
          description:
            'Per second. timeout and unreachable: Retell or the way there. refused: a wrong key, an agent that is gone, a limit. protocol: an answer that cannot be read.',
          unit: 'reqps',
          stacked: true,
          queries: [
            {
              expr: perSecond(['endpoint', 'outcome'], metric(`${api}_count`)),
              legend: '{{endpoint}} {{outcome}}',
            },
          ],
        }),
        heat({
          title: 'register-phone-call',
          description: 'How long it took. A second heap near the deadline comes before calls are lost.',
          unit: 's',
          expr: buckets(metric(api, 'endpoint="register-phone-call"')),
        }),
        lines({
          title: 'Decisions by outcome',
          description:
            'Calls with method register per second. All but registered, cancelled, gone and duplicate sent the call to its fallback. late and overload: the control plane does not keep up.',
          unit: 'cps',
          stacked: true,
          queries: [
            { expr: perSecond(['outcome'], metric('decision_seconds_count')), legend: '{{outcome}}' },
          ],
        }),
        lines({
          title: 'Time to decide',
          description:
            "From the INVITE to its decision. It is to be little more than Retell's API: what is beyond is ours.",
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.retellApiP95,
          queries: [0.5, 0.95].map((q) => ({
            expr: quantile(q, [], metric('decision_seconds', 'outcome="registered"')),
            legend: `p${q * 100}`,
          })),
        }),
        lines({
          title: 'Calls registered or asked for in vain',
          description:
            'Per minute: registered calls that nobody dials, by whether Retell was told, and calls asked for whose INVITE did not come. Many: callers give up while Retell thinks.',
          unit: 'cpm',
          queries: [
            {
              expr: perMinute(['outcome'], metric('orphaned_registrations_total')),
              legend: 'registered, {{outcome}}',
            },
            {
              expr: perMinute(['outcome'], metric('calls_unplaced_total')),
              legend: 'asked for, {{outcome}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'Concurrency',
      panels: [
        lines({
          title: 'Concurrency used and limit',
          description:
            'As Retell last said, calls of the workspace that do not pass here too. Used at the limit: calls are refused or go to their fallback.',
          unit: 'short',
          queries: [
            { expr: used, legend: 'used' },
            { expr: limit, legend: 'limit' },
          ],
        }),
        lines({
          title: 'Met at the limit, and not known',
          description:
            "Per minute: calls that met Retell's limit, and times that Retell did not tell it. After two minutes without an answer no call is refused for it, and Retell refuses them itself.",
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: perMinute([], metric('limits_reached_total', 'limit="retell"')),
              legend: 'limit reached',
            },
            { expr: perMinute([], metric('retell_concurrency_failures_total')), legend: 'not answered' },
          ],
        }),
      ],
    },
    {
      title: 'Webhooks',
      panels: [
        lines({
          title: 'Webhooks by outcome',
          description:
            'Per second. invalid_signature and stale_signature: a wrong key or clock. failed: ours, and Retell sends it again. unknown_number: a number of Retell that is not configured here.',
          unit: 'reqps',
          stacked: true,
          queries: [{ expr: perSecond(['outcome'], metric('webhook_seconds_count')), legend: '{{outcome}}' }],
        }),
        lines({
          title: 'Time to answer webhooks, p95',
          description:
            'By outcome. Retell gives up on an inbound one after 10 s, and callers wait for it meanwhile.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.webhookP95,
          queries: [{ expr: quantile(0.95, ['outcome'], metric('webhook_seconds')), legend: '{{outcome}}' }],
        }),
        lines({
          title: 'Webhooks about calls',
          description:
            'Per minute, by event and what became of it. dead is bad: see the dead webhooks and replay them. unmatched are calls that did not pass here.',
          unit: 'cpm',
          stacked: true,
          queries: [
            {
              expr: perMinute(['event', 'outcome'], metric('call_webhooks_total')),
              legend: '{{event}} {{outcome}}',
            },
          ],
        }),
        lines({
          title: 'How webhooks found their call',
          description:
            'Per minute. none and numbers that grow: our id does not come back from Retell, so webhooks may find the wrong call or no one.',
          unit: 'cpm',
          stacked: true,
          queries: [{ expr: perMinute(['by'], metric('webhook_correlations_total')), legend: '{{by}}' }],
        }),
        lines({
          title: 'From a webhook to its record',
          description: 'p50 and p95. Over 1 s the control plane or Redis does not keep up.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.webhookP95,
          queries: [0.5, 0.95].map((q) => ({
            expr: quantile(q, [], metric('call_webhook_lag_seconds')),
            legend: `p${q * 100}`,
          })),
        }),
        lines({
          title: 'Webhooks not handled yet',
          description:
            'Entries of the stream that no replica has handled. It is to go back to 0; growing all the time is too few replicas, or none.',
          unit: 'short',
          threshold: THRESHOLDS.streamLag,
          queries: [
            { expr: same([], metric('stream_lag_entries', 'stream="webhooks"')), legend: 'webhooks' },
          ],
        }),
      ],
    },
  ],
});
