import { readFileSync } from 'node:fs';
import { readProcesses, readProcessStat } from '../control-plane/src/cli/process-stat.js';

/** The process group of this process and its threads. */
export function ownGroup(): number {
  return readProcessStat('self').group;
}

/** Ticks of all CPUs of the machine so far; those that the host gave to other machines are stolen. */
export interface MachineTicks {
  all: number;
  busy: number;
  stolen: number;
}

export function readMachineTicks(): MachineTicks {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  // user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)); guests are in user already.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const all = ticks.reduce((sum, each) => sum + each, 0);
  const stolen = ticks[7] ?? 0;
  return { all, stolen, busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0) - stolen };
}

/** CPU seconds that the processes of a group have used so far, those left out that have ended. */
function cpuSeconds(group: number): number {
  const own = readProcesses().filter((process) => process.group === group);
  return own.reduce((sum, process) => sum + process.cpuSeconds, 0);
}

/** Seconds that the main thread of a process was ready to run and others had its CPU, so far. */
export function secondsKeptWaiting(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e9;
}

/** CPUs that each part of a stack uses while `work` goes on, by name. */
export async function cpusDuring<T>(
  parts: Readonly<Record<string, number | undefined>>,
  work: () => Promise<T>,
): Promise<{ result: T; cpus: Record<string, number> }> {
  const read = () => Object.entries(parts).map(([name, group = 0]) => [name, cpuSeconds(group)] as const);
  const [before, started] = [new Map(read()), performance.now()];
  const result = await work();
  const seconds = (performance.now() - started) / 1000;
  const cpus = read().map(([name, used]) => [name, (used - (before.get(name) ?? 0)) / seconds] as const);
  return { result, cpus: Object.fromEntries(cpus) };
}
