import { useOf } from './figures.js';
import { type LoadOptions, targetOf } from './options.js';
import { headOf, withParts, writeReport } from './outputs.js';
import { ProgressBar } from './progress.js';
import { type RunReport, reportText } from './report.js';
import { reportPage } from './report-page.js';
import { runLoad } from './run.js';
import { problemsOf } from './verdict.js';

/** One run at one rate, with its reports. @returns whether it was fine */
export async function loadOnce(options: LoadOptions): Promise<boolean> {
  const target = targetOf(options);
  const { scenario, rate, pairs, transport, maxFailed, maxSrdP99 } = options;
  const { warmUp: warmUpS, duration: durationS } = options;
  const holdMs = options.hold * 1000;
  const bar = new ProgressBar();
  const head = await headOf();
  bar.say(`${scenario.name}: ${scenario.summary}`);
  const result = await withParts((parts) =>
    runLoad(
      parts,
      {
        ...{ scenario, rate, holdMs, pairs, transport, course: { warmUpS, durationS } },
        ...(target !== undefined && { target }),
      },
      (progress) => bar.show(progress),
    ),
  );
  bar.end();
  const steady = result.samples.filter(({ at }) => at > warmUpS && at <= warmUpS + durationS + 1);
  const thresholds = { maxFailed, ...(maxSrdP99 !== undefined && { maxSrdP99Ms: maxSrdP99 * 1000 }) };
  const report: RunReport = {
    ...head,
    ...{ scenario: scenario.name, rate, holdMs, pairs, transport, warmUpS, durationS },
    ...result,
    use: useOf(steady),
    problems: problemsOf(result, rate, thresholds),
  };
  await writeReport(report, { text: reportText, page: reportPage }, options);
  return report.problems.length === 0;
}
