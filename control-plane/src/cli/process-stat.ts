import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of /proc a second (USER_HZ), which is 100 on every Linux. */
const TICKS = 100;
const PAGE_BYTES = 4096;

/** What Linux says of a process at one moment (proc_pid_stat(5)). */
export interface ProcessStat {
  pid: number;
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
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = (text.split(') ').at(-1) ?? '').split(' ');
  const number = (index: number) => Number(fields[index]);
  return {
    pid: Number.parseInt(text, 10),
    state: fields[0] ?? '',
    parent: number(1),
    group: number(2),
    session: number(3),
    cpuSeconds: (number(11) + number(12)) / TICKS,
    rssBytes: number(21) * PAGE_BYTES,
  };
}

/** All processes of the machine that can be seen, in no order. */
export function readProcesses(): ProcessStat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [readProcessStat(name)];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}
