import { type BudgetResult, judge } from './budget.js';
import type { Machine } from './machine.js';
import type { WebhookFigures, WebhookSeries, Written } from './webhooks.js';

/** Webhooks a second that one core has to take, and the longest that 99 of 100 may wait for their answer, in ms. */
const BUDGET = { perSecond: 3000, p99Ms: 50 };
/** A core that is in use for as much of the time is what more webhooks would wait for. */
const SATURATED = 0.9;

/** A lower rate than the budget's shows nothing of it, and neither does a receiver with more than one core. */
export function budgetsOfWebhooks(figures: WebhookFigures, { cpus }: Machine): BudgetResult[] {
  const { options, held, atRate, highest } = figures;
  const where = held ? 'on one core' : 'NOT held on one core';
  const isFull = held && options.rate >= BUDGET.perSecond;
  return [
    judge({
      name: `webhooks all answered 2xx at this rate, ${where}`,
      measured: isFull && atRate.ours.answered === atRate.ours.webhooks ? options.rate : null,
      ...{ unit: 'a second', limit: { atLeast: BUDGET.perSecond }, saturated: saturated(highest.ours, cpus) },
    }),
    judge({
      name: `webhooks at ${options.rate} a second, ${where}: answer, p99`,
      ...{ measured: atRate.ours.latency.p99, unit: 'ms', limit: { under: BUDGET.p99Ms } },
      baseline: { name: 'a receiver that only checks them', value: atRate.bare.latency.p99 },
    }),
    judge({
      name: 'webhooks answered 2xx and not in the record',
      ...{ measured: atRate.ours.lost + highest.ours.lost, limit: { exactly: 0 } },
    }),
  ];
}

/** The figures as Markdown. */
export function reportWebhooks({ held, options, atRate, highest }: WebhookFigures, machine: Machine): string {
  const { rate } = options;
  return [
    held
      ? '- Both receivers are held on one core, and everything else is kept off it.'
      : '- NOT held on one core: `taskset` is missing or refused it, or there is only one.',
    '',
    `${atRate.ours.webhooks} webhooks to each, ${rate} a second; milliseconds from the moment that one is due:`,
    '',
    ...table(atRate),
    '',
    ...writtenLines(atRate.ours),
    '',
    `${highest.ours.webhooks} webhooks to each, as fast as ${highest.connections} connections go; milliseconds from its sending:`,
    '',
    ...table(highest),
    '',
    `- The control plane takes ${(highest.ours.perSecond / highest.bare.perSecond).toFixed(2)} of what the bare receiver takes; with the time until all are written, ${(highest.ours.writtenPerSecond / highest.bare.perSecond).toFixed(2)}.`,
    ...writtenLines(highest.ours),
    '- Kept waiting: the part of the time in which the receiver had work and something else its core.',
    `- Saturated first: ${saturated(highest.ours, machine.cpus)}.`,
    '',
  ].join('\n');
}

function table({ ours, bare }: { ours: WebhookSeries; bare: WebhookSeries }): string[] {
  return [
    '| receiver | answered 2xx | a second | median | p99 | longest | CPUs: receiver | kept waiting | Redis | generator |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    row('bare', bare),
    row('control plane', ours),
  ];
}

function row(name: string, { answered, perSecond, latency, cpus, keptWaiting }: WebhookSeries): string {
  const times = [latency.median, latency.p99, latency.longest].map((ms) => ms.toFixed(2));
  const { receiver = 0, ...others } = cpus;
  const used = [receiver, keptWaiting, ...Object.values(others)].map((share) => share.toFixed(2));
  return `| ${[name, answered, perSecond.toFixed(0), ...times, ...used].join(' | ')} |`;
}

function writtenLines({ lost, longestWaitMs, afterLastMs, writtenPerSecond }: Written): string[] {
  return [
    `- Answered 2xx and not in the record: lost: ${lost}.`,
    `- The longest wait until one was written: ${longestWaitMs.toFixed(0)} ms. All were ${afterLastMs.toFixed(0)} ms after the last answer: ${writtenPerSecond.toFixed(0)} written a second.`,
  ];
}

/** One core is the receiver's; Redis, the generator and Kamailio share the others. */
function saturated({ cpus, keptWaiting }: WebhookSeries, cores: number): string {
  const { receiver = 0, Redis = 0, generator = 0 } = cpus;
  if (receiver + keptWaiting >= SATURATED) return "the control plane's core";
  // Each of the two is one thread for the most part.
  if (Redis >= SATURATED) return 'Redis';
  if (generator >= SATURATED) return 'the generator';
  if (Redis + generator >= SATURATED * (cores - 1)) return 'the cores of Redis and the generator';
  return 'nothing';
}
