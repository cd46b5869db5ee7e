import {
  CHAOS_GATEWAYS,
  CHAOS_RING_TIMEOUT_S,
  chaosEnd,
  type FaultTimes,
  faultFigures,
  faultTimes,
  playChaos,
} from './chaos.js';
import type { Course } from './drive.js';
import { useOf } from './figures.js';
import { leakProblems, leaksIn } from './leaks.js';
import { readMix } from './mix.js';
import { courseOf, type LoadOptions, targetOf } from './options.js';
import { headOf, withParts, writeReport } from './outputs.js';
import { ProgressBar } from './progress.js';
import { meanFactor } from './ramp.js';
import { type EntryFigures, type RunReport, reportText } from './report.js';
import { reportPage } from './report-page.js';
import { isSteady, type RunResult, runLoad } from './run.js';
import { meanHoldMs, mixedTraffic, plainTraffic, type Traffic } from './traffic.js';
import { problemsOf } from './verdict.js';

/** One run at one rate, with its reports. @returns whether it was fine */
export async function loadOnce(options: LoadOptions): Promise<boolean> {
  const target = targetOf(options);
  const course = courseOf(options);
  const traffic = await trafficOf(options);
  const { pairs, transport } = options;
  const bar = new ProgressBar();
  const head = await headOf();
  const times = options.chaos ? faultTimes(course) : [];
  for (const { scenario } of traffic.entries) bar.say(`${scenario.name}: ${scenario.summary}`);
  const result = await withParts((parts) =>
    runLoad(
      parts,
      {
        ...{ traffic, pairs, transport, course },
        ...(target !== undefined && { target }),
        ...(times.length > 0 && {
          gateways: Math.max(pairs, CHAOS_GATEWAYS),
          ringTimeoutS: CHAOS_RING_TIMEOUT_S,
          disturb: (system, callees, underway) =>
            playChaos(times, system, callees, underway, (text) => bar.say(text)),
        }),
      },
      (progress) => bar.show(progress),
    ),
  );
  bar.end();
  const report = { ...head, ...reportOf(options, traffic, course, result, times) };
  await writeReport(report, { text: reportText, page: reportPage }, options);
  return report.problems.length === 0;
}

async function trafficOf({ mix, scenario, rate, hold, number }: LoadOptions): Promise<Traffic> {
  const holdMs = hold * 1000;
  if (mix !== undefined) return mixedTraffic(await readMix(mix), { rate, holdMs });
  return plainTraffic({ scenario, rate, holdMs, ...(number !== undefined && { number }) });
}

function reportOf(
  options: LoadOptions,
  traffic: Traffic,
  course: Course,
  result: RunResult,
  times: readonly FaultTimes[],
): Omit<RunReport, 'startedAt' | 'machine' | 'command'> {
  const { pairs, transport, maxFailed, maxSrdP99, mix } = options;
  const hasRamp = traffic.ramp.length > 0;
  const rate = options.rate * (hasRamp ? meanFactor(traffic.ramp) : 1);
  const chaos = faultFigures(times, result.seconds);
  const end = course.warmUpS + course.durationS;
  const soakFrom = times.length > 0 ? chaosEnd(course) : course.warmUpS + course.durationS / 3;
  const soak = options.soak === undefined ? null : leaksIn(result.samples, soakFrom, end);
  const thresholds = { maxFailed, ...(maxSrdP99 !== undefined && { maxSrdP99Ms: maxSrdP99 * 1000 }) };
  return {
    title: mix === undefined ? options.scenario.name : 'a mix of calls',
    ...{ rate, pairs, transport },
    ...{ warmUpS: course.warmUpS, durationS: course.durationS },
    entries: traffic.entries.map((entry, i) => entryFigures(entry, result.legsOfEntries[i] ?? [], result)),
    ...result,
    use: useOf(result.samples.filter(({ at }) => isSteady(at, course))),
    chaos,
    soak,
    problems: [
      ...problemsOf(result, { rate, hasRamp }, thresholds, chaos),
      ...(soak === null ? [] : leakProblems(soak)),
    ],
  };
}

function entryFigures(
  entry: Traffic['entries'][number],
  legs: readonly number[],
  { legTotals }: RunResult,
): EntryFigures {
  const sum = (name: 'placed' | 'completed' | 'failed') =>
    legs.reduce((total, leg) => total + (legTotals[leg]?.[name] ?? 0), 0);
  return {
    scenario: entry.scenario.name,
    rate: entry.rate,
    meanHoldMs: meanHoldMs(entry),
    ...{ placed: sum('placed'), completed: sum('completed'), failed: sum('failed') },
  };
}
