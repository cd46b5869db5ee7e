import { setTimeout as delay } from 'node:timers/promises';
import type { SippResult } from '../sipp-scenarios/sipp.js';
import { eventually } from '../test/harness/await.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { cpusDuring } from './cpu.js';
import {
  eventLag,
  type HangupScene,
  holdCalls,
  partsOf,
  startHangupScene,
  startLoad,
  startLoadCarrier,
} from './hangup-scene.js';
import { byesFromRecord, byesTwice, oneSided } from './held-calls.js';
import { type Summary, summarise } from './statistics.js';

export interface HangupOptions {
  /** Calls that are ended by one POST /v1/hangups. */
  calls: number;
  /** Hangups a second in it. */
  rate: number;
  /** Calls that are ended one by one in each series. */
  samples: number;
  /** How long each rate of the ramp is kept up, in s. */
  step: number;
}

/** From the API request on, in ms. */
export interface HangupTimes {
  /** Until the BYE is with the first leg, and with the second. */
  first: Summary;
  second: Summary;
  /** Until the API has answered, with the outcome on the wire. */
  answer: Summary;
}

/** Calls in the background at one rate. */
export interface LoadStep {
  rate: number;
  clean: boolean;
  result: SippResult;
  /** Events that the control plane had not read 2 s after the last call. */
  lag: number;
  /** CPUs that each part used. */
  cpus: Record<string, number>;
}

export interface ManyAtOnce {
  calls: number;
  /** From the request to the last outcome, as the job says, in ms. */
  jobMs: number;
  /** From the request to the last BYE at a leg, in ms. */
  wireMs: number;
  outcomes: Record<string, number>;
  oneSided: number;
  fromRecord: number;
  twice: number;
  /** CPUs that each part used meanwhile. */
  cpus: Record<string, number>;
}

export interface HangupFigures {
  options: HangupOptions;
  idle: HangupTimes;
  steps: LoadStep[];
  loaded: HangupTimes & { rate: number; load: SippResult };
  many: ManyAtOnce;
}

/** Rates of the ramp, in calls a second. */
const RAMP = [50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1300, 1600];
/** Before hangups are measured, in ms: the load has its calls up by then. */
const SETTLE_MS = 1500;

/**
 * Measures hangups one by one, with nothing else going on and at half the highest call rate, and many at once.
 *
 * @throws Error where calls do not come up or a part does not
 */
export async function measureHangup(options: HangupOptions): Promise<HangupFigures> {
  const cleanup = new Cleanup();
  try {
    const scene = await startHangupScene(cleanup);
    await startLoadCarrier(cleanup, scene);
    await holdCalls(scene, 50);
    await oneByOne(scene);
    await holdCalls(scene, options.samples);
    const idle = await oneByOne(scene);

    const steps = await ramp(cleanup, scene, options.step);
    const highest = steps.filter(({ clean }) => clean).at(-1)?.rate;
    if (highest === undefined) throw new Error('no rate of the ramp is clean');
    const rate = Math.round(highest / 2);
    await holdCalls(scene, options.samples);
    const seconds = 5 + Math.ceil(options.samples / 20);
    const load = await startLoad(cleanup, scene, { rate, seconds });
    await delay(SETTLE_MS);
    const loaded = { rate, ...(await oneByOne(scene)), load: await load.result() };

    await holdCalls(scene, options.calls);
    return { options, idle, steps, loaded, many: await manyAtOnce(scene, options) };
  } finally {
    await cleanup.run();
  }
}

/** Ends the calls that are up, one after the other. */
async function oneByOne({ stack, held }: HangupScene): Promise<HangupTimes> {
  const requests = new Map<string, { sent: number; answered: number }>();
  for (const { id } of await held.calls()) {
    const sent = now();
    const { status, body } = await stack.api.post(`/v1/calls/${id}/hangup`);
    requests.set(id, { sent, answered: now() });
    if (status !== 200 || body.outcome !== 'ended') {
      throw new Error(`the hangup of ${id} answers ${status} ${body.outcome ?? body.code}`);
    }
  }
  const calls = await held.calls();
  const times = calls.map(({ id, caller, callee }) => {
    const { sent = 0, answered = 0 } = requests.get(id) ?? {};
    const [first = 0, second = 0] = [caller, callee]
      .map(({ byeAt = 0 }) => byeAt - sent)
      .sort((a, b) => a - b);
    return { first, second, answer: answered - sent };
  });
  return {
    first: summarise(times.map(({ first }) => first)),
    second: summarise(times.map(({ second }) => second)),
    answer: summarise(times.map(({ answer }) => answer)),
  };
}

/** Higher and higher rates, until one is not clean twice in a row: something else may disturb the machine once. */
async function ramp(t: Cleanup, scene: HangupScene, seconds: number): Promise<LoadStep[]> {
  const steps: LoadStep[] = [];
  for (const rate of RAMP) {
    const load = { rate, seconds };
    const first = await loadStep(t, scene, load);
    const step = first.clean ? first : await loadStep(t, scene, load);
    steps.push(step);
    if (!step.clean) break;
  }
  await eventually('no events left', async () => (await eventLag(scene)) === 0, 60_000);
  return steps;
}

/** A rate is clean where no call fails, hardly a message is repeated, and the control plane keeps up. */
async function loadStep(
  t: Cleanup,
  scene: HangupScene,
  { rate, seconds }: { rate: number; seconds: number },
): Promise<LoadStep> {
  const load = await startLoad(t, scene, { rate, seconds });
  const parts = { ...partsOf(scene), SIPp: load.pid };
  const { cpus } = await cpusDuring(parts, () => delay(seconds * 1000));
  const result = await load.result();
  await delay(2000);
  const lag = await eventLag(scene);
  const clean =
    result.successful === rate * seconds && result.retransmissions <= result.created / 100 && lag === 0;
  return { rate, clean, result, lag, cpus };
}

async function manyAtOnce(scene: HangupScene, { calls, rate }: HangupOptions): Promise<ManyAtOnce> {
  const { held } = scene;
  const sent = now();
  const { result: job, cpus } = await cpusDuring(partsOf(scene), () => runJob(scene, rate));
  const seen = await held.calls();
  const last = Math.max(
    ...seen.flatMap(({ caller, callee }) => [caller.byeAt ?? sent, callee.byeAt ?? sent]),
  );
  return {
    calls,
    jobMs: Date.parse(job.finished_at) - Date.parse(job.created_at),
    wireMs: last - sent,
    outcomes: job.outcomes,
    oneSided: oneSided(seen),
    fromRecord: byesFromRecord(seen),
    twice: byesTwice(seen),
    cpus,
  };
}

/** Ends all calls that are up by one hangup job, and resolves with the job once it is done. */
async function runJob({ stack }: HangupScene, rate: number) {
  const made = await stack.api.post('/v1/hangups', { filter: { carrier: 'acme' }, rate });
  if (made.status !== 202) throw new Error(`POST /v1/hangups answers ${made.status}`);
  return eventually(
    'the end of the job',
    async () => {
      const { body } = await stack.api.get(`/v1/hangups/${made.body.id}`);
      return body.state === 'done' && body;
    },
    120_000,
  );
}
