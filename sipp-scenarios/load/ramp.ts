/** The rate at a moment of the run, as a factor of the rate that is asked for. */
export interface RampPoint {
  /** Share of the steady window, 0 to 1. */
  at: number;
  factor: number;
}

/** The factor at a share of the steady window, on straight lines between the points; before and after them as they are. */
export function factorAt(ramp: readonly RampPoint[], at: number): number {
  const next = ramp.findIndex((point) => point.at > at);
  const after = ramp[next];
  const before = next < 0 ? ramp.at(-1) : ramp[next - 1];
  if (before === undefined) return after?.factor ?? 1;
  if (after === undefined) return before.factor;
  return before.factor + ((at - before.at) / (after.at - before.at)) * (after.factor - before.factor);
}

const STEPS = 1000;

/** The mean factor over the steady window. */
export function meanFactor(ramp: readonly RampPoint[]): number {
  const factors = Array.from({ length: STEPS }, (_, i) => factorAt(ramp, (i + 0.5) / STEPS));
  return factors.reduce((sum, factor) => sum + factor, 0) / STEPS;
}
