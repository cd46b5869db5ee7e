import { type BudgetResult, judge } from './budget.js';
import type { PostDialDelay } from './post-dial-delay.js';
import type { Added, Delays, Series } from './post-dial-delay-figures.js';
import type { Summary } from './statistics.js';

/** What the median may be over the bare Kamailio, in ms; for `register` on top of Retell's API time. */
const BUDGET_MS = { trunk: 1, register: 5 };

/** Of both series, until the 180 is with the carrier; of `register` without Retell's API time. */
export function budgetsOfPostDialDelay({ series }: PostDialDelay): BudgetResult[] {
  return series.flatMap(({ name, ways, added }) =>
    (['trunk', 'register'] as const).map((way) => {
      const bare = ways.bare.ringing.median;
      return judge({
        name: `post-dial delay, \`${way}\`, ${name}: median${way === 'register' ? " without Retell's API time" : ''}`,
        ...{ measured: bare + added[way].ringing, unit: 'ms', of: 'difference' },
        limit: { under: BUDGET_MS[way] },
        baseline: { name: 'bare Kamailio', value: bare },
      });
    }),
  );
}

/** The figures as Markdown. */
export function reportPostDialDelay({ series }: PostDialDelay): string {
  return [...series.map(seriesTables), ''].join('\n').trimStart();
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
