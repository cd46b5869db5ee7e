import type { TestLike } from '../../test/harness/stack.js';
import { lingerOf } from '../scenarios.js';
import type { Callee } from './callees.js';
import type { Contender, ContenderName } from './contenders.js';
import { drive, type Progress } from './drive.js';
import { sumByKind, useOf } from './figures.js';
import type { Placement, Stream } from './pairs.js';
import { isSteady } from './run.js';
import { saturationOf } from './saturation.js';
import type { System } from './system.js';

/** One contender at one rate. */
export interface Trial {
  contender: ContenderName;
  rate: number;
  /** Of the steady window, in s. */
  seconds: number;
  isClean: boolean;
  /** Why it is not clean. */
  trouble: string | null;
  placed: number;
  failed: number;
  attemptsPerSecond: number;
  /** For each call placed. */
  retransmissions: number;
  /** CPUs of each kind of part. */
  cpus: Record<string, number>;
  /** Share of the machine's CPUs that were busy or taken by others. */
  busy: number;
  /** Its Call-IDs begin with it. */
  callIdPrefix: string;
  /** What was at its limit first; null for nothing. */
  saturated: string | null;
}

export interface TrialScene {
  placement: Placement;
  callees: readonly Callee[];
  stream: Omit<Stream, 'rate'>;
  callIdPrefix: string;
}

/** A clean trial places at least this part of the calls. */
const RATE_REACHED = 0.97;
/** Calls that are up at once beyond this factor of what the rate explains pile up. */
const PILE = 2;
/** Beyond a call's length: its setup, and one lost message that was sent again, in s. */
const SETUP_S = 0.6;

/** Places calls at a rate, and no more once it is seen that they do not get through. */
export async function tryRate(
  t: TestLike,
  scene: TrialScene,
  contender: Contender,
  rate: number,
  { warmUpS, durationS }: { warmUpS: number; durationS: number },
  onProgress: (progress: Progress) => void,
): Promise<Trial> {
  const { placement, callees, stream, callIdPrefix } = scene;
  const explained = rate * (stream.holdMs / 1000 + SETUP_S + lingerOf(stream.scenario));
  const droppedBefore = (await eventsDropped(contender.system)) ?? 0;
  let trouble: string | undefined;
  const { totals, steady, samples } = await drive(t, {
    placement,
    legs: [contender.legOf({ ...stream, rate })],
    callees,
    system: contender.system,
    course: { warmUpS, durationS },
    callIdPrefix,
    onProgress,
    isImpatient: true,
    isOver: ({ totals: { placed, completed, failed } }) => {
      const up = placed - completed - failed;
      if (failed > 0) trouble = `${failed} calls failed`;
      else if (up > explained * PILE) trouble = `calls pile up: ${up} at once`;
      return trouble !== undefined;
    },
  });
  const lost = totals.failed + totals.unfinished;
  if (lost > 0) {
    const [reason] = Object.entries(totals.reasons).sort(([, a], [, b]) => b - a);
    trouble = `${lost} calls failed${reason === undefined ? '' : `, most for ${reason[0]}`}`;
  }
  if (trouble === undefined && steady.attemptsPerSecond < rate * RATE_REACHED) {
    trouble = `the callers placed ${steady.attemptsPerSecond.toFixed(0)} calls/s`;
  }
  if (trouble === undefined) {
    const dropped = ((await eventsDropped(contender.system)) ?? droppedBefore) - droppedBefore;
    if (dropped > 0) trouble = `${dropped} call events were dropped`;
  }
  const inWindow = samples.filter(({ at }) => isSteady(at, { warmUpS, durationS }));
  const use = useOf(inWindow);
  // What is not clean may be over before its window.
  const saturation = saturationOf(trouble === undefined ? inWindow : samples);
  return {
    callIdPrefix,
    contender: contender.name,
    rate,
    seconds: durationS,
    isClean: trouble === undefined,
    trouble: trouble ?? null,
    placed: totals.placed,
    failed: lost,
    attemptsPerSecond: steady.attemptsPerSecond,
    retransmissions: totals.retransmissions / Math.max(1, totals.placed),
    cpus: { ...sumByKind(use.cpus), others: use.others },
    busy: use.busy + use.stolen,
    saturated: saturation[0]?.what ?? null,
  };
}

/** Events that had no room in Kamailio's queue since it started; undefined where there is none, or nobody says. */
export async function eventsDropped(system: System): Promise<number | undefined> {
  return (await system.metrics())?.sum('retell_proxy_kamailio_events_dropped_total');
}
