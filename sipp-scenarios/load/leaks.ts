import { RAW_EVENTS_KEPT_S } from '../../control-plane/src/kamailio/event-backlog.js';
import type { RedisFigures, Sample } from './sampler.js';
import { trendOf } from './trend.js';

/** How something went on after the beginning of a soak. */
export interface LeakFigures {
  name: string;
  unit: string;
  mean: number;
  /** Slope by least squares. */
  perHour: number;
  /** Share of its mean that it grew by in the time that was looked at. */
  growth: number;
  isLeak: boolean;
}

/**
 * What calls leave in Redis, where records are kept for `calls.retention_days`. What counts is the calls that have a
 * record (a detail record, for these), not those that were placed: where records are behind, what is written is that
 * of calls placed before.
 */
export interface KeptFigures {
  name: string;
  unit: string;
  /** For each call recorded, in the first half of the time that was looked at and in the second. */
  perCall: [first: number, second: number];
  isLeak: boolean;
}

export interface SoakFigures {
  /** Seconds that were looked at, since calls began. */
  from: number;
  to: number;
  levels: LeakFigures[];
  kept: KeptFigures[];
}

/** More growth than this share of the mean is a leak, where a line explains it that well and it is above the floor. */
const LEAK_GROWTH = 0.05;
const LEAK_R2 = 0.5;
/** More than this factor for each call in the second half: what calls leave is not constant. */
const KEPT_GROWTH = 1.1;

/** From when on as many raw events go as come, in s since calls began: they are trimmed every ten seconds. */
const RAW_EVENTS_FULL_S = RAW_EVENTS_KEPT_S + 20;

const MIB = 2 ** 20;

interface Level {
  name: string;
  unit: string;
  value: (sample: Sample) => number | undefined;
  /** Growth below this is noise: a heap that is collected, a block that was asked for. */
  floor: number;
  /**
   * What is worked off. It gets long for a minute where Redis writes its file anew, and is no leak as long as it gets
   * as short again as it was.
   */
  isQueue?: boolean;
}

const LEVELS: readonly Level[] = [
  {
    name: 'control plane, resident memory',
    unit: 'MiB',
    value: ({ parts }) => scaled(parts['control plane']?.rssBytes || undefined),
    floor: 16,
  },
  {
    name: 'Kamailio, shared memory in use',
    unit: 'MiB',
    value: ({ proxy }) => scaled(proxy?.sharedMemoryUsedBytes),
    floor: 4,
  },
  {
    // What is least free shrinks as the process that has it uses more.
    name: 'Kamailio, private memory that is gone',
    unit: 'MiB',
    value: ({ proxy }) => scaled(proxy === null ? undefined : -proxy.privateMemoryFreeMinBytes),
    floor: 0.5,
  },
  { name: 'open dialogs', unit: '', value: ({ proxy }) => proxy?.dialogs, floor: 20 },
  {
    name: 'events waiting in Kamailio and Redis',
    unit: '',
    value: ({ proxy }) => (proxy === null ? undefined : proxy.queuedEvents + proxy.eventBatchesWaiting),
    floor: 100,
    isQueue: true,
  },
  {
    name: 'Redis, raw events',
    unit: 'MiB',
    // None goes before that: a shorter soak says nothing of them.
    value: ({ at, redis }) => (at < RAW_EVENTS_FULL_S ? undefined : scaled(redis?.rawEventsBytes)),
    floor: 16,
    isQueue: true,
  },
];

/** Where records are behind, detail records are more so, and more raw events wait: each counts for itself. */
const KEPT = [
  {
    name: 'Redis, memory without streams',
    unit: 'bytes',
    value: ({ usedMemoryBytes, rawEventsBytes, detailRecordsBytes }: RedisFigures) =>
      usedMemoryBytes - rawEventsBytes - detailRecordsBytes,
    calls: ({ records }: RedisFigures) => records,
    floor: 256,
  },
  {
    name: 'Redis, detail records',
    unit: 'bytes',
    value: ({ detailRecordsBytes }: RedisFigures) => detailRecordsBytes,
    calls: ({ detailRecords }: RedisFigures) => detailRecords,
    floor: 256,
  },
  {
    name: 'Redis, keys',
    unit: 'keys',
    value: ({ keys }: RedisFigures) => keys,
    calls: ({ records }: RedisFigures) => records,
    floor: 0.1,
  },
] as const;

function scaled(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / MIB;
}

type Halves = readonly [first: readonly Sample[], second: readonly Sample[]];

/** Looks for what grows. @param from when the beginning is over, in s since calls began */
export function leaksIn(samples: readonly Sample[], from: number, to: number): SoakFigures {
  const own = samples.filter(({ at }) => at > from && at <= to);
  const middle = (from + to) / 2;
  const halves: Halves = [own.filter(({ at }) => at <= middle), own.filter(({ at }) => at > middle)];
  const levels = LEVELS.flatMap((level) => levelOf(level, halves, to - from));
  const kept = KEPT.flatMap(({ name, unit, value, calls, floor }): KeptFigures[] => {
    const [first, second] = halves.map((half) =>
      trendOf(half.flatMap(({ redis }) => (redis === null ? [] : [[calls(redis), value(redis)] as const]))),
    );
    if (first === undefined || second === undefined) return [];
    const isLeak = second.slope > first.slope * KEPT_GROWTH && second.slope - first.slope > floor;
    return [{ name, unit, perCall: [first.slope, second.slope], isLeak }];
  });
  return { from, to, levels, kept };
}

function levelOf(
  { name, unit, value, floor, isQueue = false }: Level,
  halves: Halves,
  seconds: number,
): LeakFigures[] {
  const pointsOf = (half: readonly Sample[]) => half.flatMap((sample) => pointOf(sample.at, value(sample)));
  const [first, second] = [pointsOf(halves[0]), pointsOf(halves[1])];
  const trend = trendOf([...first, ...second]);
  if (trend === undefined) return [];
  const grown = trend.slope * seconds;
  const growth = trend.mean === 0 ? 0 : grown / Math.abs(trend.mean);
  const rises = grown > floor && growth > LEAK_GROWTH && trend.r2 >= LEAK_R2;
  const isLeak = rises && !(isQueue && lowest(second) - lowest(first) <= floor);
  return [{ name, unit, mean: trend.mean, perHour: trend.slope * 3600, growth, isLeak }];
}

function lowest(points: readonly [at: number, value: number][]): number {
  return Math.min(...points.map(([, value]) => value));
}

function pointOf(x: number, y: number | undefined): [number, number][] {
  return y === undefined ? [] : [[x, y]];
}

/** What leaks, as problems; none where all is flat. */
export function leakProblems({ levels, kept }: SoakFigures): string[] {
  return [
    ...levels
      .filter(({ isLeak }) => isLeak)
      .map(({ name, perHour, unit }) => `${name} grows: ${signed(perHour)} ${unit} an hour`),
    ...kept
      .filter(({ isLeak }) => isLeak)
      .map(
        ({ name, perCall: [first, second], unit }) =>
          `${name} grows more with each call: ${first.toFixed(1)} ${unit}, later ${second.toFixed(1)}`,
      ),
  ];
}

export const SOAK_HEADER = ['what', 'mean', 'slope', 'grew by', 'verdict'] as const;

/** As rows of a table. */
export function soakRows({ levels, kept }: SoakFigures): string[][] {
  const verdict = (isLeak: boolean) => (isLeak ? 'LEAK' : 'flat');
  return [
    ...levels.map(({ name, mean, unit, perHour, growth, isLeak }) => [
      name,
      `${mean.toFixed(1)} ${unit}`.trim(),
      `${signed(perHour)} ${unit} an hour`.replace('  ', ' '),
      `${signed(growth * 100)} %`,
      verdict(isLeak),
    ]),
    ...kept.map(({ name, perCall: [first, second], unit, isLeak }) => [
      name,
      `${second.toFixed(1)} ${unit} a call`,
      `${first.toFixed(1)} ${unit} a call before`,
      '',
      verdict(isLeak),
    ]),
  ];
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(1)}`;
}
