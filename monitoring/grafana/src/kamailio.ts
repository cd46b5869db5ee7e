import { dashboard } from './dashboard.js';
import { grid, lines } from './panels.js';
import { metric, NODE, nodePerMinute, perMinute, perSecond, quantile, same } from './queries.js';
import { THRESHOLDS } from './thresholds.js';

const BY = ['node'];
const rpc = 'kamailio_rpc_seconds';
const sharedMemory = `${same(BY, metric('kamailio_shared_memory_used_bytes', NODE))} / ${same(BY, metric('kamailio_shared_memory_size_bytes', NODE))}`;
const privateMemory = `min by (node) (${metric('kamailio_private_memory_free_min_bytes', NODE)})`;

export const kamailio = dashboard({
  name: 'kamailio',
  title: 'Kamailio',
  description: 'Each node: what it holds, what it is short of, and how it answers the control plane.',
  rows: [
    {
      title: 'Nodes',
      panels: [
        grid({
          title: 'Nodes',
          description:
            'One row for each node. Up 0: it does not answer. Configuration 0: a reload has not reached it. A short uptime that nobody planned: it has crashed.',
          width: 14,
          height: 7,
          none: 'No nodes',
          columns: [
            {
              name: 'Up',
              expr: same(BY, metric('kamailio_up', NODE)),
              unit: 'short',
              threshold: THRESHOLDS.up,
            },
            {
              name: 'Uptime',
              expr: same(BY, metric('kamailio_uptime_seconds', NODE)),
              unit: 'dtdurations',
              threshold: THRESHOLDS.nodeUptime,
            },
            {
              name: 'Configuration',
              expr: same(BY, metric('kamailio_config_applied', NODE)),
              unit: 'short',
              threshold: THRESHOLDS.up,
            },
            {
              name: 'Shared memory',
              expr: sharedMemory,
              unit: 'percentunit',
              threshold: THRESHOLDS.sharedMemory,
            },
            {
              name: 'Private memory free',
              expr: privateMemory,
              unit: 'bytes',
              threshold: THRESHOLDS.privateMemoryFree,
            },
          ],
        }),
        grid({
          title: 'Versions',
          description:
            'What each node runs. Different ones outside of an upgrade are a node that was forgotten.',
          width: 10,
          height: 7,
          none: 'No nodes',
          columns: [
            {
              name: 'Info',
              expr: same(['node', 'version'], metric('kamailio_info', NODE)),
              unit: 'short',
            },
          ],
        }),
        lines({
          title: 'Up',
          description:
            '1 where the node answers RPC. 0: dead, or all its RPC workers hang; calls may go on all the same.',
          unit: 'short',
          max: 1,
          threshold: THRESHOLDS.up,
          queries: [{ expr: same(BY, metric('kamailio_up', NODE)), legend: '{{node}}' }],
        }),
        lines({
          title: 'Uptime',
          description: 'A saw tooth is a node that restarts: see its log.',
          unit: 's',
          queries: [{ expr: same(BY, metric('kamailio_uptime_seconds', NODE)), legend: '{{node}}' }],
        }),
      ],
    },
    {
      title: 'Load',
      panels: [
        lines({
          title: 'Dialogs',
          description:
            'Early are not answered yet, confirmed are. A node far from the others: the load is not shared.',
          unit: 'short',
          width: 8,
          queries: [
            { expr: same(BY, metric('kamailio_early_dialogs', NODE)), legend: 'early {{node}}' },
            { expr: same(BY, metric('kamailio_active_dialogs', NODE)), legend: 'confirmed {{node}}' },
          ],
        }),
        lines({
          title: 'Transactions',
          description:
            'Requests that wait for their answer or have just had it. Growing while calls do not: somebody does not answer.',
          unit: 'short',
          width: 8,
          queries: [{ expr: same(BY, metric('kamailio_transactions', NODE)), legend: '{{node}}' }],
        }),
        lines({
          title: 'TCP and TLS connections',
          description:
            'Open ones; TCP has those with TLS and those of the RPC socket among them. Near tcp_max_connections new ones are refused; growing without calls: somebody leaves them open.',
          unit: 'short',
          width: 8,
          queries: [
            { expr: same(BY, metric('kamailio_tcp_connections', NODE)), legend: 'TCP {{node}}' },
            { expr: same(BY, metric('kamailio_tls_connections', NODE)), legend: 'TLS {{node}}' },
          ],
        }),
      ],
    },
    {
      title: 'Memory',
      panels: [
        lines({
          title: 'Shared memory used',
          description:
            'Share of kamailio.shared_memory_mb, for all calls together. At 100 % calls fail. Not falling with the calls: a leak.',
          unit: 'percentunit',
          max: 1,
          threshold: THRESHOLDS.sharedMemory,
          queries: [{ expr: sharedMemory, legend: '{{node}}' }],
        }),
        lines({
          title: 'Private memory free',
          description:
            'Of the process with the least. At 0 that process drops what it handles. Falling for days: a leak.',
          unit: 'bytes',
          threshold: THRESHOLDS.privateMemoryFree,
          queries: [{ expr: privateMemory, legend: '{{node}}' }],
        }),
      ],
    },
    {
      title: 'Events',
      panels: [
        lines({
          title: 'Events waiting for Redis',
          description:
            'In the memory of the node. Growing: Redis is away or slow. It is bounded: beyond it events are dropped.',
          unit: 'short',
          threshold: THRESHOLDS.queuedEvents,
          queries: [{ expr: same(BY, metric('kamailio_queued_events', NODE)), legend: '{{node}}' }],
        }),
        lines({
          title: 'Events dropped',
          description:
            'Per minute. Any is bad: records miss what happened, and reconciliation has to find it.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            { expr: nodePerMinute(BY, metric('kamailio_events_dropped_total', NODE)), legend: '{{node}}' },
          ],
        }),
        lines({
          title: 'Events not handled yet',
          description:
            "Entries of the node's stream that no replica has handled. It is to go back to 0; growing all the time: too few replicas, or none.",
          unit: 'short',
          threshold: THRESHOLDS.streamLag,
          queries: [
            {
              expr: same(BY, metric('stream_lag_entries', 'stream="events"', NODE)),
              legend: '{{node}}',
            },
          ],
        }),
        lines({
          title: 'From an event to its record',
          description: 'All nodes. Over 1 s hangups and webhooks work on old news.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.eventLagP95,
          queries: [0.5, 0.95].map((q) => ({
            expr: quantile(q, [], metric('event_lag_seconds')),
            legend: `p${q * 100}`,
          })),
        }),
        lines({
          title: 'Events handled',
          description:
            'Per second by type, repeated ones too. Many more than calls explain: events come again, a replica does not acknowledge.',
          unit: 'cps',
          stacked: true,
          queries: [{ expr: perSecond(['type'], metric('events_total')), legend: '{{type}}' }],
        }),
        lines({
          title: 'Unreadable batches',
          description:
            'Batches of events per minute that could not be read. Any is bad: what was in them is lost to the records.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [{ expr: perMinute([], metric('events_unreadable_total')), legend: 'unreadable' }],
        }),
      ],
    },
    {
      title: 'RPC',
      panels: [
        lines({
          title: 'RPC latency p95',
          description:
            'By node and method. One method slow: it lists too much. All slow: the node is short of CPU or of RPC workers.',
          unit: 's',
          step: '1m',
          threshold: THRESHOLDS.rpcP95,
          queries: [
            { expr: quantile(0.95, ['node', 'method'], metric(rpc, NODE)), legend: '{{node}} {{method}}' },
          ],
        }),
        lines({
          title: 'RPC faults',
          description:
            'Per minute, all but ok. UNREACHABLE and TIMEOUT: the node. BREAKER_OPEN: it was not even asked. FAULT may be harmless: a dialog that is gone.',
          unit: 'cpm',
          threshold: THRESHOLDS.never,
          queries: [
            {
              expr: perMinute(['node', 'outcome'], metric(`${rpc}_count`, NODE, 'outcome!="ok"')),
              legend: '{{node}} {{outcome}}',
            },
          ],
        }),
      ],
    },
  ],
});
