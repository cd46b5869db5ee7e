/** A straight line through points, by least squares. */
export interface Trend {
  /** y per unit of x. */
  slope: number;
  /** Share of the variance of y that the line explains, 0 to 1. */
  r2: number;
  /** Mean of y. */
  mean: number;
}

/** @returns undefined for fewer than two different x */
export function trendOf(points: readonly (readonly [x: number, y: number])[]): Trend | undefined {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const mean = points.reduce((sum, [, y]) => sum + y, 0) / n;
  let xx = 0;
  let xy = 0;
  let yy = 0;
  for (const [x, y] of points) {
    xx += (x - meanX) ** 2;
    xy += (x - meanX) * (y - mean);
    yy += (y - mean) ** 2;
  }
  if (!(xx > 0)) return undefined;
  return { slope: xy / xx, r2: yy === 0 ? 0 : (xy * xy) / (xx * yy), mean };
}
