import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { promisify } from 'node:util';

/** The core that what is measured runs on; all others are for the rest. */
const CORE = cpus().length - 1;
const OTHERS = `0-${Math.max(0, CORE - 1)}`;

/** Holds a process and its threads on the one core. @returns false where that cannot be done */
export function holdOnCore(pid: number | undefined): Promise<boolean> {
  return hold(pid, String(CORE));
}

/** Keeps a process and its threads off the one core, where there are others. */
export async function keepOffCore(pid: number | undefined): Promise<boolean> {
  return CORE > 0 && hold(pid, OTHERS);
}

async function hold(pid: number | undefined, list: string): Promise<boolean> {
  if (pid === undefined) return false;
  try {
    await promisify(execFile)('taskset', ['--all-tasks', '--cpu-list', '--pid', list, String(pid)]);
    return true;
  } catch {
    return false;
  }
}
