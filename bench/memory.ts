import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../test/harness/await.js';
import { NUMBER } from '../test/harness/stack.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { cpusDuring } from './cpu.js';
import {
  eventLag,
  type HangupScene,
  partsOf,
  startHangupScene,
  startLoad,
  startLoadCarrier,
} from './hangup-scene.js';
import { type HeapUse, Inspector } from './inspector.js';
import { type RedisUse, readRedisUse } from './redis-use.js';

export interface MemoryOptions {
  /** Calls up when memory is read first, and when it is read again. */
  low: number;
  high: number;
  /** Then calls come and go at this rate, in calls a second, for so many seconds. */
  rate: number;
  duration: number;
  /** In the end so many calls ring. */
  ringing: number;
}

/** Memory of all parts at rest. */
export interface MemoryLevel {
  calls: number;
  /** Kamailio's shared memory in use, in bytes. */
  kamailioBytes: number;
  redis: RedisUse;
  controlPlane: HeapUse;
  /** CPUs of each part while nothing comes or goes. */
  cpus: Record<string, number>;
}

/** What calls that come and go take, in place of those that are up. */
export interface Churn {
  rate: number;
  calls: number;
  failed: number;
  /** Kamailio's shared memory beyond what it had before, while the rate goes on, in bytes: mean and most. */
  kamailioBytes: number;
  kamailioMostBytes: number;
  /** CPU time of a call in each part, from INVITE to record, beyond what the part takes anyway, in ms. */
  cpuMs: Record<string, number>;
}

export interface MemoryFigures {
  options: MemoryOptions;
  /** With no call, with few and with many. */
  none: MemoryLevel;
  low: MemoryLevel;
  high: MemoryLevel;
  churn: Churn;
  /** After those calls, with all their detail records written. */
  after: MemoryLevel;
  /** Kamailio's shared memory for a call that rings, in bytes. */
  ringingBytes: number;
}

/** Calls a second while they come up. */
const DIAL_RATE = 150;
/** What transactions leave is freed this long after their end (wt_timer and delete timers of Kamailio's tm), in ms. */
const TRANSACTIONS_MS = 7000;
/** What a start does is over by then, in ms. */
const STARTED_MS = 1000;
/** Detail records are written some seconds after a call's end, in ms. */
const RECORDS_MS = 10_000;
const LOOK_MS = 250;

/** Holds calls up at two levels and reads what the parts hold for them, then has calls come and go. */
export async function measureMemory(options: MemoryOptions): Promise<MemoryFigures> {
  const cleanup = new Cleanup();
  try {
    const inspector = await Inspector.create();
    const scene = await startHangupScene(cleanup, { controlPlaneEnv: inspector.env });
    await startLoadCarrier(cleanup, scene);
    const none = await levelOf(scene, inspector, 0, STARTED_MS);
    await holdUpTo(scene, 0, options.low);
    const low = await levelOf(scene, inspector, options.low);
    await holdUpTo(scene, options.low, options.high);
    const high = await levelOf(scene, inspector, options.high);
    const churn = await comeAndGo(cleanup, scene, options, high.cpus);
    const after = await levelOf(scene, inspector, options.high, RECORDS_MS);
    return { options, none, low, high, churn, after, ringingBytes: await ring(scene, options.ringing) };
  } finally {
    await cleanup.run();
  }
}

/** Adds calls to those that are up. */
async function holdUpTo({ stack, held }: HangupScene, from: number, to: number): Promise<void> {
  await held.dial({ count: to - from, rate: DIAL_RATE, number: NUMBER, ...stack.sip });
  await eventually(
    `${to} answered calls`,
    async () => {
      const filter = { state: 'answered', carrier: 'acme' };
      const { body } = await stack.api.post('/v1/hangups', { filter, dry_run: true });
      return body.matched === to;
    },
    120_000,
  );
}

/** @param settleMs until nothing comes or goes any more, in ms */
async function levelOf(
  scene: HangupScene,
  inspector: Inspector,
  calls: number,
  settleMs = TRANSACTIONS_MS,
): Promise<MemoryLevel> {
  const { stack } = scene;
  await eventually('no events left', async () => (await eventLag(scene)) === 0, 60_000);
  const { cpus } = await cpusDuring(ourParts(scene), () => delay(settleMs));
  return {
    calls,
    cpus,
    kamailioBytes: await sharedMemoryUsed(scene),
    redis: await readRedisUse(stack.redis),
    controlPlane: await inspector.heap(),
  };
}

function ourParts(scene: HangupScene): Record<string, number | undefined> {
  const { peers: _, ...parts } = partsOf(scene);
  return parts;
}

async function sharedMemoryUsed({ stack }: HangupScene): Promise<number> {
  const memory = (await stack.rpc.call('core.shmmem')) as { real_used: number };
  return Number(memory.real_used);
}

/** Has calls ring. @returns what one of them takes */
async function ring(scene: HangupScene, count: number): Promise<number> {
  const { stack, held } = scene;
  const before = await sharedMemoryUsed(scene);
  await held.dial({ count, rate: DIAL_RATE, number: NUMBER, ringing: true, ...stack.sip });
  await eventually('no events left', async () => (await eventLag(scene)) === 0, 60_000);
  return ((await sharedMemoryUsed(scene)) - before) / count;
}

async function comeAndGo(
  t: Cleanup,
  scene: HangupScene,
  { rate, duration }: MemoryOptions,
  idleCpus: MemoryLevel['cpus'],
): Promise<Churn> {
  const before = await sharedMemoryUsed(scene);
  const load = await startLoad(t, scene, { rate, seconds: duration });
  const samples: number[] = [];
  // As many transactions as there will be are there once the first of them are freed.
  const full = Math.min(TRANSACTIONS_MS, (duration * 1000) / 2);
  const { cpus } = await cpusDuring(ourParts(scene), async () => {
    const started = now();
    while (now() - started < duration * 1000) {
      await delay(LOOK_MS);
      if (now() - started >= full) samples.push((await sharedMemoryUsed(scene)) - before);
    }
  });
  const { created, successful } = await load.result();
  return {
    rate,
    calls: created,
    failed: created - successful,
    kamailioBytes: samples.reduce((sum, bytes) => sum + bytes, 0) / samples.length,
    kamailioMostBytes: Math.max(...samples),
    cpuMs: Object.fromEntries(
      Object.entries(cpus).map(([part, used]) => [part, ((used - (idleCpus[part] ?? 0)) / rate) * 1000]),
    ),
  };
}
