import type { Trial } from './trial.js';

/** The highest rate of a bare Kamailio and ours, one right after the other; null where none was clean. */
export interface Turn {
  bare: Trial | null;
  ours: Trial | null;
}

/** The rate of one over that of another; null where either has none. */
export function ratioOf(one: Trial | null, other: Trial | null): number | null {
  return one === null || other === null ? null : one.rate / other.rate;
}

/**
 * The turn that counts: as many have a higher ratio as a lower one. A machine's good moment, which one of the two had
 * alone, makes no difference then.
 *
 * @param turns an odd number of them; one without a ratio is lower than all that have one
 */
export function middleTurn(turns: readonly Turn[]): Turn {
  const ratio = ({ ours, bare }: Turn) => ratioOf(ours, bare) ?? 0;
  const sorted = [...turns].sort((a, b) => ratio(a) - ratio(b));
  return sorted[Math.floor(turns.length / 2)] ?? { bare: null, ours: null };
}
