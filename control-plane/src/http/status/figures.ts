import type { Call } from '../../calls/call.js';
import type { HourFigures, OpenCalls, SetupFigures } from '../../calls/call-figures.js';
import { explain } from '../../calls/explanation.js';
import { iso } from '../../calls/iso.js';
import type { NodeReport } from '../../calls/reconciler/nodes.js';
import type { Reconciliation } from '../../calls/reconciler/reconciler.js';
import { maskNumbers } from '../../log.js';
import { type Html, html } from './html.js';
import type { Figure, GatewayRow, Snapshot } from './snapshot.js';

const NONE = '–';
const NODE = 'kamailio:';

/** The figures of the status page: all of it that changes. */
export function renderFigures(snapshot: Snapshot): Html {
  const { open, hour, gateways, reconciliation, dependencies } = snapshot;
  return html`${tiles(snapshot)}
${section('Calls up', open, ({ rows, total, counted }) =>
  rows.length === 0
    ? html`<p>No call is up.</p>`
    : html`${table(['Carrier', 'Routing', 'Ringing', 'Answered', 'All'], rows.map(openRow))}
${counted < total ? html`<p>Only the newest ${counted} of ${total} are counted here.</p>` : ''}`,
)}
${section(
  'Calls that ended in the last hour',
  hour,
  (figures) =>
    html`${table(['', 'Both', 'Inbound', 'Outbound'], setupRows(figures))}
${figures.isPart ? html`<p>There were more: these are the newest 5,000.</p>` : ''}`,
)}
${section('Last failed calls', hour, ({ failed }) =>
  failed.length === 0
    ? html`<p>No call has failed in the last hour.</p>`
    : html`<ol class="failed">${failed.map(failedCall)}</ol>`,
)}
${section('Gateways', gateways, (rows) =>
  table(['Gateway', 'State', 'Latency', 'Calls'], rows.map(gatewayRow)),
)}
<section><h2>Nodes</h2>${table(
    ['Node', 'State', 'Dialogs', 'Records', 'Drift'],
    dependencies
      .filter(({ name }) => name.startsWith(NODE))
      .map((node) => nodeRow(node, reportOf(reconciliation, node.name.slice(NODE.length)))),
  )}</section>
${section('Reconciliation', reconciliation, reconciliationText)}`;
}

/** The time that they are of, as it is shown. */
export function timeText(at: number): string {
  return `${iso(at).slice(0, 19).replace('T', ' ')} UTC`;
}

function tiles({ open, hour, dependencies, reconciliation }: Snapshot): Html {
  const away = dependencies.filter(({ answers }) => !answers);
  const tile = (name: string, value: string, bad = false) =>
    html`<div class="tile${bad ? ' bad' : ''}"><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="tiles">
${tile('Redis and nodes', away.length === 0 ? 'up' : `${away.map(({ name }) => name.replace(NODE, '')).join(', ')} away`, away.length > 0)}
${tile(
  'Calls up',
  word(open, ({ total }) => String(total)),
)}
${tile(
  'Attempts, last hour',
  word(hour, ({ all, isPart }) => `${all.attempts}${isPart ? '+' : ''}`),
)}
${tile(
  'SER',
  word(hour, ({ all }) => percent(all.ser)),
)}
${tile(
  'SRD median',
  word(hour, ({ all }) => milliseconds(all.srd_median_ms)),
)}
${tile(
  'Findings',
  word(reconciliation, (last) => (last === undefined ? NONE : String(last.total))),
)}
</dl>`;
}

function openRow({ carrier, direction, routing, ringing, answered }: OpenCalls): Html[] {
  const name = carrier ?? 'not chosen yet';
  return [
    html`${name}<small>${direction}</small>`,
    ...[routing, ringing, answered, routing + ringing + answered].map(cell),
  ];
}

/** Each figure of both directions and of each. */
function setupRows({ all, inbound, outbound }: HourFigures): Html[][] {
  const row = (name: string, value: (figures: SetupFigures) => string | number) => [
    html`${name}`,
    ...[all, inbound, outbound].map((figures) => cell(value(figures))),
  ];
  return [
    row('Attempts', ({ attempts }) => attempts),
    row('Answered', ({ answered }) => answered),
    row('SER', ({ ser }) => percent(ser)),
    row('SRD median', ({ srd_median_ms }) => milliseconds(srd_median_ms)),
    row('SRD 95th percentile', ({ srd_p95_ms }) => milliseconds(srd_p95_ms)),
  ];
}

function gatewayRow({ owner, uri, state, latency_ms, calls }: GatewayRow): Html[] {
  return [
    html`${owner}<small>${masked(uri)}</small>`,
    badge(state, { up: 'good', down: 'bad', drained: 'warn', unknown: '' }[state]),
    cell(latency_ms === null ? NONE : `${latency_ms} ms`),
    cell(calls ?? NONE),
  ];
}

function nodeRow(
  { name, answers }: Snapshot['dependencies'][number],
  report: NodeReport | undefined,
): Html[] {
  return [
    html`${name.slice(NODE.length)}`,
    answers ? badge('up', 'good') : badge('away', 'bad'),
    cell(report?.dialogs ?? NONE),
    cell(report?.records ?? NONE),
    report?.drift ? badge(String(report.drift), 'warn') : cell(report?.drift ?? NONE),
  ];
}

function reportOf(reconciliation: Snapshot['reconciliation'], node: string): NodeReport | undefined {
  if (reconciliation === 'away') return undefined;
  return reconciliation.value?.nodes.find((report) => report.node === node);
}

function reconciliationText(last: Reconciliation | undefined): Html {
  if (last === undefined) return html`<p>No comparison has finished yet.</p>`;
  const { ongoing, ours, skipped, error } = last.retell;
  const retell =
    error ?? skipped ?? `${ongoing ?? NONE} calls are ongoing there, ${ours ?? NONE} of them have a record`;
  return html`<p>Compared at ${timeText(last.finished_at)}: ${last.total === 0 ? 'all agrees' : `${last.total} findings`}.</p>
${
  last.counts.length === 0
    ? ''
    : table(
        ['Finding', 'Done', 'Calls'],
        last.counts.map(({ kind, action, count }) => [html`${kind}`, html`${action}`, cell(count)]),
      )
}
<p>Retell: ${retell}.</p>`;
}

function failedCall(call: Call): Html {
  const path = `/v1/calls/${encodeURIComponent(call.id)}`;
  return html`<li><p>${masked(explain(call) ?? '')}</p>
<p class="about">${timeText(call.ended_at ?? call.created_at)} · ${call.direction} · ${call.carrier ?? 'no carrier'} · ${masked(call.from ?? NONE)} to ${masked(call.to ?? NONE)}</p>
<p class="about"><a href="${path}">${path}</a></p></li>`;
}

function section<T>(title: string, figure: Figure<T>, render: (value: T) => Html): Html {
  const body =
    figure === 'away' ? html`<p class="away">Not known: Redis does not answer.</p>` : render(figure.value);
  return html`<section><h2>${title}</h2>${body}</section>`;
}

function table(head: readonly string[], rows: readonly (readonly Html[])[]): Html {
  return html`<table><thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((value, i) => (i === 0 ? html`<th scope="row">${value}</th>` : html`<td>${value}</td>`))}</tr>`)}</tbody></table>`;
}

function cell(value: string | number): Html {
  return html`${value}`;
}

function badge(text: string, kind: string): Html {
  return html`<span class="badge ${kind}">${text}</span>`;
}

function word<T>(figure: Figure<T>, text: (value: T) => string): string {
  return figure === 'away' ? 'away' : text(figure.value);
}

function percent(share: number | undefined): string {
  return share === undefined ? NONE : `${(share * 100).toFixed(1)} %`;
}

function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return NONE;
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** Text with its telephone numbers masked; also one that is nothing but a number. */
function masked(text: string): string {
  return maskNumbers(`"${text}"`).slice(1, -1);
}
