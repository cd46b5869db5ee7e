import { dashboard } from './dashboard.js';
import { figure, grid, lines } from './panels.js';
import { metric, perMinute, perSecond, quantile, same, total } from './queries.js';
import { THRESHOLDS } from './thresholds.js';

const REPLICA = ['instance'];
const redisMemory = `${same([], metric('redis_used_memory_bytes'))} / (${same([], metric('redis_max_memory_bytes'))} > 0)`;

export const controlPlane = dashboard({
  name: 'control-plane',
  title: 'Control plane',
  description: 'Each replica as a process, Redis behind it, and the work that waits for them.',
  rows: [
    {
      title: 'Now',
      panels: [
        grid({
          title: 'Replicas',
          description:
            'Those that Prometheus reaches, with what they run. One too few is bad, and so is a short uptime that nobody planned.',
          width: 12,
          height: 6,
          none: 'No replica answers',
          columns: [
            { name: 'Info', expr: same(['instance', 'version'], metric('build_info')), unit: 'short' },
          ],
        }),
        figure({
          title: 'Uptime',
          description:
            'Of each replica. Short without a roll-out: it has crashed, or was killed for its memory.',
          unit: 'dtdurations',
          width: 6,
          height: 6,
          queries: [
            {
              expr: `time() - ${same(REPLICA, `process_start_time_seconds and on (instance) ${metric('build_info')}`)}`,
              legend: '{{instance}}',
            },
          ],
        }),
        figure({
          title: 'Due work overdue',
          description:
            'Pieces of work, and of records, that are due and that no replica has taken. More than a few for more than a moment: the replicas do not keep up.',
          unit: 'short',
          width: 6,
          height: 6,
          threshold: THRESHOLDS.dueWorkOverdue,
          queries: [
            { expr: same([], metric('due_work_overdue')), legend: 'work' },
            { expr: same([], metric('detail_records_overdue')), legend: 'records' },
          ],
        }),
      ],
    },
    {
      title: 'Processes',
      panels: [
        lines({
          title: 'Event loop lag p99',
          description:
            'By replica: how long anything may wait before it is begun. Over 250 ms every request does: too much load for one core.',
          unit: 's',
          threshold: THRESHOLDS.eventLoopP99,
          queries: [
            { expr: same(REPLICA, ours('nodejs_eventloop_lag_p99_seconds')), legend: '{{instance}}' },
          ],
        }),
        lines({
          title: 'CPU',
          description: 'Cores in use by replica. JavaScript runs on one: near 1 it is full, add a replica.',
          unit: 'short',
          queries: [
            {
              expr: `sum by (instance) (${ours('rate(process_cpu_seconds_total[$__rate_interval])')})`,
              legend: '{{instance}}',
            },
          ],
        }),
        lines({
          title: 'Memory',
          description:
            'Resident memory and heap by replica. It does not grow with the calls: rising for days is a leak.',
          unit: 'bytes',
          queries: [
            { expr: same(REPLICA, ours('process_resident_memory_bytes')), legend: 'resident {{instance}}' },
            { expr: same(REPLICA, ours('nodejs_heap_size_used_bytes')), legend: 'heap {{instance}}' },
          ],
        }),
        lines({
          title: 'File descriptors used',
          description:
            'Share of those that the process may open, sockets among them. At 100 % it takes no connection.',
          unit: 'percentunit',
          threshold: THRESHOLDS.fileDescriptors,
          queries: [
            {
              expr: `${same(REPLICA, ours('process_open_fds'))} / ${same(REPLICA, 'process_max_fds')}`,
              legend: '{{instance}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'Redis',
      panels: [
        lines({
          title: 'Redis up',
          description:
            '1 where the replica reaches it. 0: nothing is recorded or commanded; calls go on and their events wait at Kamailio.',
          unit: 'short',
          max: 1,
          threshold: THRESHOLDS.up,
          queries: [{ expr: same(REPLICA, metric('redis_up')), legend: '{{instance}}' }],
        }),
        lines({
          title: 'Redis round trip',
          description:
            'Of a PING at the scrape, by replica. Over 10 ms everything is slower: a full CPU, a slow command, the network.',
          unit: 's',
          threshold: THRESHOLDS.redisCommand,
          queries: [{ expr: same(REPLICA, metric('redis_command_seconds')), legend: '{{instance}}' }],
        }),
        lines({
          title: 'Redis memory',
          description:
            'Used, and its maxmemory where there is one. At the maximum writes fail, and with them records.',
          unit: 'bytes',
          queries: [
            { expr: same([], metric('redis_used_memory_bytes')), legend: 'used' },
            { expr: `${same([], metric('redis_max_memory_bytes'))} > 0`, legend: 'maximum' },
          ],
        }),
        lines({
          title: 'Redis memory used',
          description: 'Share of maxmemory; empty where none is set.',
          unit: 'percentunit',
          max: 1,
          threshold: THRESHOLDS.redisMemory,
          queries: [{ expr: redisMemory, legend: 'used' }],
        }),
      ],
    },
    {
      title: 'Work',
      panels: [
        lines({
          title: 'Stream entries not handled yet',
          description: 'By stream. Each is to go back to 0. decisions that wait are callers that wait.',
          unit: 'short',
          threshold: THRESHOLDS.streamLag,
          queries: [
            { expr: same(['stream', 'node'], metric('stream_lag_entries')), legend: '{{stream}} {{node}}' },
          ],
        }),
        lines({
          title: 'Due work',
          description:
            'Tries per minute by kind and outcome. dropped is bad: given up after ten tries. failed is tried again.',
          unit: 'cpm',
          queries: [
            {
              expr: perMinute(['kind', 'outcome'], metric('due_work_total')),
              legend: '{{kind}} {{outcome}}',
            },
          ],
        }),
        lines({
          title: 'Overdue',
          description:
            'Work and pieces of records that are due and not taken. Rising: the replicas do not keep up, or Redis is slow.',
          unit: 'short',
          threshold: THRESHOLDS.dueWorkOverdue,
          queries: [
            { expr: same([], metric('due_work_overdue')), legend: 'work' },
            { expr: same([], metric('detail_records_overdue')), legend: 'records' },
          ],
        }),
        lines({
          title: 'Call detail records',
          description:
            'Written per second. record is to go with the calls that end; many amendments: webhooks come late.',
          unit: 'cps',
          queries: [{ expr: perSecond(['kind'], metric('detail_records_total')), legend: '{{kind}}' }],
        }),
      ],
    },
    {
      title: 'To your own systems',
      panels: [
        lines({
          title: 'Event streams',
          description:
            'Open streams of GET /v1/events, and readers per minute that were dropped because they took nothing for 10 s: those miss events until they come again.',
          unit: 'short',
          queries: [
            { expr: total([], metric('event_streams')), legend: 'open' },
            { expr: perMinute([], metric('event_streams_dropped_total')), legend: 'dropped per minute' },
          ],
        }),
        lines({
          title: 'Webhook deliveries',
          description:
            'Attempts per minute. failed is tried again; given_up and skipped are events that the endpoint never gets.',
          unit: 'cpm',
          stacked: true,
          queries: [
            {
              expr: perMinute(['endpoint', 'outcome'], metric('webhook_deliveries_total')),
              legend: '{{endpoint}} {{outcome}}',
            },
          ],
        }),
        lines({
          title: 'Delivery time p95',
          description: 'By endpoint, 10 s at most. Over 1 s the endpoint is to answer first and work later.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.webhookP95,
          queries: [
            {
              expr: quantile(0.95, ['endpoint'], metric('webhook_delivery_seconds')),
              legend: '{{endpoint}}',
            },
          ],
        }),
        lines({
          title: 'Endpoints disabled',
          description:
            '1 where nothing is sent to the endpoint: it failed for too long. Repair it, then enable it again.',
          unit: 'short',
          max: 1,
          threshold: THRESHOLDS.never,
          queries: [
            { expr: same(['endpoint'], metric('webhook_endpoint_disabled')), legend: '{{endpoint}}' },
          ],
        }),
      ],
    },
    {
      title: 'Configuration',
      panels: [
        lines({
          title: 'Reloads',
          description:
            'Per minute. invalid: the old configuration stays. incomplete: a node does not hold the new one yet.',
          unit: 'cpm',
          queries: [{ expr: perMinute(['outcome'], metric('config_reloads_total')), legend: '{{outcome}}' }],
        }),
        lines({
          title: 'Configuration at the nodes',
          description:
            '1 where the node holds the configuration in force. 0 for more than a minute: it routes by the old one.',
          unit: 'short',
          max: 1,
          threshold: THRESHOLDS.up,
          queries: [
            {
              expr: `min by (node) (${metric('kamailio_config_applied', 'node=~"$node"')})`,
              legend: '{{node}}',
            },
          ],
        }),
      ],
    },
  ],
});

/** Of the processes that Prometheus watches, those that are the control plane. */
function ours(expr: string): string {
  return `${expr} and on (instance) ${metric('build_info')}`;
}
