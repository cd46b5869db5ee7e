import { RAW_EVENTS_KEPT_S } from '../../kamailio/event-backlog.js';
import { EVENTS_PER_MB } from '../../kamailio/node-file.js';
import { CPU_MS, DATAGRAM_BYTES, DATAGRAMS_PER_CALL, EVENTS_PER_CALL, KAMAILIO, REDIS } from './figures.js';

/** What a node has to carry. */
export interface Demand {
  /** New calls a second in the busiest minute. */
  cps: number;
  /** Mean length of an answered call, in s. */
  durationS: number;
  /** How long a call rings, in the mean, in s. */
  ringS: number;
  retentionDays: number;
  callsPerDay: number;
  /** How long Redis may be away without an event being lost, in s. */
  redisAwayS: number;
}

/** What it takes. Memory in bytes unless the name says otherwise. */
export interface Sizing {
  demand: Demand;
  /** Calls at once, and of those the ones that ring. */
  calls: number;
  ringing: number;
  /** Keys of config.yaml. */
  config: {
    sip: { workers: number };
    kamailio: { shared_memory_mb: number };
    calls: { retention_days: number };
  };
  /** Of Kamailio's shared memory, what is in use at the busiest. */
  sharedMemory: { base: number; dialogs: number; ringing: number; setups: number; hangups: number };
  /** Events that Kamailio holds while Redis is away, and for how long that is, in s. */
  eventQueue: { events: number; seconds: number };
  redis: { maxmemory: number; active: number; kept: number; rawEvents: number; other: number };
  /** What the receive buffer of each UDP socket has to hold, and the kernel's settings for it. */
  receiveBuffer: { bytes: number; sysctl: Record<string, number> };
  /** CPUs that are busy, and cores to have. */
  cpus: { kamailio: number; controlPlane: number; redis: number; cores: number };
  /** Memory of the machine, where all parts are on one. */
  machineMemory: number;
  /** What does not fit on one node. */
  problems: string[];
  /** What might be done better. */
  advice: string[];
}

/** Keeps clear of the alert on shared memory, which begins at 70 %, and of that on Redis' memory, at 80 %. */
const SHARED_MEMORY_USE = 0.65;
const REDIS_USE = 0.75;
/** A CPU is busy for no more than this in the mean of the busiest minute: calls come in bursts. */
const CPU_USE = 0.5;
/** The control plane and Redis have one thread each for most of their work. */
const THREAD_USE = 0.7;
/** Calls that a hangup by command ends in 5 s at its default rate of 500 a second. */
const HANGUPS = 2500;
/** Workers may get no CPU for so long, in s: what comes meanwhile has to fit in the receive buffer. */
const STALL_S = 0.5;
/** What each UDP socket asks for (SIP_RECEIVE_BUFFER), in bytes, which Linux doubles; a larger default stays. */
export const SIP_RECEIVE_BUFFER = 1_048_576;
/** The default of kamailio.shared_memory_mb, below which nothing is gained, and the bounds of it and of sip.workers. */
const SHARED_MEMORY_MB = { least: 256, most: 65_536, step: 64 };
const WORKERS = { least: 4, most: 128, perCore: 2 };
const MIB = 2 ** 20;
/** Ended calls that take more of Redis than this are better kept elsewhere. */
const MUCH_KEPT = 8192 * MIB;
/** Programs themselves: the control plane, Kamailio's processes, the system. */
const PROGRAMS = 768 * MIB;

/** Answers what a node needs for the calls that it has to carry. */
export function sizeFor(demand: Demand): Sizing {
  const { cps, durationS, ringS, retentionDays, callsPerDay, redisAwayS } = demand;
  const ringing = Math.ceil(cps * ringS);
  const answered = Math.ceil(cps * durationS);
  const calls = ringing + answered;

  const sharedMemory = {
    base: KAMAILIO.base,
    dialogs: answered * KAMAILIO.dialog,
    ringing: ringing * KAMAILIO.ringing,
    setups: Math.ceil(cps * KAMAILIO.perCallPerSecond),
    hangups: Math.min(answered, HANGUPS) * KAMAILIO.hangup,
  };
  const used = sumOf(sharedMemory);
  const events = Math.ceil(cps * EVENTS_PER_CALL * redisAwayS);
  const sharedMemoryMb = roundUp(
    Math.max(
      SHARED_MEMORY_MB.least,
      used / SHARED_MEMORY_USE / MIB,
      (used + events * KAMAILIO.event) / MIB,
      events / EVENTS_PER_MB,
    ),
    SHARED_MEMORY_MB.step,
  );
  const queue = sharedMemoryMb * EVENTS_PER_MB;

  const redisParts = {
    active: calls * REDIS.active,
    kept: callsPerDay * retentionDays * REDIS.kept,
    rawEvents: Math.min(callsPerDay, cps * RAW_EVENTS_KEPT_S) * REDIS.rawEvents,
    other: REDIS.base + REDIS.publicEvents,
  };
  const maxmemory = roundUp(sumOf(redisParts) / REDIS_USE, 64 * MIB);

  const busy = {
    kamailio: (cps * CPU_MS.kamailio) / 1000,
    controlPlane: (cps * CPU_MS.controlPlane) / 1000,
    redis: (cps * CPU_MS.redis) / 1000,
  };
  const workers = Math.max(WORKERS.least, Math.ceil((busy.kamailio / CPU_USE) * WORKERS.perCore));
  const buffer = roundUp(cps * DATAGRAMS_PER_CALL * DATAGRAM_BYTES * STALL_S, 65_536);
  return {
    demand,
    calls,
    ringing,
    config: {
      sip: { workers: Math.min(workers, WORKERS.most) },
      kamailio: { shared_memory_mb: Math.min(sharedMemoryMb, SHARED_MEMORY_MB.most) },
      calls: { retention_days: retentionDays },
    },
    sharedMemory,
    eventQueue: { events: queue, seconds: Math.floor(queue / (cps * EVENTS_PER_CALL)) },
    redis: { maxmemory, ...redisParts },
    receiveBuffer: { bytes: buffer, sysctl: kernelSettings(buffer) },
    cpus: { ...busy, cores: Math.max(2, Math.ceil(sumOf(busy) / CPU_USE)) },
    // While Redis rewrites its log, pages that change meanwhile are there twice.
    machineMemory: roundUp(sharedMemoryMb * MIB + maxmemory * 1.25 + PROGRAMS, 256 * MIB),
    problems: problemsOf({ sharedMemoryMb, workers, busy }),
    advice: adviceOf(callsPerDay * REDIS.kept, redisParts.kept),
  };
}

function kernelSettings(buffer: number): Record<string, number> {
  return buffer <= 2 * SIP_RECEIVE_BUFFER
    ? { 'net.core.rmem_max': SIP_RECEIVE_BUFFER }
    : { 'net.core.rmem_default': buffer };
}

interface Needs {
  sharedMemoryMb: number;
  workers: number;
  busy: { kamailio: number; controlPlane: number; redis: number };
}

function problemsOf({ sharedMemoryMb, workers, busy }: Needs): string[] {
  const most = (cpuMs: number) => Math.floor((THREAD_USE * 1000) / cpuMs);
  return [
    busy.controlPlane > THREAD_USE &&
      `one control plane keeps up with about ${most(CPU_MS.controlPlane)} calls/s: beyond that its records are late`,
    busy.redis > THREAD_USE && `one Redis keeps up with about ${most(CPU_MS.redis)} calls/s`,
    sharedMemoryMb > SHARED_MEMORY_MB.most &&
      `kamailio.shared_memory_mb is ${SHARED_MEMORY_MB.most} at most: share the calls among nodes`,
    workers > WORKERS.most && `sip.workers is ${WORKERS.most} at most: share the calls among nodes`,
  ].filter((problem) => problem !== false);
}

function adviceOf(perDay: number, kept: number): string[] {
  if (kept < MUCH_KEPT) return [];
  const gib = (perDay / 2 ** 30).toFixed(1);
  return [
    `each day of calls.retention_days takes ${gib} GiB of Redis: records.directory keeps records in files instead`,
  ];
}

function sumOf(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, part) => sum + part, 0);
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
