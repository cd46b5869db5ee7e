import { createHash } from 'node:crypto';
import { renderFigures, timeText } from './figures.js';
import { Html, html } from './html.js';
import type { Snapshot } from './snapshot.js';

/** Where the page gets its news. */
export const STATUS_EVENTS = '/status/events';
/** How often a browser without scripts loads the page again, in s. */
const RELOAD_S = 15;

const STYLE = `
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--ink:#1b1f24;--dim:#59636e;--line:#d8dee4;--good:#116329;--bad:#a40e26;--warn:#7d4e00;--link:#0550ae}
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--card:#161b22;--ink:#e6edf3;--dim:#9da7b3;--line:#30363d;--good:#56d364;--bad:#ff8182;--warn:#e3b341;--link:#79b8ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}
header,main{max-width:75rem;margin:0 auto;padding:0 1rem}
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;padding-top:1rem}
h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:0 0 .5rem}
header p,.about{color:var(--dim);font-size:.875rem;margin:0}
header .stale{color:var(--bad);font-weight:600}
#figures{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem;padding:1rem 0;align-items:start}
section,.tile{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;min-width:0}
section p{margin:.25rem 0}
.tiles{grid-column:1/-1;display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:1rem;margin:0}
.tile dt{color:var(--dim);font-size:.875rem}.tile dd{margin:0;font-size:1.5rem;font-weight:600;font-variant-numeric:tabular-nums}
.tile.bad dd,.away,.badge.bad{color:var(--bad)}.badge.good{color:var(--good)}.badge.warn{color:var(--warn)}.badge{font-weight:600}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .25rem;text-align:right;vertical-align:top;border-top:1px solid var(--line);font-weight:400}
thead th{border-top:0;color:var(--dim);font-size:.8125rem;vertical-align:bottom;overflow-wrap:normal}
td{white-space:nowrap}tbody th{overflow-wrap:normal}th small{overflow-wrap:anywhere}
th:first-child{text-align:left;padding-left:0}th:last-child,td:last-child{padding-right:0}
th small{display:block;color:var(--dim);font-size:.8125rem}
.failed{margin:0;padding:0;list-style:none}.failed li{padding:.4rem 0;border-top:1px solid var(--line)}.failed li:first-child{border-top:0}
a{color:var(--link)}
@media(max-width:50rem){#figures{grid-template-columns:minmax(0,1fr)}}
@media(max-width:30rem){body{font-size:15px}header,main{padding-left:.5rem;padding-right:.5rem}section,.tile{padding:.6rem .7rem}#figures,.tiles{gap:.5rem}.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tile dd{font-size:1.25rem}table{font-size:.875rem}thead th{font-size:.75rem}}
`;

const SCRIPT = `
const state=document.getElementById('state');
const source=new EventSource('${STATUS_EVENTS}');
source.addEventListener('status',({data})=>{
  const {at,figures}=JSON.parse(data);
  document.getElementById('at').textContent=at;
  if(figures!==undefined)document.getElementById('figures').innerHTML=figures;
  state.textContent='· live';state.className='';
});
source.onerror=()=>{state.textContent='· no connection: these figures are old';state.className='stale'};
`;

const source = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Nothing but what is in the page itself, by its digest, and its own stream of events. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src ${source(STYLE)}`,
  `script-src ${source(SCRIPT)}`,
  'img-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The whole page, which shows its figures without scripts too. */
export function renderPage(snapshot: Snapshot, version: string): string {
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>retell-sip-proxy</title>
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="${RELOAD_S}"></noscript>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header><h1>retell-sip-proxy ${version}</h1><p><span id="at">${timeText(snapshot.at)}</span> <span id="state"></span></p></header>
<main><div id="figures">${renderFigures(snapshot)}</div></main>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`.text;
}
