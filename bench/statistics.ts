/** What is told of a set of times, in ms. */
export interface Summary {
  median: number;
  p99: number;
}

/** @throws RangeError where there is no value */
export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: percentile(sorted, 50), p99: percentile(sorted, 99) };
}

/** By nearest rank: a value that was measured, none in between. */
function percentile(sorted: readonly number[], percent: number): number {
  const value = sorted[Math.ceil((percent / 100) * sorted.length) - 1];
  if (value === undefined) throw new RangeError('there is nothing to summarise');
  return value;
}
