/** Where a call goes on that is over on the other side: at Retell, or here, as a dialog that is up. */
export type ZombieSide = 'retell' | 'here';

/** What led to it: its end here, a webhook of its end at Retell, or the comparison of all calls. */
export type ZombieSource = 'call_end' | 'webhook' | 'reconciler';

/** What became of it; `observed` where it is only told of, `failed` is tried again. */
export type ZombieOutcome = 'ended' | 'observed' | 'failed';

/** Told of calls that are over on one side only: each once when it is found, and of what is done with it. */
export interface ZombieObserver {
  zombieFound(side: ZombieSide, by: ZombieSource): void;
  zombieEnded(side: ZombieSide, outcome: ZombieOutcome): void;
}
