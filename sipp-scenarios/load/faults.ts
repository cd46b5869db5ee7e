import type { Part } from '../../test/harness/part.js';
import type { Callees } from './callees.js';
import type { OwnSystem } from './system.js';

/** What can be broken. */
export const FAULTS = ['control plane killed', 'Redis paused', 'Retell gateway dead', 'RPC hung'] as const;
export type FaultName = (typeof FAULTS)[number];

/** Breaks something of a stack. @returns makes it whole again */
export type Inflict = (system: OwnSystem, callees: Callees) => Promise<() => Promise<void>>;

/** How each is done. */
export const INFLICT: Readonly<Record<FaultName, Inflict>> = {
  /** SIGKILL; it is started again as it was. */
  'control plane killed': async ({ stack }) => {
    const part = running(stack.parts.controlPlane);
    await part.kill();
    return () => part.start();
  },
  /** SIGSTOP: connections stay open, and nothing is answered. */
  'Redis paused': async ({ stack }) => paused([running(stack.parts.redis).pid]),
  /** The SIPp behind one gateway is killed with the calls that it has, and started again at the same port. */
  'Retell gateway dead': async (_, { inbound, outbound }) => {
    const [gateway] = inbound.length > 0 ? inbound : outbound;
    if (gateway === undefined) throw new Error('there is no gateway that could die');
    await gateway.run.stop();
    return () => gateway.restart();
  },
  /** SIGSTOP to the workers of Kamailio's RPC socket: it takes connections and answers none. */
  'RPC hung': async ({ stack }) => {
    const port = new URL(stack.config.kamailio.nodes[0]?.rpc_url ?? '').port;
    const processes = await stack.rpc.call('core.psx');
    const workers = rpcWorkers(processes, port);
    if (workers.length === 0) throw new Error(`no process of Kamailio serves RPC on port ${port}`);
    return paused(workers);
  },
};

function running(part: Part | undefined): Part {
  if (part?.pid === undefined) throw new Error('a part that is to be broken does not run');
  return part;
}

function paused(pids: readonly (number | undefined)[]): () => Promise<void> {
  const signal = (name: NodeJS.Signals) => {
    for (const pid of pids) if (pid !== undefined) process.kill(pid, name);
  };
  signal('SIGSTOP');
  return async () => signal('SIGCONT');
}

/** Process ids of those that serve a TCP port, of what the RPC `core.psx` answers. */
export function rpcWorkers(processes: unknown, port: string): number[] {
  const found: number[] = [];
  const visit = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return;
    const { PID, DSC } = value as { PID?: unknown; DSC?: unknown };
    if (typeof PID === 'number' && typeof DSC === 'string') {
      if (DSC.startsWith('tcp receiver') && DSC.includes(`:${port})`)) found.push(PID);
      return;
    }
    for (const each of Object.values(value)) visit(each);
  };
  visit(processes);
  return found;
}
