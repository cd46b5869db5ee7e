import { readFileSync } from 'node:fs';

/** Ticks of /proc a second (USER_HZ), which is 100 on every Linux. */
const TICKS = 100;
const PAGE_BYTES = 4096;

/** What Linux says of a process at one moment (proc_pid_stat(5)). */
export interface ProcessStat {
  /** `Z` is a dead one that its parent has not asked about. */
  state: string;
  parent: number;
  group: number;
  session: number;
  /** CPU seconds so far. */
  cpuSeconds: number;
  /** Memory that is resident, those pages that it shares with others among them. */
  rssBytes: number;
}

/** @throws Error where there is no such process any more */
export function readProcessStat(pid: number | string): ProcessStat {
  // The name may hold anything and stands in brackets.
  const behindName = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '';
  const fields = behindName.split(' ');
  const number = (index: number) => Number(fields[index]);
  return {
    state: fields[0] ?? '',
    parent: number(1),
    group: number(2),
    session: number(3),
    cpuSeconds: (number(11) + number(12)) / TICKS,
    rssBytes: number(21) * PAGE_BYTES,
  };
}
