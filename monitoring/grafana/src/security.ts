import { dashboard } from './dashboard.js';
import { figure, lines } from './panels.js';
import { CARRIER, metric, NODE, nodePerMinute, perMinute, perSecond, same } from './queries.js';
import { THRESHOLDS } from './thresholds.js';

const dropped = 'kamailio_dropped_requests_total';
const refused = 'kamailio_refused_calls_total';
const NOT_BELIEVED = 'outcome=~"invalid_signature|stale_signature|source_not_allowed"';

export const security = dashboard({
  name: 'security',
  title: 'Security',
  description: 'Who is turned away, and why: scanners, wrong keys, fraud, and what is about to expire.',
  rows: [
    {
      title: 'Now',
      panels: [
        figure({
          title: 'From unknown sources',
          threshold: THRESHOLDS.unknownSources,
          description:
            'Requests per minute, at the node that gets most, from addresses that are not configured; they get no answer. Some are always there; a wave is a scan, and a carrier among them has a new address.',
          unit: 'cpm',
          width: 6,
          queries: [
            {
              expr: `max(${nodePerMinute(['node'], metric(dropped, NODE, 'reason="unknown_source"'))})`,
              legend: 'dropped',
            },
          ],
        }),
        figure({
          title: 'Failed authentication',
          description:
            'Calls per minute that were refused for their digest or certificate. Any that lasts: a wrong password at Retell or a carrier, or somebody guesses.',
          unit: 'cpm',
          width: 6,
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: `sum(${nodePerMinute(['node', 'reason'], metric(refused, NODE, 'reason=~"auth|certificate"'))})`,
              legend: 'refused',
            },
          ],
        }),
        figure({
          title: 'Webhooks not believed',
          description:
            'Webhooks per minute with a wrong or old signature, or from an address that is not allowed. Any is a wrong key, a clock that is off, or somebody else.',
          unit: 'cpm',
          width: 6,
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: `${perMinute([], metric('webhook_seconds_count', NOT_BELIEVED))} or vector(0)`,
              legend: 'refused',
            },
          ],
        }),
        figure({
          title: 'Certificates',
          description: 'Time that each has left. Below 14 days renew it: with none TLS calls are refused.',
          unit: 's',
          width: 6,
          threshold: THRESHOLDS.certificateLeft,
          queries: [
            {
              expr: `${same(['certificate'], metric('certificate_expiry_timestamp_seconds'))} - time()`,
              legend: '{{certificate}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'SIP',
      panels: [
        lines({
          title: 'Requests dropped',
          description:
            'Per minute by node and reason. unknown_source: nobody we know. malformed: cannot be right; from a carrier it is a fault to report, see the log.',
          unit: 'cpm',
          queries: [
            {
              expr: nodePerMinute(['node', 'reason'], metric(dropped, NODE)),
              legend: '{{node}} {{reason}}',
            },
          ],
        }),
        lines({
          title: 'Calls refused',
          description:
            'Per minute by node and reason. destination: a number that may not be called, often fraud. from: a caller id that is not allowed. merged: a loop. Those by limit: see below.',
          unit: 'cpm',
          stacked: true,
          queries: [
            {
              expr: nodePerMinute(['node', 'reason'], metric(refused, NODE)),
              legend: '{{node}} {{reason}}',
            },
          ],
        }),
        lines({
          title: 'Destination, caller id and authentication refused',
          description:
            'Per minute, all nodes. A rise of destination or from is somebody who tries what is not allowed: look who calls before it is opened.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: `sum by (reason) (${nodePerMinute(['node', 'reason'], metric(refused, NODE, 'reason=~"destination|from|auth|certificate"'))})`,
              legend: '{{reason}}',
            },
          ],
        }),
        lines({
          title: 'Limits reached',
          description:
            'Per minute. A limit that is met out of hours, or by one number alone, is a wave of calls that nobody ordered.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: perMinute(['limit', 'carrier'], metric('limits_reached_total', CARRIER)),
              legend: '{{limit}} {{carrier}}',
            },
          ],
        }),
        lines({
          title: 'Refused by the other side',
          description:
            'Calls per second with a final status that speaks of blocking: 403, 603, 607, 608. Rising at one carrier: the caller id has a bad name, or the account is barred.',
          unit: 'cps',
          stacked: true,
          queries: [
            {
              expr: perSecond(
                ['carrier', 'code'],
                metric('gateway_responses_total', CARRIER, 'code=~"403|603|607|608"'),
              ),
              legend: '{{carrier}} {{code}}',
            },
          ],
        }),
        lines({
          title: 'Calls to unknown numbers',
          description:
            'Calls per second that ended in 404. Many: somebody tries numbers one by one, or a number is missing from the configuration.',
          unit: 'cps',
          queries: [
            {
              expr: perSecond(
                ['direction', 'carrier'],
                metric('call_results_total', 'direction=~"$direction"', CARRIER, 'code="404"'),
              ),
              legend: '{{direction}} {{carrier}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'Webhooks and functions',
      panels: [
        lines({
          title: 'Webhooks not believed',
          description:
            'Per minute by reason. All of them at once after a rotation: the new key is not configured. stale_signature alone: a clock. malformed: not Retell.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: perMinute(
                ['outcome'],
                metric(
                  'webhook_seconds_count',
                  'outcome=~"invalid_signature|stale_signature|source_not_allowed|malformed"',
                ),
              ),
              legend: '{{outcome}}',
            },
          ],
        }),
        lines({
          title: 'Functions and destinations refused',
          description:
            'Per minute. An agent that asks for a destination that is not allowed may have been talked into it by its caller.',
          unit: 'cpm',
          queries: [
            {
              expr: perMinute(['function'], metric('functions_total', 'outcome="refused"')),
              legend: 'function {{function}}',
            },
            {
              expr: perMinute(
                ['outcome'],
                metric('calls_created_total', 'outcome=~"destination_not_allowed|invalid_from"'),
              ),
              legend: 'call {{outcome}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'Certificates',
      panels: [
        lines({
          title: 'Time left of certificates',
          description: 'By file. A line that goes on falling below 14 days: its renewal does not work.',
          unit: 's',
          width: 24,
          threshold: THRESHOLDS.certificateLeft,
          queries: [
            {
              expr: `${same(['certificate'], metric('certificate_expiry_timestamp_seconds'))} - time()`,
              legend: '{{certificate}}',
            },
          ],
        }),
      ],
    },
  ],
});
