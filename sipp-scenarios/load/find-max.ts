import { randomBytes } from 'node:crypto';
import { usedMemory } from '../../bench/redis-use.js';
import { type Summary, summarise } from '../../bench/statistics.js';
import { DETAIL_RECORDS_DUE } from '../../control-plane/src/calls/merge-script.js';
import { eventually } from '../../test/harness/await.js';
import { startPeer } from '../../test/harness/scene.js';
import type { TestLike } from '../../test/harness/stack.js';
import type { Scenario } from '../scenarios.js';
import { startCallees } from './callees.js';
import { CONTENDER_TITLES, type Contender, type ContenderName, startContenders } from './contenders.js';
import { LOOPBACK, OWN_NUMBER, type Placement } from './pairs.js';
import type { ProgressBar } from './progress.js';
import { confirmHighest, findHighest, type SearchOptions } from './search.js';
import { type Settled, settle } from './settle.js';
import { type Probed, probeSrd } from './srd-probe.js';
import type { OwnSystem, System } from './system.js';
import { plainTraffic } from './traffic.js';
import { eventsDropped, type Trial, type TrialScene, tryRate } from './trial.js';
import { middleTurn, type Turn } from './turns.js';

export interface FindMaxOptions {
  scenario: Scenario;
  holdMs: number;
  pairs: number;
  /** How long a rate has to be clean to count, in s. */
  durationS: number;
  /** Coarse searches and one turn, for a look. Default false. */
  isQuick?: boolean;
}

/** SRD of calls by a peer at the same rate of other calls, in ms. */
export interface AddedSrd {
  rate: number;
  bare: Summary;
  ours: Summary;
  /** What the median is longer by. */
  addedMs: number;
}

export interface FindMaxResult {
  /** The highest rate of each; null where none was clean. Of the bare Kamailio with tlsf and ours, in the middle turn. */
  best: Record<ContenderName, Trial | null>;
  turns: Turn[];
  /** All that was tried, in order. */
  trials: Trial[];
  /** null where the scenario is not one of answered calls, or where no rate was clean. */
  srd: AddedSrd | null;
  /** Of the calls through ours in clean trials. */
  settled: Settled;
  /** Call events that Kamailio had no room for; null where it did not say. */
  eventsDropped: number | null;
}

/** A step or half of the search. */
const SHORT = { warmUpS: 1, durationS: 4 };
const CONFIRM_WARM_UP_S = 3;
/** A trial that fails takes longest: each search comes from below. The generator's ceiling has to be known roughly. */
const GENERATOR: SearchOptions = { start: 4000, precision: 0.3 };
const FIRST: SearchOptions = { start: 400 };
/** Where the others begin, as a part of what was found before. */
const BEGIN_AT = { bare: 1.2, ours: 0.4 } as const;
/** What holds for a moment is higher than what holds for long: where that begins, as a part of it. */
const BEGIN_LONG_AT = 0.85;
const TURNS = 3;
/** For a look: how far apart clean and unclean rates may lie. */
const COARSE = { precision: 0.25 };
/** Of the SRD measurement: parts in turns, each so long. */
const SRD_TURNS = 2;
const SRD_SECONDS = 8;
/** The calls of all trials would be more than the machine has memory for, and copying it slows Redis, in bytes. */
const FORGET_ABOVE = 2 * 1024 ** 3;
/** Redis' append-only file is written anew before a trial where it has grown by so much since the last time, in bytes. */
const GROWN_BY = 64 * 1024 ** 2;
/** How long the records of a trial may take: the control plane is far behind after one near the highest rate. */
const QUIET_WITHIN_MS = 300_000;

/** Finds the highest rate without a failure through each contender, with the same calls. */
export async function findMax(
  t: TestLike,
  options: FindMaxOptions,
  bar: ProgressBar,
): Promise<FindMaxResult> {
  const { scenario, holdMs, pairs, durationS, isQuick = false } = options;
  const placement: Placement = { pairs, gateways: pairs, transport: 'udp', ...LOOPBACK };
  const { entries } = plainTraffic({ scenario, holdMs, rate: FIRST.start });
  const called = await startCallees(t, placement, entries);
  const [first, ...others] = called[scenario.direction];
  if (first === undefined) throw new Error(`${scenario.name} has nobody who is called`);
  const callees = [first, ...others] as const;
  const contenders = await startContenders(t, scenario.direction, [...callees]);
  const own = contenders.ours.system;
  const scene: TrialScene = {
    ...{ placement, callees },
    stream: { scenario, holdMs, number: entries[0]?.number ?? OWN_NUMBER },
    callIdPrefix: `load-${randomBytes(4).toString('hex')}`,
  };
  const trials: Trial[] = [];
  const attempt = async (contender: Contender, rate: number, course: typeof SHORT) => {
    await whenQuiet(own);
    if ((await usedMemory(own.redis)) > FORGET_ABOVE) await own.forgetCalls();
    await rewriteFile(own);
    const title = CONTENDER_TITLES[contender.name];
    // What SIPp calls a call is one: names of calls must not come again.
    const named = { ...scene, callIdPrefix: `${scene.callIdPrefix}-${trials.length}` };
    const trial = await tryRate(t, named, contender, rate, course, (progress) => bar.show(progress, title));
    trials.push(trial);
    bar.say(`${title}: ${rate} calls/s for ${course.durationS} s: ${trial.trouble ?? 'clean'}`);
    return trial;
  };
  /** What is clean for a moment. The first calls of a fresh program take longest, and decide nothing. */
  const shortly = async (name: ContenderName, from: SearchOptions) => {
    const isClean = async (rate: number) => (await attempt(contenders[name], rate, SHORT)).isClean;
    await isClean(Math.round(from.start));
    return findHighest(isClean, { least: 10, ...from, ...(isQuick && COARSE) });
  };
  const forLong = async (name: ContenderName, from: number | undefined): Promise<Trial | null> => {
    if (from === undefined) return null;
    let highest: Trial | null = null;
    await confirmHighest(async (rate) => {
      const trial = await attempt(contenders[name], rate, { warmUpS: CONFIRM_WARM_UP_S, durationS });
      if (trial.isClean) highest = trial;
      return trial.isClean;
    }, Math.ceil(from));
    return highest;
  };
  const generator = await forLong('generator', await shortly('generator', GENERATOR));
  const shipped = await forLong('shipped', await shortly('shipped', FIRST));
  const bareShortly = await shortly('bare', { start: (shipped?.rate ?? FIRST.start) * BEGIN_AT.bare });
  const oursShortly = await shortly('ours', { start: (bareShortly ?? FIRST.start) * BEGIN_AT.ours });
  const begin = (rate: number | undefined) => rate && rate * BEGIN_LONG_AT;
  // A machine has good and bad moments: these two are compared in turns, as their ratio is what counts.
  const turns: Turn[] = [];
  for (let n = 0; n < (isQuick ? 1 : TURNS); n += 1) {
    const before = turns.at(-1);
    const bare = await forLong('bare', before?.bare?.rate ?? begin(bareShortly));
    turns.push({ bare, ours: await forLong('ours', before?.ours?.rate ?? begin(oursShortly)) });
  }
  const best = { generator, shipped, ...middleTurn(turns) };
  const peer = await startPeer(t, { host: LOOPBACK.callerHost(250, scenario.direction), trace: false });
  const srd = await addedSrd(best, scenario, async (name, rate) => {
    const [, probed] = await Promise.all([
      attempt(contenders[name], rate, { warmUpS: 1, durationS: SRD_SECONDS }),
      probeSrd(peer, contenders[name], { ...scene.stream, rate }, SRD_SECONDS),
    ]);
    return probed;
  });
  bar.say('waiting for the records');
  const settled = await settleOurs(own, trials);
  return { best, turns, trials, srd, settled, eventsDropped: (await eventsDropped(own)) ?? null };
}

/** Calls of trials that were not clean may be lost on their way to us: those of the others all have to have a record. */
function settleOurs(system: System, trials: readonly Trial[]): Promise<Settled> {
  const clean = trials.filter(({ contender, isClean }) => contender === 'ours' && isClean);
  return settle(system, {
    calls: clean.reduce((sum, { placed }) => sum + placed, 0),
    countRecords: async () => {
      let records = 0;
      for (const { callIdPrefix } of clean) records += (await system.countRecords(callIdPrefix)) ?? 0;
      return records;
    },
    mayKeepDialogs: true,
  });
}

/** At half of ours, both in turns. */
async function addedSrd(
  best: FindMaxResult['best'],
  { status }: Scenario,
  probe: (name: 'bare' | 'ours', rate: number) => Promise<Probed>,
): Promise<AddedSrd | null> {
  if (best.ours === null || best.bare === null || status !== 200) return null;
  const rate = Math.max(1, Math.round(best.ours.rate / 2));
  const times: Record<'bare' | 'ours', number[]> = { bare: [], ours: [] };
  for (let turn = 0; turn < SRD_TURNS; turn += 1) {
    for (const name of ['bare', 'ours'] as const) times[name].push(...(await probe(name, rate)).srdMs);
  }
  if (times.bare.length === 0 || times.ours.length === 0) return null;
  const [bare, ours] = [summarise(times.bare), summarise(times.ours)];
  return { rate, bare, ours, addedMs: ours.median - bare.median };
}

/** A trial must not have to do the work of one before, whoever's it was. */
async function whenQuiet({ metrics, redis }: OwnSystem): Promise<void> {
  const isQuiet = async () => {
    const text = await metrics();
    if (text === undefined || (await redis.zcard(DETAIL_RECORDS_DUE)) > 0) return false;
    if ((await fileOf(redis)).isRewritten) return false;
    const waiting =
      (text.sum('retell_proxy_kamailio_queued_events') ?? 0) +
      (text.sum('retell_proxy_stream_lag_entries', { stream: 'events' }) ?? 0);
    return waiting === 0;
  };
  await eventually(
    'no event and no record that waits, and no file that is written anew',
    isQuiet,
    QUIET_WITHIN_MS,
  );
}

/**
 * Has Redis write its append-only file anew where it has grown. It would do so in the next trial because of the calls of
 * the ones before, which takes seconds of a CPU.
 */
async function rewriteFile({ redis }: OwnSystem): Promise<void> {
  if ((await fileOf(redis)).grownBy < GROWN_BY) return;
  await redis.bgrewriteaof();
  const isOver = async () => !(await fileOf(redis)).isRewritten;
  await eventually('an append-only file that is written anew', isOver, QUIET_WITHIN_MS);
}

/** Redis' append-only file: whether it is being written anew, and its growth since the last time, in bytes. */
async function fileOf(redis: OwnSystem['redis']): Promise<{ isRewritten: boolean; grownBy: number }> {
  const text = await redis.info('persistence');
  const value = (name: string) => Number(new RegExp(`^aof_${name}:(\\d+)`, 'm').exec(text)?.[1]);
  return {
    isRewritten: value('rewrite_in_progress') + value('rewrite_scheduled') > 0,
    grownBy: value('current_size') - value('base_size'),
  };
}
