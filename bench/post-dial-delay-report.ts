import type { Machine } from './machine.js';
import type { PostDialDelay } from './post-dial-delay.js';
import type { Added, Delays, Series } from './post-dial-delay-figures.js';
import type { Summary } from './statistics.js';

/** What the median may be over the bare Kamailio, in ms; for `register` on top of Retell's API time. */
const BUDGET_MS = { trunk: 1, register: 5 };

/** The figures as Markdown. */
export function reportPostDialDelay({
  machine,
  options,
  series,
}: PostDialDelay & { machine: Machine }): string {
  const { calls, warmUp, rate, retellMs } = options;
  return [
    `Machine: ${machine.cpus} x ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.system}, load before the run ${machine.load.toFixed(2)}`,
    `Versions: Node.js ${machine.node}, Kamailio ${machine.kamailio}, Redis ${machine.redis}`,
    `Command: npm run bench -- post-dial-delay --calls ${calls} --warm-up ${warmUp} --rate ${rate} --retell-ms ${retellMs}`,
    ...series.map(seriesTables),
    '',
  ].join('\n');
}

function seriesTables({ name, calls, ways, added, api, parts }: Series): string {
  return [
    '',
    `${calls} calls each way, ${name}; milliseconds:`,
    '',
    '| way | INVITE at the callee: median | p99 | 180 at the carrier: median | p99 |',
    '| --- | ---: | ---: | ---: | ---: |',
    row('bare Kamailio', ways.bare),
    row('`trunk`', ways.trunk),
    row('`register`', ways.register),
    addedRow('`trunk` over bare', added.trunk),
    addedRow('`register` over bare, without the API time', added.register),
    '',
    verdict('trunk', added.trunk),
    verdict('register', added.register),
    '',
    '| part of `register` | median | p99 |',
    '| --- | ---: | ---: |',
    `| INVITE leaves the carrier → Kamailio's question is in Redis | ${cells(parts.kamailioAsks)} |`,
    `| → the control plane's request is at Retell's API | ${cells(parts.controlPlaneRequests)} |`,
    `| → Retell's API has answered | ${cells(api)} |`,
    `| → INVITE is at the callee | ${cells(parts.answerToInvite)} |`,
  ].join('\n');
}

function row(name: string, { invite, ringing }: Delays): string {
  return `| ${name} | ${cells(invite)} | ${cells(ringing)} |`;
}

function addedRow(name: string, { invite, ringing }: Added): string {
  return `| ${name} | ${invite.toFixed(2)} | | ${ringing.toFixed(2)} | |`;
}

function cells({ median, p99 }: Summary): string {
  return `${median.toFixed(2)} | ${p99.toFixed(2)}`;
}

function verdict(way: keyof typeof BUDGET_MS, { ringing }: Added): string {
  const budget = BUDGET_MS[way];
  const met = ringing < budget ? 'met' : 'MISSED';
  return `- Budget of \`${way}\`: median under ${budget} ms, measured ${ringing.toFixed(2)} ms at the 180: ${met}.`;
}
