import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Redis } from 'ioredis';
import { type MachineTicks, readMachineTicks } from '../../bench/cpu.js';
import { memoryUsage, NODE_EVENTS } from '../../bench/redis-use.js';
import { DETAIL_RECORDS } from '../../control-plane/src/calls/detail-records.js';
import { ALL } from '../../control-plane/src/calls/store.js';
import { type ProcessStat, readProcesses } from '../../control-plane/src/cli/process-stat.js';
import { dialogsIn, type MetricsText } from './metrics-text.js';
import type { System } from './system.js';
import { dropsByPort } from './udp-drops.js';

const CPUS = cpus().length;

/** A part that is watched. */
export interface WatchedPart {
  /** Its process group. */
  group: number | undefined;
  /** Its UDP port. */
  port: number;
}

/** What one part used since the sample before. */
export interface PartUse {
  /** CPUs of all its processes. */
  cpus: number;
  /** CPUs of the one that used most. */
  busiest: number;
  rssBytes: number;
}

/** What the proxy says of itself. */
export interface ProxyFigures {
  dialogs: number;
  sharedMemoryUsedBytes: number;
  sharedMemorySizeBytes: number;
  privateMemoryFreeMinBytes: number;
  /** Events that wait in Kamailio for Redis. */
  queuedEvents: number;
  /** Batches of events in Redis that the control plane has not handled. */
  eventBatchesWaiting: number;
  /** Mean time from an event in Kamailio to its record, of those handled since the sample before; null for none. */
  eventLagS: number | null;
  /** Detail records that have been due for over a minute. */
  recordsOverdue: number;
}

export interface RedisFigures {
  /** Commands a second since the sample before; null where that one had no answer of Redis. */
  opsPerSecond: number | null;
  usedMemoryBytes: number;
  /** Of that what Kamailio's events take: those that wait, and those handled in the last two minutes. */
  rawEventsBytes: number;
  /** Of that what the stream of detail records takes. */
  detailRecordsBytes: number;
  keys: number;
  /** Calls that have a record, complete or not. */
  records: number;
  /** Calls that have a detail record. */
  detailRecords: number;
}

/** The machine and all parts at one moment. */
export interface Sample {
  /** Seconds since calls began. */
  at: number;
  parts: Record<string, PartUse>;
  /** CPUs that processes which are no part of the run used. */
  others: number;
  /** Share of the machine's CPUs that were busy since the sample before, 0 to 1. */
  busy: number;
  /** Share that another machine on the same host took. */
  stolen: number;
  /** UDP datagrams for a part that the kernel dropped since the sample before, as it did not read them in time. */
  dropped: Record<string, number>;
  proxy: ProxyFigures | null;
  redis: RedisFigures | null;
}

interface Raw {
  atMs: number;
  processes: ReadonlyMap<number, ProcessStat>;
  cpu: MachineTicks;
  dropped: ReadonlyMap<number, number>;
  /** None where the control plane did not answer. */
  lag: { sum: number; count: number } | undefined;
  /** Commands since Redis started; none where it did not answer. */
  redisOps: number | undefined;
}

/** Looks at the machine and at all parts of a run again and again. */
export class Sampler {
  readonly samples: Sample[] = [];
  readonly #system: System;
  readonly #parts: () => Record<string, WatchedPart>;
  readonly #startedMs: number;
  #last: Raw | undefined;

  /** @param parts those besides the system's */
  constructor(system: System, parts: () => Record<string, WatchedPart>, startedMs: number) {
    this.#system = system;
    this.#parts = parts;
    this.#startedMs = startedMs;
  }

  /** Adds a sample; the first look only gives what later ones are compared with. */
  async look(): Promise<void> {
    const [metrics, info] = await Promise.all([this.#system.metrics(), this.#redisInfo()]);
    const raw: Raw = {
      atMs: Date.now(),
      processes: new Map(readProcesses().map((process) => [process.pid, process])),
      cpu: readMachineTicks(),
      dropped: dropsByPort(readFileSync('/proc/net/udp', 'utf8')),
      lag: metrics && {
        sum: metrics.sum('retell_proxy_event_lag_seconds_sum') ?? 0,
        count: metrics.sum('retell_proxy_event_lag_seconds_count') ?? 0,
      },
      redisOps: info?.ops,
    };
    const last = this.#last;
    this.#last = raw;
    if (last === undefined) return;
    const seconds = (raw.atMs - last.atMs) / 1000;
    const watched = this.#parts();
    const groups = Object.entries(watched).map(([name, { group }]) => [name, group] as const);
    const parts = partsOf({ ...this.#system.groups(), ...Object.fromEntries(groups) }, last, raw, seconds);
    const used = Object.values(parts).reduce((sum, { cpus }) => sum + cpus, 0);
    this.samples.push({
      at: (raw.atMs - this.#startedMs) / 1000,
      parts,
      ...machineUse(last.cpu, raw.cpu, used, CPUS),
      dropped: droppedOf({ Kamailio: { port: this.#system.sip.port }, ...watched }, last, raw),
      proxy: metrics === undefined ? null : proxyFigures(metrics, last, raw),
      redis:
        info === undefined
          ? null
          : {
              ...info.figures,
              opsPerSecond: last.redisOps === undefined ? null : (info.ops - last.redisOps) / seconds,
            },
    });
  }

  async #redisInfo() {
    const redis = this.#system.redis;
    // A Redis that is away answers nothing: nobody waits for it here.
    if (redis?.status !== 'ready') return undefined;
    const timeIsUp = new Promise<undefined>((resolve) => setTimeout(resolve, 1000, undefined).unref());
    const asked = readRedis(redis).catch(() => undefined);
    return Promise.race([asked, timeIsUp]);
  }
}

/** @throws the error of Redis */
async function readRedis(
  redis: Redis,
): Promise<{ ops: number; figures: Omit<RedisFigures, 'opsPerSecond'> }> {
  const [text, records, detailRecords, rawEventsBytes, detailRecordsBytes] = await Promise.all([
    redis.info(),
    redis.zcard(ALL),
    redis.xlen(DETAIL_RECORDS),
    // Batches of events differ in size: all of them are looked at, which takes 2 ms for 20,000.
    memoryUsage(redis, NODE_EVENTS, 0),
    // Detail records are alike.
    memoryUsage(redis, DETAIL_RECORDS, 5),
  ]);
  const value = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return {
    ops: value('total_commands_processed'),
    figures: {
      usedMemoryBytes: value('used_memory'),
      rawEventsBytes,
      detailRecordsBytes,
      keys: Number(/^db\d+:keys=(\d+)/m.exec(text)?.[1] ?? 0),
      records,
      detailRecords,
    },
  };
}

/**
 * What the machine's CPUs did between two looks. Linux counts a CPU as busy where it is at the moment of its tick: work
 * that begins and ends between two ticks, as that of a SIPp does that its clock wakes, is only in its process' own time.
 *
 * @param used CPUs that the parts of the run used meanwhile
 */
export function machineUse(
  before: MachineTicks,
  now: MachineTicks,
  used: number,
  cpus: number,
): Pick<Sample, 'busy' | 'stolen' | 'others'> {
  const all = Math.max(1, now.all - before.all);
  const stolen = (now.stolen - before.stolen) / all;
  const busy = Math.min(1 - stolen, Math.max((now.busy - before.busy) / all, used / cpus));
  return { busy, stolen, others: Math.max(0, busy * cpus - used) };
}

/** Of all processes of each group; one that is new since the last look counts from its start. */
function partsOf(
  groups: Readonly<Record<string, number | undefined>>,
  last: Raw,
  now: Raw,
  seconds: number,
): Record<string, PartUse> {
  const useOf = (wanted: (process: ProcessStat) => boolean) => {
    const use: PartUse = { cpus: 0, busiest: 0, rssBytes: 0 };
    for (const each of now.processes.values()) {
      if (!wanted(each)) continue;
      const used = (each.cpuSeconds - (last.processes.get(each.pid)?.cpuSeconds ?? 0)) / seconds;
      use.cpus += used;
      use.busiest = Math.max(use.busiest, used);
      use.rssBytes += each.rssBytes;
    }
    return use;
  };
  return Object.fromEntries([
    ...Object.entries(groups).map(([name, group]) => [name, useOf((each) => each.group === group)] as const),
    ['this runner', useOf(({ pid }) => pid === process.pid)] as const,
  ]);
}

function proxyFigures(metrics: MetricsText, last: Raw, now: Raw): ProxyFigures | null {
  const kamailio = (name: string) => metrics.sum(`retell_proxy_kamailio_${name}`);
  const dialogs = dialogsIn(metrics);
  // A node that does not answer has no figures.
  if (dialogs === undefined) return null;
  return {
    dialogs,
    sharedMemoryUsedBytes: kamailio('shared_memory_used_bytes') ?? 0,
    sharedMemorySizeBytes: kamailio('shared_memory_size_bytes') ?? 0,
    privateMemoryFreeMinBytes: kamailio('private_memory_free_min_bytes') ?? 0,
    queuedEvents: kamailio('queued_events') ?? 0,
    eventBatchesWaiting: metrics.sum('retell_proxy_stream_lag_entries', { stream: 'events' }) ?? 0,
    eventLagS: meanLag(last.lag, now.lag),
    recordsOverdue: metrics.sum('retell_proxy_detail_records_overdue') ?? 0,
  };
}

/** Mean of what was handled between two looks, in s; null for none, and where either did not see it. */
function meanLag(before: Raw['lag'], now: Raw['lag']): number | null {
  if (before === undefined || now === undefined) return null;
  const handled = now.count - before.count;
  return handled > 0 ? (now.sum - before.sum) / handled : null;
}

/** Of the sockets of each part, those that dropped none left out. */
function droppedOf(
  parts: Readonly<Record<string, Pick<WatchedPart, 'port'>>>,
  last: Raw,
  now: Raw,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(parts).flatMap(([name, { port }]) => {
      const dropped = (now.dropped.get(port) ?? 0) - (last.dropped.get(port) ?? 0);
      return dropped > 0 ? [[name, dropped] as const] : [];
    }),
  );
}
