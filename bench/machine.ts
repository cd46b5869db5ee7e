import { execFile } from 'node:child_process';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { promisify } from 'node:util';

/** Where a benchmark ran, for its report. */
export interface Machine {
  cpu: string;
  cpus: number;
  memoryGib: number;
  system: string;
  /** Mean number of processes that ran or waited to, in the minute before. */
  load: number;
  node: string;
  kamailio: string;
  redis: string;
}

/** @throws the system error where a program is missing */
export async function describeMachine(): Promise<Machine> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cpus: processors.length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    load: loadavg()[0] ?? 0,
    node: process.versions.node,
    kamailio: await versionOf(process.env.KAMAILIO ?? 'kamailio', '-v'),
    redis: await versionOf('redis-server', '--version'),
  };
}

async function versionOf(program: string, option: string): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [option]);
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? 'unknown';
}

/** Where it ran and with what, as lines of Markdown. */
export function machineLines(machine: Machine): string[] {
  return [
    `- Machine: ${machine.cpus} x ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.system}, load before the run ${machine.load.toFixed(2)}`,
    `- Versions: Node.js ${machine.node}, Kamailio ${machine.kamailio}, Redis ${machine.redis}`,
  ];
}
