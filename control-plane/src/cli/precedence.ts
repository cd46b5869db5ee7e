import { writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** How far this process steps back, of 19 at most, where it was not started further back (setpriority(2)). */
const NICENESS = 5;

/**
 * Lets Kamailio and Redis go first where CPUs are short: events wait in their queues, calls would not. Linux may group
 * processes by session; niceness then counts for the group (sched(7), "The autogroup feature").
 */
export function stepBack(): void {
  // To come forward again takes a privilege, and is not wanted.
  const niceness = Math.max(getPriority(), NICENESS);
  setPriority(niceness);
  try {
    writeFileSync('/proc/self/autogroup', String(niceness));
  } catch {
    // There are no such groups here.
  }
}
