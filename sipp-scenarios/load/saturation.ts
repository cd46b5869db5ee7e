import { cpusOf, sumByKind } from './figures.js';
import type { Sample } from './sampler.js';

/** Something that was at its limit. */
export interface Saturation {
  /** Seconds since calls began. */
  at: number;
  what: string;
}

/** At its limit is a CPU that is busy for so much of the time, and a memory that is so full. */
const CPU_FULL = 0.95;
const MEMORY_FULL = 0.9;
/** Events that wait longer than this until they are in a record have nobody who keeps up with them, in s. */
const EVENTS_LATE_S = 2;
/** One sample may be chance. */
const IN_A_ROW = 2;

/** One thing that can be at its limit: what is said of it when it is. */
type Check = (sample: Sample) => string | undefined;

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

const CHECKS: readonly Check[] = [
  ({ busy, stolen, parts, others }) => {
    if (busy + stolen < CPU_FULL) return undefined;
    const uses = [
      ...Object.entries(cpusOf(parts)),
      ['processes that are no part of the run', others] as const,
    ];
    const [most] = uses.sort(([, a], [, b]) => b - a);
    const used = most === undefined ? '' : `, most of it by ${most[0]} (${most[1].toFixed(2)} CPUs)`;
    const lost = stolen < 0.05 ? '' : `; ${percent(stolen)} went to other machines on the host`;
    return `the CPUs of the machine: ${percent(busy + stolen)} busy${used}${lost}`;
  },
  ({ parts }) => {
    const full = Object.entries(parts).filter(([, { busiest }]) => busiest >= CPU_FULL);
    return full.length === 0
      ? undefined
      : `one core: a process of ${full.map(([name]) => name).join(' and of ')} used all of it`;
  },
  ({ proxy }) => {
    const share = proxy === null ? 0 : proxy.sharedMemoryUsedBytes / proxy.sharedMemorySizeBytes;
    return share < MEMORY_FULL ? undefined : `Kamailio's shared memory: ${percent(share)} in use`;
  },
  ({ dropped }) => {
    const parts = Object.entries(sumByKind(dropped)).map(([name, count]) => `${count} for ${name}`);
    return parts.length === 0
      ? undefined
      : `receive buffers: the kernel dropped UDP datagrams, ${parts.join(', ')}`;
  },
  ({ proxy }) =>
    proxy?.eventLagS == null || proxy.eventLagS < EVENTS_LATE_S
      ? undefined
      : `the control plane: events waited ${proxy.eventLagS.toFixed(1)} s for it`,
  ({ proxy }) =>
    proxy === null || proxy.recordsOverdue === 0
      ? undefined
      : 'the control plane: detail records had been due for over a minute',
];

/** What was at its limit, the first one first, each once; none where nothing was. */
export function saturationOf(samples: readonly Sample[]): Saturation[] {
  return CHECKS.flatMap((check) => {
    const found = samples.findIndex((_, i) => {
      const row = samples.slice(i, i + IN_A_ROW);
      return row.length === IN_A_ROW && row.every((sample) => check(sample) !== undefined);
    });
    const sample = samples[found];
    return sample === undefined ? [] : [{ at: sample.at, what: check(sample) ?? '' }];
  }).sort((a, b) => a.at - b.at);
}
