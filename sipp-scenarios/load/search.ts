export interface SearchOptions {
  /** The first rate that is tried, in calls/s. */
  start: number;
  /** The highest clean rate and the lowest that is not lie no further apart than this share. Default 0.05. */
  precision?: number;
  /** None is tried below this, in calls/s. Default 1. */
  least?: number;
}

/** Factor from one rate to the next until one is clean and one is not. */
const STEP = 1.5;

/**
 * Looks for the highest rate that is clean: by steps up or down from the first until it lies between two, then by
 * halves.
 *
 * @param isClean tries a rate
 * @returns undefined where not even the least is clean
 */
export async function findHighest(
  isClean: (rate: number) => Promise<boolean>,
  { start, precision = 0.05, least = 1 }: SearchOptions,
): Promise<number | undefined> {
  let clean: number | undefined;
  let unclean: number | undefined;
  for (let rate = Math.round(start); clean === undefined || unclean === undefined; ) {
    if (await isClean(rate)) clean = rate;
    else unclean = rate;
    if (unclean !== undefined && clean === undefined) {
      if (rate <= least) return undefined;
      rate = Math.max(least, Math.round(rate / STEP));
    } else {
      rate = Math.max(rate + 1, Math.round(rate * STEP));
    }
  }
  while (unclean - clean > Math.max(1, clean * precision)) {
    const rate = Math.round((clean + unclean) / 2);
    if (await isClean(rate)) clean = rate;
    else unclean = rate;
  }
  return clean;
}

/** Shares by which a rate is raised that holds, and lowered that does not. */
const STEP_UP = 0.05;
const STEP_DOWN = 0.1;
const MOST_STEPS = 8;

/**
 * Tries a rate for longer. Where it holds, higher ones until one does not; else lower ones until one does, and then once
 * between that and the last that did not, as a ratio of two such rates is no finer than their steps.
 *
 * @returns undefined where none holds
 */
export async function confirmHighest(
  holds: (rate: number) => Promise<boolean>,
  rate: number,
): Promise<number | undefined> {
  if (await holds(rate)) return raise(holds, rate);
  let tooHigh = rate;
  for (let n = 1; n < MOST_STEPS; n += 1) {
    const tried = Math.floor(tooHigh * (1 - STEP_DOWN));
    if (tried < 1) return undefined;
    if (await holds(tried)) {
      const between = Math.round((tried + tooHigh) / 2);
      return between > tried && (await holds(between)) ? between : tried;
    }
    tooHigh = tried;
  }
  return undefined;
}

async function raise(holds: (rate: number) => Promise<boolean>, rate: number): Promise<number> {
  let held = rate;
  for (let n = 1; n < MOST_STEPS; n += 1) {
    const tried = Math.ceil(held * (1 + STEP_UP));
    if (!(await holds(tried))) return held;
    held = tried;
  }
  return held;
}
