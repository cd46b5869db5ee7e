import { writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { readProcessStat } from './process-stat.js';

/**
 * Who goes first where CPUs are short, as niceness (setpriority(2)): Kamailio, because events wait in their queues and
 * calls do not. Redis hands its own down to the process that writes its append-only file anew, for seconds.
 */
export const NICENESS = { kamailio: -5, redis: 10, control_plane: 10 } as const;

/** Most that a process can step back. */
const LAST = 19;

/**
 * Moves a process that has just been started, and what it starts, in relation to this one. To come forward takes a
 * privilege: without it the process stays where it is.
 */
export function move(pid: number, niceness: number): void {
  give(pid, Math.min(getPriority() + niceness, LAST));
}

/** Lets this process step back, where it was not started further back. */
export function stepBack(): void {
  // To come forward again takes a privilege, and is not wanted.
  give(process.pid, Math.max(getPriority(), NICENESS.control_plane));
}

function give(pid: number, niceness: number): void {
  try {
    setPriority(pid, niceness);
    // Linux may group processes by session, and then it is the group's niceness that counts beside other sessions
    // (sched(7), "The autogroup feature"). A session that is shared is not for one of its processes to move.
    if (readProcessStat(pid).session === pid) writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {
    // It may not, is gone already, or there are no such groups.
  }
}
