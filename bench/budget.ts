/** What a figure is held against. */
export type Limit = { under: number } | { atMost: number } | { atLeast: number } | { exactly: number };

/** Something else that was measured in the same run, which the figure is compared with. */
export interface Baseline {
  name: string;
  value: number;
}

/** One budget of the design and what was measured of it. */
export interface BudgetResult {
  /** What was measured, e.g. `hangup, nothing else going on, p99`. */
  name: string;
  /** null where there is no figure, which counts as missed. */
  measured: number | null;
  /** Unit of `measured`; empty for a count. */
  unit: string;
  baseline?: Baseline;
  /** Measured over baseline. */
  ratio?: number;
  /** In words, e.g. `under 10 ms`. */
  budget: string;
  met: boolean;
  /** What was at its limit first. */
  saturated?: string;
}

export interface Judged {
  name: string;
  measured: number | null;
  unit?: string;
  limit: Limit;
  /** Which figure the limit is for; default `measured`. `ratio` and `difference` are to the baseline. */
  of?: 'measured' | 'ratio' | 'difference';
  baseline?: Baseline | undefined;
  saturated?: string | undefined;
}

/** Holds a figure against its budget. Without a figure, or without the baseline that it needs, it is missed. */
export function judge({ of = 'measured', unit = '', ...judged }: Judged): BudgetResult {
  const { name, measured, limit, baseline, saturated } = judged;
  const ratio = measured === null || !baseline ? undefined : measured / baseline.value;
  const difference = measured === null || !baseline ? undefined : measured - baseline.value;
  const figure = { measured, ratio, difference }[of] ?? undefined;
  const isOfUnit = of !== 'ratio';
  return {
    name,
    measured,
    unit,
    ...(baseline && { baseline }),
    ...(ratio !== undefined && Number.isFinite(ratio) && { ratio }),
    budget: `${limitText(limit, isOfUnit ? unit : '')}${{ measured: '', ratio: ' of the baseline', difference: ' more' }[of]}`,
    met: figure !== undefined && isWithin(figure, limit),
    ...(saturated !== undefined && { saturated }),
  };
}

function isWithin(figure: number, limit: Limit): boolean {
  if ('under' in limit) return figure < limit.under;
  if ('atMost' in limit) return figure <= limit.atMost;
  if ('atLeast' in limit) return figure >= limit.atLeast;
  return figure === limit.exactly;
}

function limitText(limit: Limit, unit: string): string {
  const [words, value] =
    'under' in limit
      ? ['under ', limit.under]
      : 'atMost' in limit
        ? ['at most ', limit.atMost]
        : 'atLeast' in limit
          ? ['at least ', limit.atLeast]
          : ['', limit.exactly];
  return words === '' && value === 0 ? 'none' : `${words}${figureText(value, unit)}`;
}

/** A figure with as many digits as mean something. */
export function figureText(value: number, unit = ''): string {
  const size = Math.abs(value);
  const digits = Number.isInteger(value) || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  // What is small by itself keeps two digits that are not 0.
  const text = size > 0 && size < 0.01 ? value.toPrecision(2) : value.toFixed(digits);
  return unit === '' ? text : `${text} ${unit}`;
}

const HEADER = ['what', 'measured', 'baseline', 'ratio', 'budget', 'result', 'saturated first'];
const ALIGNED = ['---', '---:', '---', '---:', '---', '---', '---'];

/** All results as a table in Markdown. */
export function budgetTable(results: readonly BudgetResult[]): string {
  const withSaturated = results.some(({ saturated }) => saturated !== undefined);
  const columns = withSaturated ? HEADER.length : HEADER.length - 1;
  return [HEADER, ALIGNED, ...results.map(cellsOf)]
    .map((cells) => `| ${cells.slice(0, columns).join(' | ')} |`)
    .join('\n');
}

function cellsOf({ name, measured, unit, baseline, ratio, budget, met, saturated }: BudgetResult): string[] {
  return [
    name,
    measured === null ? 'no figure' : figureText(measured, unit),
    baseline === undefined ? '' : `${figureText(baseline.value, unit)} (${baseline.name})`,
    ratio === undefined ? '' : ratio.toFixed(2),
    budget,
    met ? 'met' : '**MISSED**',
    saturated ?? '',
  ];
}

/** One line that says how many are met. */
export function budgetSummary(results: readonly BudgetResult[]): string {
  const missed = results.filter(({ met }) => !met);
  if (missed.length === 0) return `All ${results.length} budgets are met.`;
  return `${missed.length} of ${results.length} budgets MISSED: ${missed.map(({ name }) => name).join('; ')}.`;
}
