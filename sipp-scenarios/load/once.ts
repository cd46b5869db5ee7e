import { writeFile } from 'node:fs/promises';
import { CommanderError } from 'commander';
import { Cleanup } from '../../bench/cleanup.js';
import { describeMachine } from '../../bench/machine.js';
import type { Scenario } from '../scenarios.js';
import { commandLine } from './command-line.js';
import { useOf } from './figures.js';
import type { Address, Transport } from './pairs.js';
import { ProgressBar } from './progress.js';
import { type RunReport, reportText } from './report.js';
import { reportPage } from './report-page.js';
import { runLoad, type Target } from './run.js';
import { problemsOf } from './verdict.js';

/** What the command line says, times in s. */
export interface OnceOptions {
  scenario: Scenario;
  rate: number;
  duration: number;
  warmUp: number;
  hold: number;
  pairs: number;
  transport: Transport;
  maxFailed: number;
  maxSrdP99?: number;
  json?: string;
  html?: string;
  target?: Address;
  callerAddress: string;
  calleeListen?: Address;
  api?: string;
  token?: string;
}

/** One run at one rate, with its reports. @returns whether it was fine */
export async function loadOnce(options: OnceOptions): Promise<boolean> {
  const target = targetOf(options);
  const { scenario, rate, pairs, transport, maxFailed, maxSrdP99 } = options;
  const holdMs = options.hold * 1000;
  const course = { warmUpS: options.warmUp, durationS: options.duration };
  const cleanup = new Cleanup();
  const bar = new ProgressBar();
  try {
    const machine = await describeMachine();
    const startedAt = new Date().toISOString();
    bar.say(`${scenario.name}: ${scenario.summary}`);
    const result = await runLoad(
      cleanup,
      { scenario, rate, holdMs, pairs, transport, course, ...(target !== undefined && { target }) },
      (progress) => bar.show(progress),
    );
    bar.end();
    const end = options.warmUp + options.duration;
    const steady = result.samples.filter(({ at }) => at > options.warmUp && at <= end + 1);
    const report: RunReport = {
      ...{ startedAt, machine, command: commandLine(), scenario: scenario.name },
      ...{ rate, holdMs, pairs, transport, warmUpS: options.warmUp, durationS: options.duration },
      ...result,
      use: useOf(steady),
      problems: problemsOf(result, rate, {
        maxFailed,
        ...(maxSrdP99 !== undefined && { maxSrdP99Ms: maxSrdP99 * 1000 }),
      }),
    };
    process.stdout.write(reportText(report));
    if (options.json !== undefined)
      await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
    if (options.html !== undefined) await writeFile(options.html, reportPage(report));
    return report.problems.length === 0;
  } finally {
    await cleanup.run();
  }
}

/** @throws CommanderError where options that belong together are not */
function targetOf(options: OnceOptions): Target | undefined {
  const { target: sip, callerAddress: callerHost, calleeListen: callee, api } = options;
  const token = options.token ?? process.env.API_TOKEN;
  if (sip === undefined) {
    for (const [name, value] of Object.entries({
      '--api': api,
      '--callee-listen': callee,
      '--token': options.token,
    })) {
      if (value !== undefined)
        throw usage(`${name} is for a stack that runs already: give --target host:port too`);
    }
    return undefined;
  }
  if (callee === undefined) {
    throw usage(
      '--target needs --callee-listen host:port, the gateway in its configuration that the calls are sent to',
    );
  }
  if (api !== undefined && token === undefined) {
    throw usage('--api needs a token with the scope read: give --token or set API_TOKEN');
  }
  return {
    sip,
    callerHost,
    callee,
    ...(api !== undefined && { api }),
    ...(token !== undefined && { token }),
  };
}

function usage(message: string): CommanderError {
  process.stderr.write(`error: ${message}\n`);
  return new CommanderError(2, 'load.usage', message);
}
