import type { KamailioNode } from './node.js';

/** What a node tells of itself. */
export interface NodeFigures {
  /** Statistics by full name, e.g. `dialog.active_dialogs`. */
  statistics: ReadonlyMap<string, number>;
  /** Open TCP connections, those with TLS and those of the RPC socket among them. */
  tcpConnections: number;
  tlsConnections: number;
  /** Private memory that the process with the least of it has left, in bytes. */
  leastPrivateMemory: number;
  uptimeS: number;
  /** e.g. `5.6.3` */
  version: string;
}

const GROUPS = ['dialog:', 'shmem:', 'script:', 'tmx:'];

/** What every node tells of itself; undefined for one that does not answer. */
export async function figuresOf(
  nodes: ReadonlyMap<string, KamailioNode>,
): Promise<Map<string, NodeFigures | undefined>> {
  const entries = [...nodes].map(async ([name, node]) => {
    // Shown as kamailio_up 0; each failed RPC is counted by its own metric.
    return [name, await figures(node).catch(() => undefined)] as const;
  });
  return new Map(await Promise.all(entries));
}

/** @throws KamailioError */
async function figures(node: KamailioNode): Promise<NodeFigures> {
  // One question first: a node that hangs is known by it, and not asked the others.
  const statistics = await node.statistics(GROUPS);
  // No more than two at once: a connection stays free for commands that cannot wait.
  const [[tcp, uptimeS], [leastPrivateMemory, version]] = await Promise.all([
    (async () => [await node.connections(), await node.uptimeS()] as const)(),
    (async () => [await node.leastPrivateMemory(), await node.version()] as const)(),
  ]);
  return {
    statistics,
    tcpConnections: tcp.open,
    tlsConnections: tcp.tls,
    leastPrivateMemory,
    uptimeS,
    version: /\d+\.\d+\.\d+\S*/.exec(version)?.[0] ?? 'unknown',
  };
}
