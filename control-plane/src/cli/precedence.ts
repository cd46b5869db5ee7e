import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** How far this process steps back, of 19 at most (setpriority(2)). */
const NICENESS = 5;

/**
 * Lets Kamailio and Redis go first where CPUs are short: events wait in their queues, calls would not. Linux may group
 * processes by session; niceness then counts for the group (sched(7), "The autogroup feature").
 */
export function stepBack(): void {
  setPriority(NICENESS);
  try {
    writeFileSync('/proc/self/autogroup', String(NICENESS));
  } catch {
    // There are no such groups here.
  }
}
