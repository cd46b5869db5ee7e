import { escapeHtml } from './chart.js';

const STYLE = `
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b1f24; --dim: #5c6570; --line: #d9dee4;
  --marked: #0000000d; --good: #12703b; --bad: #b3261e;
  --c0: #1f6feb; --c1: #d9730d; --c2: #b3261e; --c3: #12803c; --c4: #8250df; --c5: #0a7d87; --c6: #9a6700; --c7: #bf3989; }
@media (prefers-color-scheme: dark) { :root { --back: #101317; --card: #191d23; --text: #e7eaee; --dim: #9aa4af;
  --line: #323942; --marked: #ffffff12; --good: #57c785; --bad: #ff7b72;
  --c0: #6cb0ff; --c1: #ffa657; --c2: #ff7b72; --c3: #57c785; --c4: #c297ff; --c5: #56d4dd; --c6: #e3b341; --c7: #ff9bce; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 16px; max-width: 1240px; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4em; margin: 0 0 12px; }
h2 { font-size: 1em; margin: 0; }
small, .dim { color: var(--dim); font-weight: normal; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px; min-width: 0; }
.charts { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); margin-top: 12px; }
.verdict { font-weight: 600; margin: 0 0 12px; }
.good { color: var(--good); } .bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
tr:first-child > * { border-top: 0; }
th { font-weight: normal; color: var(--dim); width: 36%; }
thead th { width: auto; }
.scroll { overflow-x: auto; } .scroll td, .scroll th { overflow-wrap: normal; }
.wide { min-width: 680px; }
.bar { display: grid; grid-template-columns: 20em 1fr; gap: 10px; align-items: center; margin: 6px 0; }
.bar i { display: block; height: 16px; border-radius: 3px; background: var(--c0); } .bar b { font-weight: 600; }
@media (max-width: 600px) { .bar { grid-template-columns: 1fr; gap: 2px; } }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--dim); font: 11px system-ui, sans-serif; }
svg path { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.grid { stroke: var(--line); stroke-width: 1; } .marked { fill: var(--marked); }
.legend { margin: 2px 0 4px; font-size: 13px; min-height: 1.4em; }
.legend span { margin-right: 10px; white-space: nowrap; }
.legend span::before { content: ""; display: inline-block; width: 14px; height: 3px; margin-right: 5px; vertical-align: middle; background: currentColor; }
${Array.from({ length: 8 }, (_, i) => `path.c${i} { stroke: var(--c${i}); } .legend .c${i} { color: var(--c${i}); }`).join('\n')}
`;

/** One page that needs nothing else. @param body HTML */
export function pageHtml(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${body}
</body>
</html>
`;
}

/** Whether a run was fine, and why not. */
export function verdictHtml(problems: readonly string[]): string {
  if (problems.length === 0) return '<p class="verdict good">Fine.</p>';
  return `<div class="verdict bad">Not fine:<ul>${problems.map((problem) => `<li>${escapeHtml(problem)}</li>`).join('')}</ul></div>`;
}

/** Rows of a name and a value. */
export function rowsHtml(rows: readonly (readonly [string, string])[]): string {
  const cells = rows.map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return `<table>${cells.join('\n')}</table>`;
}

/** A table with a line of names, which scrolls where it is too wide. */
export function tableHtml(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = header.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`);
  // A table of many columns scrolls on a phone, rather than to have one word in each line.
  const wide = header.length > 5 ? ' class="wide"' : '';
  return `<div class="scroll"><table${wide}><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

/** Values side by side, as bars. @param unit behind each value */
export function barsHtml(values: readonly (readonly [name: string, value: number])[], unit: string): string {
  const most = values.reduce((highest, [, value]) => Math.max(highest, value), 1);
  return values
    .map(([name, value]) => {
      const width = ((value / most) * 100).toFixed(1);
      return `<div class="bar"><span>${escapeHtml(name)} <b>${value} ${escapeHtml(unit)}</b></span><i style="width:${width}%"></i></div>`;
    })
    .join('\n');
}
