import type { KamailioNode } from './node.js';

/** What every node tells of itself; undefined for one that does not answer. */
export async function statisticsOf(
  nodes: ReadonlyMap<string, KamailioNode>,
): Promise<Map<string, ReadonlyMap<string, number> | undefined>> {
  const entries = [...nodes].map(async ([name, node]) => {
    try {
      const statistics = await node.statistics(['dialog:', 'shmem:', 'script:']);
      statistics.set('queue.events', await node.queuedEvents());
      return [name, statistics] as const;
    } catch {
      // Shown as kamailio_up 0; each failed RPC is counted by its own metric.
      return [name, undefined] as const;
    }
  });
  return new Map(await Promise.all(entries));
}
