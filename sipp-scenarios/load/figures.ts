import type { Progress } from './drive.js';
import type { PartUse, Sample } from './sampler.js';

/** Means and peaks of what was sampled in the steady window. */
export interface UseFigures {
  /** CPUs of each part, mean. */
  cpus: Record<string, number>;
  /** CPUs of processes that are no part of the run, mean. */
  others: number;
  /** Share of all CPUs that were busy, mean, 0 to 1. */
  busy: number;
  stolen: number;
  /** UDP datagrams for each kind of part that the kernel dropped. */
  dropped: Record<string, number>;
  /** Most at once; null where the proxy does not say. */
  dialogs: number | null;
  sharedMemoryUsedBytes: number | null;
  sharedMemorySizeBytes: number | null;
  privateMemoryFreeMinBytes: number | null;
  /** The longest that was seen: events in Kamailio, batches in Redis, mean of a sample in s. */
  queuedEvents: number | null;
  eventBatchesWaiting: number | null;
  eventLagS: number | null;
  /** Most. */
  recordsOverdue: number | null;
  /** Mean. */
  redisOpsPerSecond: number | null;
  /** Most. */
  redisUsedMemoryBytes: number | null;
}

/** @param samples of the steady window */
export function useOf(samples: readonly Sample[]): UseFigures {
  const parts = new Set(samples.flatMap((sample) => Object.keys(sample.parts)));
  const proxy = samples.flatMap((sample) => sample.proxy ?? []);
  const redis = samples.flatMap((sample) => sample.redis ?? []);
  const cpus = [...parts].map((name): [string, number] => [
    name,
    mean(samples.map((sample) => sample.parts[name]?.cpus ?? 0)) ?? 0,
  ]);
  return {
    cpus: Object.fromEntries(cpus),
    others: mean(samples.map(({ others }) => others)) ?? 0,
    busy: mean(samples.map(({ busy }) => busy)) ?? 0,
    stolen: mean(samples.map(({ stolen }) => stolen)) ?? 0,
    dropped: sumByKind(samples.flatMap(({ dropped }) => Object.entries(dropped))),
    dialogs: most(proxy.map(({ dialogs }) => dialogs)),
    sharedMemoryUsedBytes: most(proxy.map(({ sharedMemoryUsedBytes }) => sharedMemoryUsedBytes)),
    sharedMemorySizeBytes: most(proxy.map(({ sharedMemorySizeBytes }) => sharedMemorySizeBytes)),
    privateMemoryFreeMinBytes: least(proxy.map((each) => each.privateMemoryFreeMinBytes)),
    queuedEvents: most(proxy.map(({ queuedEvents }) => queuedEvents)),
    eventBatchesWaiting: most(proxy.map(({ eventBatchesWaiting }) => eventBatchesWaiting)),
    eventLagS: most(proxy.flatMap(({ eventLagS }) => eventLagS ?? [])),
    recordsOverdue: most(proxy.map(({ recordsOverdue }) => recordsOverdue)),
    redisOpsPerSecond: mean(redis.flatMap(({ opsPerSecond }) => opsPerSecond ?? [])),
    redisUsedMemoryBytes: most(redis.map(({ usedMemoryBytes }) => usedMemoryBytes)),
  };
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function most(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((a, b) => Math.max(a, b));
}

function least(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((a, b) => Math.min(a, b));
}

/** Sums of what belongs to parts of one kind, named with numbers. */
export function sumByKind(
  parts: Readonly<Record<string, number>> | readonly (readonly [string, number])[],
): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [name, value] of Array.isArray(parts) ? parts : Object.entries(parts)) {
    const kind = name.replace(/ \d+$/, '');
    sums[kind] = (sums[kind] ?? 0) + value;
  }
  return sums;
}

/** CPUs of each part in a sample, those of one kind as one. */
export function cpusOf(parts: Readonly<Record<string, PartUse>>): Record<string, number> {
  return sumByKind(Object.fromEntries(Object.entries(parts).map(([name, { cpus }]) => [name, cpus])));
}

/** One line of how a run goes. */
export function progressText({ at, of, second, totals, sample }: Progress): string {
  const srd = second.srdMs;
  return [
    `${Math.round(at)}/${Math.round(of)} s`,
    `${Math.round(second.started)} calls/s`,
    `failed ${totals.failed}`,
    srd === null ? 'no SRD' : `SRD ${srd.p50}/${srd.p95}/${srd.p99} ms`,
    ...(sample?.proxy == null ? [] : [`dialogs ${sample.proxy.dialogs}`]),
    ...(sample === undefined ? [] : [`CPU ${Math.round((sample.busy + sample.stolen) * 100)} %`]),
  ].join('  ');
}
