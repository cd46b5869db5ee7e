import type { Trial } from './trial.js';

/** The highest rate of a bare Kamailio and ours, one right after the other; null where none was clean. */
export interface Turn {
  bare: Trial | null;
  ours: Trial | null;
}

/** Our rate over that of the bare Kamailio; null where either has none. */
export function ratioOf({ bare, ours }: Turn): number | null {
  return bare === null || ours === null ? null : ours.rate / bare.rate;
}

/**
 * The turn that counts: as many have a higher ratio as a lower one. A machine's good moment, which one of the two had
 * alone, makes no difference then.
 *
 * @param turns an odd number of them; one without a ratio is lower than all that have one
 */
export function middleTurn(turns: readonly Turn[]): Turn {
  const sorted = [...turns].sort((a, b) => (ratioOf(a) ?? 0) - (ratioOf(b) ?? 0));
  return sorted[Math.floor(turns.length / 2)] ?? { bare: null, ours: null };
}
