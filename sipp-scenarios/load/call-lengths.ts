/** How long calls are held. */
export interface CallLengths {
  mean_s: number;
  /** `fixed`: all the same; `exponential`: many short ones and a few long ones, as telephone calls are (Erlang). */
  distribution: 'fixed' | 'exponential';
}

/** Into so many classes of equally many calls a distribution is cut: SIPp holds all calls of one process as long. */
const CLASSES = 4;

/** The mean length of each class of calls, in ms, shortest first; all classes have equally many. */
export function lengthClasses({ mean_s, distribution }: CallLengths): number[] {
  if (distribution === 'fixed') return [Math.round(mean_s * 1000)];
  // The mean of the exponential distribution between two quantiles: its quantile is -mean * ln(1 - p).
  const left = (p: number) => (p === 1 ? 0 : (1 - p) * (1 - Math.log(1 - p)));
  return Array.from({ length: CLASSES }, (_, i) =>
    Math.round(1000 * mean_s * CLASSES * (left(i / CLASSES) - left((i + 1) / CLASSES))),
  );
}
