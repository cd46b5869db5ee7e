import { setTimeout as delay } from 'node:timers/promises';
import { WEBHOOKS } from '../control-plane/src/retell/webhook-store.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { cpusDuring, secondsKeptWaiting } from './cpu.js';
import { type Summary, summarise } from './statistics.js';
import { EVENTS, planOf, type WebhookCall } from './webhook-requests.js';
import { addCalls, partsOf, type Receiver, startWebhookScene, type WebhookScene } from './webhook-scene.js';
import type { SendResult } from './webhook-sender.js';

export interface WebhookOptions {
  /** Webhooks a second in the series at a rate. */
  rate: number;
  /** How long that goes on, in s. */
  duration: number;
  /** Calls that the webhooks of one series are about; default one for every three. */
  calls?: number;
}

/** How one receiver took one series of webhooks. */
export interface WebhookSeries {
  webhooks: number;
  /** Answered 2xx. */
  answered: number;
  /** Answered 2xx a second. */
  perSecond: number;
  /** Until the answer, in ms: at a rate from when it was due, otherwise from when it was sent. */
  latency: Summary & { longest: number };
  /** CPUs that each part used meanwhile. */
  cpus: Record<string, number>;
  /** Part of the time in which the receiver had work and something else its core. */
  keptWaiting: number;
}

/** What became of what the control plane has answered. */
export interface Written {
  /** Answered 2xx and not in the record of its call. */
  lost: number;
  /** The longest that one has waited in Redis until it was written, in ms. */
  longestWaitMs: number;
  /** From the last answer until all were written, in ms. */
  afterLastMs: number;
  /** Answered and written a second, from the first that was due until all were written. */
  writtenPerSecond: number;
}

export interface WebhookFigures {
  options: WebhookOptions;
  /** Whether the receiver had one core, and that for itself. */
  held: boolean;
  atRate: { ours: WebhookSeries & Written; bare: WebhookSeries };
  /** As fast as it goes. */
  highest: { ours: WebhookSeries & Written; bare: WebhookSeries; connections: number };
}

/** Kept open, as a reverse proxy does. */
const CONNECTIONS = 64;
/** How long each receiver is warmed up, as a part of the duration. */
const WARM_UP = 0.3;
/** How often the stream is looked at, in ms. */
const LOOK_MS = 20;
/** How long after the last answer all have to be written, in ms. */
const GIVE_UP_MS = 120_000;

/**
 * Sends signed webhooks to the control plane, and the same to a receiver that does nothing but check them: at a
 * constant rate, and as fast as they are answered. Then counts what of that is in the records.
 *
 * @throws Error where a part does not come up
 */
export async function measureWebhooks(options: WebhookOptions): Promise<WebhookFigures> {
  const cleanup = new Cleanup();
  try {
    const scene = await startWebhookScene(cleanup);
    const webhooks = options.rate * options.duration;
    const warmUp = { webhooks: Math.ceil(webhooks * WARM_UP), connections: CONNECTIONS };
    const atRate = { webhooks, rate: options.rate, connections: CONNECTIONS };
    const highest = { webhooks, connections: CONNECTIONS };
    const both = async (load: Load) => ({
      bare: await toBare(scene, load),
      ours: await toOurs(scene, load, options.calls),
    });
    await both(warmUp);
    return {
      options,
      held: scene.held,
      atRate: await both(atRate),
      highest: { ...(await both(highest)), connections: CONNECTIONS },
    };
  } finally {
    await cleanup.run();
  }
}

interface Load {
  webhooks: number;
  /** Left out, as fast as the connections let. */
  rate?: number;
  connections: number;
}

async function toBare(scene: WebhookScene, load: Load): Promise<WebhookSeries> {
  return (await send(scene, scene.bare, load, await addCalls(scene, callsFor(load)))).series;
}

async function toOurs(
  scene: WebhookScene,
  load: Load,
  count = callsFor(load),
): Promise<WebhookSeries & Written> {
  const calls = await addCalls(scene, count);
  const emptied = watchStream(scene);
  const { series, result } = await send(scene, scene.ours, load, calls);
  const sent = now();
  const longestWaitMs = await emptied(sent + GIVE_UP_MS);
  const afterLastMs = now() - sent;
  return {
    ...series,
    lost: await countLost(scene, calls, result),
    longestWaitMs,
    afterLastMs,
    writtenPerSecond: (series.answered * 1000) / (result.elapsedMs + afterLastMs),
  };
}

function callsFor({ webhooks }: Load): number {
  return Math.ceil(webhooks / EVENTS.length);
}

async function send(
  scene: WebhookScene,
  to: Receiver,
  load: Load,
  calls: readonly WebhookCall[],
): Promise<{ series: WebhookSeries; result: SendResult }> {
  const { sender, key } = scene;
  await sender.prepare({ ...load, host: to.host, port: to.port, key, calls });
  const waitedBefore = secondsKeptWaiting(to.pid);
  const { result, cpus } = await cpusDuring(partsOf(scene, to), () => sender.send());
  const waitedMs = (secondsKeptWaiting(to.pid) - waitedBefore) * 1000;
  const latencies = [...result.latencies];
  const answered = result.statuses.filter(isSuccess).length;
  const series = {
    webhooks: load.webhooks,
    answered,
    perSecond: (answered * 1000) / result.elapsedMs,
    latency: { ...summarise(latencies), longest: latencies.reduce((a, b) => Math.max(a, b), 0) },
    cpus,
    keptWaiting: waitedMs / result.elapsedMs,
  };
  return { series, result };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/**
 * Looks at the stream of webhooks that are not written yet.
 *
 * @returns waits until it is empty, and resolves with the longest that one was seen to wait, in ms
 */
function watchStream({ stack: { redis } }: WebhookScene): (deadline: number) => Promise<number> {
  let longestMs = 0;
  let isEmpty = false;
  let stopAt: number | undefined;
  const run = async () => {
    while (stopAt === undefined || (!isEmpty && now() < stopAt)) {
      const [oldest] = await redis.xrange(WEBHOOKS, '-', '+', 'COUNT', 1);
      isEmpty = oldest === undefined;
      if (oldest !== undefined) longestMs = Math.max(longestMs, Date.now() - Number(oldest[0].split('-')[0]));
      await delay(LOOK_MS);
    }
  };
  const running = run();
  return async (deadline) => {
    isEmpty = false;
    stopAt = deadline;
    await running;
    if (!isEmpty) throw new Error('webhooks are left that nobody writes');
    return longestMs;
  };
}

/** How many were answered 2xx and left no mark in the record of their call. */
async function countLost(
  { store }: WebhookScene,
  calls: readonly WebhookCall[],
  { statuses }: SendResult,
): Promise<number> {
  const records = await store.getAll(calls.map(({ id }) => id));
  const marks = records.map((record) => new Set(record?.timeline.map(({ type }) => type)));
  return statuses.filter((status, i) => {
    const { call, event } = planOf(calls.length, i);
    return isSuccess(status) && !marks[call]?.has(`retell_${EVENTS[event]}`);
  }).length;
}
