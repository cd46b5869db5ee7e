export interface SearchOptions {
  /** The first rate that is tried, in calls/s. */
  start: number;
  /** Factor from one rate to the next until one is clean and one is not. Default 1.5. */
  step?: number;
  /** The highest clean rate and the lowest that is not lie no further apart than this share. Default 0.05. */
  precision?: number;
  /** None is tried below this, in calls/s. Default 1. */
  least?: number;
}

/**
 * Looks for the highest rate that is clean: by steps up or down from the first until it lies between two, then by
 * halves.
 *
 * @param isClean tries a rate
 * @returns undefined where not even the least is clean
 */
export async function findHighest(
  isClean: (rate: number) => Promise<boolean>,
  { start, step = 1.5, precision = 0.05, least = 1 }: SearchOptions,
): Promise<number | undefined> {
  let clean: number | undefined;
  let unclean: number | undefined;
  for (let rate = Math.round(start); clean === undefined || unclean === undefined; ) {
    if (await isClean(rate)) clean = rate;
    else unclean = rate;
    if (unclean !== undefined && clean === undefined) {
      if (rate <= least) return undefined;
      rate = Math.max(least, Math.round(rate / step));
    } else {
      rate = Math.max(rate + 1, Math.round(rate * step));
    }
  }
  while (unclean - clean > Math.max(1, clean * precision)) {
    const rate = Math.round((clean + unclean) / 2);
    if (await isClean(rate)) clean = rate;
    else unclean = rate;
  }
  return clean;
}

/** Share by which a rate is lowered that was clean for a moment and not for long. */
const STEP_DOWN = 0.1;
const MOST_STEPS = 8;

/**
 * Tries a rate for longer, and lower ones where it does not hold; then once between the one that holds and the last that
 * did not, as a ratio of two such rates is no finer than their steps.
 *
 * @returns undefined where none holds
 */
export async function confirmHighest(
  holds: (rate: number) => Promise<boolean>,
  rate: number,
): Promise<number | undefined> {
  let tooHigh: number | undefined;
  for (let n = 0, tried = rate; n < MOST_STEPS && tried >= 1; n += 1) {
    if (await holds(tried)) {
      const between = Math.round((tried + (tooHigh ?? tried)) / 2);
      return between > tried && (await holds(between)) ? between : tried;
    }
    tooHigh = tried;
    tried = Math.floor(tried * (1 - STEP_DOWN));
  }
  return undefined;
}
