/** One line of a chart. */
export interface Line {
  name: string;
  /** x and y, in the order of x; where y is null the line has a gap. */
  points: readonly (readonly [x: number, y: number | null])[];
}

export interface Chart {
  title: string;
  /** Of the y axis, e.g. ms. */
  unit: string;
  lines: readonly Line[];
  /** Where the x axis ends at the earliest: charts of one run are to have the same. */
  until?: number;
  /** Part of the x axis that is shown darker, and what it is. */
  marked?: readonly { from: number; to: number; what: string }[];
}

const WIDTH = 480;
const HEIGHT = 220;
const LEFT = 52;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
/** More points than this make no line that anybody could see better. */
const MOST_POINTS = 480;
const TICKS = 4;

/** A chart as HTML: title, legend and an SVG that is as wide as its place. The colours are classes c0, c1 and so on. */
export function chartHtml({ title, unit, lines, until = 1, marked = [] }: Chart): string {
  const drawn = lines.filter(({ points }) => points.some(([, y]) => y !== null));
  if (drawn.length === 0) return '';
  const xs = drawn.flatMap(({ points }) => points.map(([x]) => x));
  const [from, to] = [Math.min(0, least(xs)), Math.max(until, most(xs))];
  const ys = ticksFor(most(drawn.flatMap(({ points }) => points.map(([, y]) => y ?? 0))));
  const top = ys.at(-1) ?? 1;
  const toX = (x: number) => LEFT + ((x - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const toY = (y: number) => HEIGHT - BOTTOM - (y / top) * (HEIGHT - TOP - BOTTOM);
  const legend = drawn.map(({ name }, i) => `<span class="c${i}">${escapeHtml(name)}</span>`).join(' ');
  return [
    `<section><h2>${escapeHtml(title)} <small>${escapeHtml(unit)}</small></h2><p class="legend">${legend}</p>`,
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">`,
    ...marked.map(({ from: start, to: end, what }) => {
      const [left, right] = [toX(Math.max(from, start)), toX(Math.min(to, end))];
      return `<rect class="marked" x="${px(left)}" y="${TOP}" width="${px(Math.max(1, right - left))}" height="${HEIGHT - TOP - BOTTOM}"><title>${escapeHtml(what)}</title></rect>`;
    }),
    ...ys.map(
      (y) =>
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${px(toY(y))}" y2="${px(toY(y))}"/>` +
        `<text x="${LEFT - 6}" y="${px(toY(y) + 4)}" text-anchor="end">${shortNumber(y)}</text>`,
    ),
    ...ticksFor(to)
      .filter((x) => x <= to)
      .map(
        (x) => `<text x="${px(toX(x))}" y="${HEIGHT - 6}" text-anchor="middle">${shortNumber(x)} s</text>`,
      ),
    ...drawn.map(({ points }, i) => `<path class="c${i}" d="${pathOf(thinned(points), toX, toY)}"/>`),
    '</svg></section>',
  ].join('\n');
}

function pathOf(points: Line['points'], toX: (x: number) => number, toY: (y: number) => number): string {
  let isDown = false;
  return points
    .map(([x, y]) => {
      if (y === null) {
        isDown = false;
        return '';
      }
      const command = isDown ? 'L' : 'M';
      isDown = true;
      return `${command}${px(toX(x))} ${px(toY(y))}`;
    })
    .join('');
}

/** So many points that neighbours can be told apart: of each group the highest is kept, so that no peak is lost. */
function thinned(points: Line['points']): Line['points'] {
  const size = Math.ceil(points.length / MOST_POINTS);
  if (size <= 1) return points;
  const kept: (readonly [number, number | null])[] = [];
  for (let i = 0; i < points.length; i += size) {
    kept.push(points.slice(i, i + size).reduce((a, b) => ((b[1] ?? -1) > (a[1] ?? -1) ? b : a)));
  }
  return kept;
}

/** Round numbers from 0 up to the first that is not below the highest value. */
export function ticksFor(highest: number): number[] {
  if (!(highest > 0)) return [0, 1];
  const rough = highest / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough;
  const count = Math.ceil(highest / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

function shortNumber(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toFixed(2))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toFixed(1))}k`;
  return String(Number(value.toFixed(4)));
}

function px(value: number): string {
  return value.toFixed(1);
}

function most(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), 0);
}

function least(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b), 0);
}

/** Text as it can stand in HTML, in attributes too. */
export function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': 'amp',
    '<': 'lt',
    '>': 'gt',
    '"': 'quot',
    "'": '#39',
  };
  return text.replace(/[&<>"']/g, (sign) => `&${names[sign]};`);
}
