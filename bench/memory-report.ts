import { DETAIL_RECORDS } from '../control-plane/src/calls/detail-records.js';
import { PUBLIC_EVENTS } from '../control-plane/src/calls/public-events.js';
import { KAMAILIO, REDIS } from '../control-plane/src/cli/size/figures.js';
import { type BudgetResult, figureText, judge } from './budget.js';
import type { MemoryFigures, MemoryLevel } from './memory.js';
import { NODE_EVENTS, type RedisUse, streamBytes } from './redis-use.js';

/**
 * What a call that is up may take in Kamailio and Redis, in KiB. In the control plane it may leave nothing behind: less
 * than this many bytes a call, which is less than any object for it would take, is what figures differ by anyway.
 */
const BUDGET = { kamailioKib: 12, redisKib: 4, controlPlaneBytes: 256 };
const KIB = 1024;

/** What one call takes, from the differences between levels, in bytes. */
export interface PerCall {
  /** Of Kamailio's shared memory, for each dialog. */
  dialog: number;
  /** Of Kamailio's shared memory, for each call a second that comes and goes. */
  churn: number;
  /** Of the control plane's memory after garbage collection, for each call that is up. */
  controlPlane: number;
  /** Of Redis, for each call that is up, and of that its events in streams. */
  redis: number;
  redisStreams: number;
  /** Of Redis, for each ended call: its record, its detail record, and its raw events, the first of which go after two minutes. */
  keptRecord: number;
  detailRecord: number;
  rawEvents: number;
}

export function perCall({ low, high, churn, after }: MemoryFigures): PerCall {
  const up = (bytes: (level: MemoryLevel) => number) => (bytes(high) - bytes(low)) / (high.calls - low.calls);
  const ended = (bytes: (use: RedisUse) => number) => (bytes(after.redis) - bytes(high.redis)) / churn.calls;
  const stream = (name: string) => (use: RedisUse) => use.streams[name]?.bytes ?? 0;
  return {
    dialog: up(({ kamailioBytes }) => kamailioBytes),
    churn: churn.kamailioBytes / churn.rate,
    controlPlane: up(({ controlPlane }) => controlPlane.heapBytes),
    redis: up(({ redis }) => redis.usedBytes),
    redisStreams: up(({ redis }) => streamBytes(redis)),
    keptRecord: ended((use) => use.usedBytes - streamBytes(use)),
    detailRecord: ended(stream(DETAIL_RECORDS)),
    rawEvents: ended(stream(NODE_EVENTS)),
  };
}

export function budgetsOfMemory(figures: MemoryFigures): BudgetResult[] {
  const { dialog, redis, controlPlane } = perCall(figures);
  const { low, high } = figures;
  const from = `from ${low.calls} to ${high.calls} calls up`;
  return [
    judge({
      name: `memory: Kamailio's shared memory for a dialog, ${from}`,
      ...{ measured: dialog / KIB, unit: 'KiB', limit: { under: BUDGET.kamailioKib } },
    }),
    judge({
      name: `memory: Redis for an active call, its events included, ${from}`,
      ...{ measured: redis / KIB, unit: 'KiB', limit: { under: BUDGET.redisKib } },
    }),
    judge({
      name: `memory: the control plane's heap for an active call, ${from}`,
      ...{ measured: Math.max(0, controlPlane), unit: 'bytes', limit: { under: BUDGET.controlPlaneBytes } },
    }),
  ];
}

/** The figures as Markdown. */
export function reportMemory(figures: MemoryFigures): string {
  const { none, low, high, churn, after } = figures;
  const each = perCall(figures);
  const kib = (bytes: number) => `${figureText(bytes / KIB)} KiB`;
  return [
    'Memory at rest, in MiB; the control plane after garbage collection:',
    '',
    '| calls up | Kamailio, shared | Redis | of that streams | control plane: heap | resident |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...[none, low, high].map((level) => levelRow(String(level.calls), level)),
    levelRow(`${after.calls}, and ${churn.calls} ended`, after),
    '',
    '| what one takes | |',
    '| --- | ---: |',
    `| a call that is up: Kamailio | ${kib(each.dialog)} |`,
    `| a call that rings: Kamailio | ${kib(figures.ringingBytes)} |`,
    `| a call that is up: Redis | ${kib(each.redis)}, of that its events in streams ${kib(each.redisStreams)} |`,
    `| a call that is up: control plane | ${figureText(each.controlPlane)} bytes |`,
    `| a call a second that is set up and ended: Kamailio, on top of the calls that are up | ${kib(each.churn)} |`,
    `| a call that has ended: Redis, its record and indexes | ${kib(each.keptRecord)} |`,
    `| its detail record | ${kib(each.detailRecord)} |`,
    `| its raw events | ${kib(each.rawEvents)} |`,
    ...Object.entries(churn.cpuMs).map(
      ([part, ms]) => `| a call from INVITE to record: CPU of ${part} | ${figureText(ms)} ms |`,
    ),
    '',
    ...sizingLines(figures),
    '',
    `- The rows with CPU are of ${churn.calls} calls at ${churn.rate} a second beside those that are up; ${churn.failed} of them failed. Kamailio's shared memory: ${kib(churn.kamailioBytes)} more than before in the mean, ${kib(churn.kamailioMostBytes)} at most.`,
    `- CPUs with ${high.calls} calls up and nothing going on, which are not in these figures: ${Object.entries(
      high.cpus,
    )
      .map(([part, used]) => `${part} ${used.toFixed(3)}`)
      .join(', ')}.`,
    '',
  ].join('\n');
}

/** What the formula of sizing.md says of the same calls. */
function sizingLines({ none, high, churn, after }: MemoryFigures): string[] {
  const redis = (level: MemoryLevel) => level.redis.usedBytes - none.redis.usedBytes;
  const streamed = streamBytes(high.redis) - streamBytes(none.redis);
  const bytesOf = (name: string) =>
    (after.redis.streams[name]?.bytes ?? 0) - (high.redis.streams[name]?.bytes ?? 0);
  const rows = [
    [
      `Kamailio with ${high.calls} calls up`,
      KAMAILIO.base + high.calls * KAMAILIO.dialog,
      high.kamailioBytes,
    ] as const,
    [
      `${churn.rate} calls a second on top`,
      churn.rate * KAMAILIO.perCallPerSecond,
      churn.kamailioBytes,
    ] as const,
    [
      `Redis with ${high.calls} calls up, without streams`,
      high.calls * REDIS.active,
      redis(high) - streamed,
    ] as const,
    [
      `${churn.calls} ended calls, with their raw events`,
      churn.calls * (REDIS.kept + REDIS.rawEvents),
      redis(after) - redis(high) - bytesOf(PUBLIC_EVENTS),
    ] as const,
  ];
  return [
    '| checked: MiB | [formula](sizing.md) | measured |',
    '| --- | ---: | ---: |',
    ...rows.map(([name, ...bytes]) => `| ${name} | ${bytes.map(mib).join(' | ')} |`),
  ];
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function levelRow(name: string, { kamailioBytes, redis, controlPlane }: MemoryLevel): string {
  const cells = [
    kamailioBytes,
    redis.usedBytes,
    streamBytes(redis),
    controlPlane.heapBytes,
    controlPlane.rssBytes,
  ];
  return `| ${name} | ${cells.map(mib).join(' | ')} |`;
}
