/** Percentiles of times, in ms. */
export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

/** By nearest rank, of times that are counted by their value. @returns undefined where there are none */
export function percentileOf(counts: ReadonlyMap<number, number>, percent: number): number | undefined {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  const rank = Math.ceil((percent / 100) * total);
  let seen = 0;
  for (const [value, count] of sorted) {
    seen += count;
    if (seen >= rank) return value;
  }
  return undefined;
}

/** Times of calls, kept as counts for each second of the run: they take no more memory with more calls. */
export class ResponseTimes {
  readonly #bySecond = new Map<number, Map<number, number>>();

  /** @param at when the response came, in s since calls began */
  add(at: number, ms: number): void {
    const second = Math.floor(at);
    let counts = this.#bySecond.get(second);
    if (counts === undefined) {
      counts = new Map();
      this.#bySecond.set(second, counts);
    }
    counts.set(ms, (counts.get(ms) ?? 0) + 1);
  }

  /** Of the seconds from `from` on and before `to`. @returns undefined where there are none */
  percentiles(from = 0, to = Number.POSITIVE_INFINITY): Percentiles | undefined {
    const all = new Map<number, number>();
    for (const [second, counts] of this.#bySecond) {
      if (second < from || second >= to) continue;
      for (const [ms, count] of counts) all.set(ms, (all.get(ms) ?? 0) + count);
    }
    const [p50, p95, p99] = [50, 95, 99].map((percent) => percentileOf(all, percent));
    return p50 === undefined || p95 === undefined || p99 === undefined ? undefined : { p50, p95, p99 };
  }
}
