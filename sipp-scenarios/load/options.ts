import { CommanderError } from 'commander';
import type { Scenario } from '../scenarios.js';
import { CHAOS_LEAST_S } from './chaos.js';
import type { Course } from './drive.js';
import type { Address, Transport } from './pairs.js';
import type { Target } from './run.js';

/** What the command line says, times in s. */
export interface LoadOptions {
  scenario: Scenario;
  rate: number;
  duration: number;
  warmUp: number;
  hold: number;
  pairs: number;
  transport: Transport;
  number?: string;
  findMax?: true;
  mix?: string;
  soak?: number;
  chaos?: true;
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

/** Longer runs are looked at less often, in s. */
const LONG_S = 120;
const SAMPLE_LONG_S = 5;

/** @throws CommanderError where chaos has too little time */
export function courseOf({ warmUp: warmUpS, duration, soak, chaos }: LoadOptions): Course {
  const durationS = soak ?? duration;
  if (chaos && durationS < CHAOS_LEAST_S) {
    throw usage(
      `--chaos needs a --duration or --soak of at least ${CHAOS_LEAST_S}s, for each fault and its recovery`,
    );
  }
  return { warmUpS, durationS, sampleS: durationS >= LONG_S && !chaos ? SAMPLE_LONG_S : 1 };
}

/** @throws CommanderError where options that belong together are not */
export function targetOf(options: LoadOptions): Target | undefined {
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
  if (options.chaos) throw usage('--chaos breaks parts of a stack of its own: leave --target out');
  if (options.mix !== undefined)
    throw usage('--mix needs numbers and gateways of its own: leave --target out');
  if (api !== undefined && token === undefined) {
    throw usage('--api needs a token with the scope read: give --token or set API_TOKEN');
  }
  return {
    sip,
    callerHost,
    ...(callee !== undefined && { callee }),
    ...(api !== undefined && { api }),
    ...(token !== undefined && { token }),
  };
}

export function usage(message: string): CommanderError {
  process.stderr.write(`error: ${message}\n`);
  return new CommanderError(2, 'load.usage', message);
}
