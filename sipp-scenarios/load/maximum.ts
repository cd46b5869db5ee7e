import { findMax } from './find-max.js';
import { findMaxPage, findMaxReport, findMaxText } from './find-max-report.js';
import { type LoadOptions, usage } from './options.js';
import { headOf, withParts, writeReport } from './outputs.js';
import { ProgressBar } from './progress.js';

/** The highest clean rates, with their reports. @returns whether all budgets are met and all calls have a record */
export async function loadMaximum(options: LoadOptions): Promise<boolean> {
  const { scenario, pairs, duration: durationS, hold } = options;
  if (options.target !== undefined) throw usage('--find-max starts all that it compares: leave --target out');
  for (const name of ['mix', 'soak', 'chaos'] as const) {
    if (options[name] !== undefined) throw usage(`--find-max and --${name} are two runs: give one of them`);
  }
  if (options.transport !== 'udp') throw usage('--find-max compares over UDP alone: leave --transport out');
  if (scenario.callee === undefined || scenario.command !== undefined || scenario.digest !== undefined) {
    throw usage(`--find-max needs a scenario that a bare Kamailio can carry, which ${scenario.name} is not`);
  }
  const head = await headOf();
  const what = { scenario, pairs, durationS, holdMs: hold * 1000 };
  const result = await withParts((parts) => findMax(parts, what, new ProgressBar()));
  const report = findMaxReport(head, what, result);
  await writeReport(report, { text: findMaxText, page: findMaxPage }, options);
  return report.problems.length === 0;
}
