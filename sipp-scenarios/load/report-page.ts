import { type Chart, chartHtml, escapeHtml, type Line } from './chart.js';
import { cpusOf } from './figures.js';
import { pageHtml, rowsHtml, tableHtml, verdictHtml } from './page.js';
import { figureRows, machineRows, moreTables, type RunReport, titleOf } from './report.js';
import type { Sample } from './sampler.js';

/** A run as one HTML page. */
export function reportPage(report: RunReport): string {
  const body = [
    verdictHtml(report.problems),
    `<section>${rowsHtml(figureRows(report))}</section>`,
    ...moreTables(report).map(
      ({ title, header, rows }) =>
        `<div class="charts"><section><h2>${escapeHtml(title)}</h2>${tableHtml(header, rows)}</section></div>`,
    ),
    `<div class="charts">${chartsOf(report).map(chartHtml).join('\n')}</div>`,
    `<div class="charts"><section>${rowsHtml(machineRows(report))}</section></div>`,
  ].join('\n');
  return pageHtml(titleOf(report), body);
}

const MIB = 2 ** 20;

function chartsOf({ seconds, samples, warmUpS, durationS, chaos }: RunReport): Chart[] {
  const marked = [
    { from: warmUpS, to: warmUpS + durationS, what: 'steady window' },
    ...chaos.map(({ name, from, to }) => ({ from, to, what: name })),
  ];
  const calls = (name: string, value: (second: (typeof seconds)[number]) => number | null): Line => ({
    name,
    points: seconds.map((second) => [second.at + 0.5, value(second)]),
  });
  const sampled = (name: string, value: (sample: Sample) => number | null | undefined): Line => ({
    name,
    points: samples.map((sample) => [sample.at, value(sample) ?? null]),
  });
  const parts = [...new Set(samples.flatMap((sample) => Object.keys(cpusOf(sample.parts))))];
  return [
    {
      title: 'Calls',
      unit: 'a second',
      lines: [
        calls('started', ({ started }) => started),
        calls('as the scenario says', ({ completed }) => completed),
        calls('failed', ({ failed }) => failed),
      ],
    },
    {
      title: 'Session request delay',
      unit: 'ms',
      lines: [
        calls('p50', ({ srdMs }) => srdMs?.p50 ?? null),
        calls('p95', ({ srdMs }) => srdMs?.p95 ?? null),
        calls('p99', ({ srdMs }) => srdMs?.p99 ?? null),
      ],
    },
    {
      title: 'CPU',
      unit: 'CPUs',
      lines: [
        ...parts.map((part) => sampled(part, (sample) => cpusOf(sample.parts)[part])),
        sampled('others on the machine', ({ others }) => others),
      ],
    },
    {
      title: 'CPU of the machine',
      unit: '%',
      lines: [
        sampled('busy', ({ busy }) => busy * 100),
        sampled('taken by other machines on the host', ({ stolen }) => stolen * 100),
      ],
    },
    {
      title: 'Memory',
      unit: 'MiB',
      lines: [
        sampled('Kamailio, shared, in use', ({ proxy }) => proxy && proxy.sharedMemoryUsedBytes / MIB),
        sampled('control plane', (sample) => {
          const use = sample.parts['control plane'];
          return use && use.rssBytes / MIB;
        }),
        sampled('Redis', ({ redis }) => redis && redis.usedMemoryBytes / MIB),
        sampled('of it raw events', ({ redis }) => redis && redis.rawEventsBytes / MIB),
      ],
    },
    { title: 'Dialogs', unit: 'at once', lines: [sampled('dialogs', ({ proxy }) => proxy?.dialogs)] },
    {
      title: 'Event lag',
      unit: 's',
      lines: [sampled('mean of the second', ({ proxy }) => proxy?.eventLagS)],
    },
    {
      title: 'Events that wait',
      unit: '',
      lines: [
        sampled('events in Kamailio', ({ proxy }) => proxy?.queuedEvents),
        sampled('batches in Redis', ({ proxy }) => proxy?.eventBatchesWaiting),
      ],
    },
    {
      title: 'Redis',
      unit: 'commands a second',
      lines: [sampled('commands', ({ redis }) => redis?.opsPerSecond)],
    },
  ].map((chart) => ({ ...chart, until: seconds.length, marked }));
}
