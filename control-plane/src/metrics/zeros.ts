import type { Counter } from 'prom-client';

/**
 * Gives a counter all of its series from the start, at 0: a first count would be no increase to Prometheus otherwise,
 * and what has never happened would look as what is not measured.
 *
 * @param values of each label, every one of them
 */
export function startAtZero<Label extends string>(
  counter: Counter<Label>,
  values: { readonly [L in Label]: readonly string[] },
): void {
  let series: Partial<Record<Label, string>>[] = [{}];
  for (const [label, each] of Object.entries(values) as [Label, readonly string[]][]) {
    series = series.flatMap((labels) => each.map((value) => ({ ...labels, [label]: value })));
  }
  for (const labels of series) counter.inc(labels, 0);
}
