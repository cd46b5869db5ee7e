import { dashboard } from './dashboard.js';
import { figure, heat, lines } from './panels.js';
import { buckets, CALLS, metric, NODE, perMinute, perSecond, quantile, same } from './queries.js';
import { THRESHOLDS } from './thresholds.js';

const active = same(['direction', 'carrier', 'state'], metric('calls_active', CALLS));
const reconciliationAge = `time() - ${same([], metric('reconciliation_last_run_timestamp_seconds'))}`;

export const calls = dashboard({
  name: 'calls',
  title: 'Calls and dialogs',
  description: 'Which calls are up, how they end, and whether Kamailio, Redis and Retell agree on them.',
  rows: [
    {
      title: 'Now',
      panels: [
        figure({
          title: 'Calls by state',
          description:
            'Calls by their records. Many in routing or ringing for the answered ones: the next hop does not answer.',
          unit: 'short',
          width: 12,
          queries: [{ expr: `sum by (state) (${active})`, legend: '{{state}}' }],
        }),
        figure({
          title: 'Drift',
          description:
            'Largest difference between dialogs and open records, either way. Other than 0 for 10 minutes: see the findings below.',
          unit: 'short',
          threshold: THRESHOLDS.never,
          queries: [
            { expr: `max(abs(${same(['node'], metric('reconciliation_drift', NODE))}))`, legend: 'drift' },
          ],
        }),
        figure({
          title: 'Last reconciliation',
          description:
            'Time since the three were last compared; it happens every 30 s. Over 5 minutes no replica does it, and zombies stay.',
          unit: 's',
          threshold: THRESHOLDS.reconciliationAge,
          queries: [{ expr: reconciliationAge, legend: 'ago' }],
        }),
        figure({
          title: 'Cut at the longest duration',
          description:
            'Calls per minute that their deadline ended. More than a few: agents do not end their calls, or BYEs get lost.',
          unit: 'cpm',
          queries: [
            {
              expr: `${perMinute([], metric('calls_ended_total', CALLS, 'ended_by="timeout"'))} or vector(0)`,
              legend: 'cut',
            },
          ],
        }),
      ],
    },
    {
      title: 'Calls that are up',
      panels: [
        lines({
          title: 'Calls by direction and state',
          description:
            'Calls by their records. Ringing that grows alone: calls are not answered. Routing that grows: decisions or gateways hang.',
          unit: 'short',
          stacked: true,
          queries: [{ expr: `sum by (direction, state) (${active})`, legend: '{{direction}} {{state}}' }],
        }),
        lines({
          title: 'Dialogs',
          description:
            "Kamailio's own count: early are not answered yet, confirmed are. They ought to go with the records beside; where they part, see drift.",
          unit: 'short',
          queries: [
            { expr: same(['node'], metric('kamailio_early_dialogs', NODE)), legend: 'early {{node}}' },
            { expr: same(['node'], metric('kamailio_active_dialogs', NODE)), legend: 'confirmed {{node}}' },
          ],
        }),
      ],
    },
    {
      title: 'How calls begin and end',
      panels: [
        lines({
          title: 'Ended by',
          description:
            'Calls that ended per second, by who ended them. failure is a call that did not get through or was lost, reaper one that was over on one side only, timeout one that rang or lasted too long: those are bad.',
          unit: 'cps',
          stacked: true,
          queries: [
            { expr: perSecond(['ended_by'], metric('calls_ended_total', CALLS)), legend: '{{ended_by}}' },
          ],
        }),
        lines({
          title: 'Duration',
          description:
            'Session duration time (RFC 6076 4.5) of calls that were answered. A p50 of a few seconds: callers hear nothing, or the wrong thing.',
          unit: 's',
          step: '5m',
          queries: [
            {
              expr: quantile(0.5, ['direction'], metric('session_duration_seconds', CALLS)),
              legend: '{{direction}} p50',
            },
            {
              expr: quantile(0.95, ['direction'], metric('session_duration_seconds', CALLS)),
              legend: '{{direction}} p95',
            },
          ],
        }),
        heat({
          title: 'Durations',
          description:
            'How long calls lasted. A heap at one length is a timer: a session that is not refreshed, a limit somewhere.',
          unit: 's',
          expr: buckets(metric('session_duration_seconds', CALLS)),
        }),
        lines({
          title: 'SRD',
          description:
            'From the INVITE to the first sign that it rings, or to the refusal (RFC 6076 4.3), for 95 of 100 calls. Over 3 s callers hang up.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.srdP95,
          queries: [
            {
              expr: quantile(0.95, ['direction', 'outcome'], metric('session_request_delay_seconds', CALLS)),
              legend: '{{direction}} {{outcome}}',
            },
          ],
        }),
        lines({
          title: 'SDD p95',
          description:
            'Session disconnect delay (RFC 6076 4.4): from the BYE to its answer. Seconds mean that BYEs are sent again, or not answered at all: those calls linger.',
          unit: 's',
          step: '1m',
          queries: [
            {
              expr: quantile(0.95, ['direction'], metric('session_disconnect_delay_seconds', CALLS)),
              legend: '{{direction}}',
            },
          ],
        }),
        lines({
          title: 'Fallbacks and deadlines',
          description:
            'Per minute: calls that went to the fallback of their number, calls that rang or lasted too long, and work on the longest duration that was due. Fallbacks that last: Retell or its API is not there.',
          unit: 'cpm',
          queries: [
            { expr: perMinute([], metric('fallbacks_total')), legend: 'fallback' },
            {
              expr: perMinute(['direction'], metric('calls_ended_total', CALLS, 'ended_by="timeout"')),
              legend: 'timeout {{direction}}',
            },
            {
              expr: perMinute(['outcome'], metric('due_work_total', 'kind="max_duration"')),
              legend: 'longest duration {{outcome}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'Calls that are over on one side only',
      panels: [
        lines({
          title: 'Zombies found',
          description:
            'Per minute, by where they went on: retell, or here for a dialog that is up; and by what led to them. Any is bad: it costs money until it is ended.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: perMinute(['side', 'by'], metric('zombies_found_total')),
              legend: '{{side}}, by {{by}}',
            },
          ],
        }),
        lines({
          title: 'Zombies ended',
          description:
            'Per minute, by what came of them. failed is bad: it is tried again, but the call goes on meanwhile. observed is left alone by the configuration.',
          unit: 'cpm',
          queries: [
            {
              expr: perMinute(['side', 'outcome'], metric('zombies_ended_total')),
              legend: '{{side}} {{outcome}}',
            },
          ],
        }),
        lines({
          title: 'Drift',
          description:
            'Dialogs less open records, beyond what calls on their way explain. Above 0: dialogs without a record. Below 0: records without a dialog. 0 is right.',
          unit: 'short',
          signed: true,
          queries: [
            { expr: same(['node'], metric('reconciliation_drift', NODE)), legend: '{{node}}' },
            {
              expr: same(['limit', 'carrier'], metric('limit_drift')),
              legend: 'limit {{limit}} {{carrier}}',
            },
          ],
        }),
        lines({
          title: 'Findings',
          description:
            'What did not agree, per minute, by kind and what was done. lost_end: events get lost. failed: it was not put right. What stays as it is counts in each run.',
          unit: 'cpm',
          queries: [
            {
              expr: perMinute(['kind', 'action'], metric('reconciliation_findings_total')),
              legend: '{{kind}} {{action}}',
            },
          ],
        }),
        lines({
          title: 'Reconciliation runs',
          description:
            'Per minute by outcome. incomplete: a node or Retell did not answer. failed: Redis did not. No run at all is worst.',
          unit: 'cpm',
          queries: [
            { expr: perMinute(['outcome'], metric('reconciliation_runs_total')), legend: '{{outcome}}' },
          ],
        }),
        lines({
          title: 'BYEs without a record, calls without an INVITE',
          description:
            'Per minute. A BYE whose call is in no record: its events were lost. A call that Retell was asked for and that never came: money spent at Retell, or a request of unknown outcome.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            { expr: perMinute([], metric('byes_unmatched_total')), legend: 'BYE without a record' },
            {
              expr: perMinute(['outcome'], metric('calls_unplaced_total')),
              legend: 'no INVITE: {{outcome}}',
            },
          ],
        }),
      ],
    },
  ],
});
