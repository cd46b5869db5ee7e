import { type Scenario, scenarioNamed } from '../scenarios.js';
import { type CallLengths, lengthClasses } from './call-lengths.js';
import type { Mix } from './mix.js';
import { OTHER_NUMBER, OWN_NUMBER } from './pairs.js';
import type { RampPoint } from './ramp.js';

/** Calls of one scenario. */
export interface Entry {
  scenario: Scenario;
  /** Calls a second, over all pairs. */
  rate: number;
  /** How long calls are held, in ms; each is that of equally many. */
  holdsMs: readonly number[];
  /** What is dialled: by that the called side knows what to play. */
  number: string;
}

/** All calls of a run. */
export interface Traffic {
  entries: readonly Entry[];
  ramp: readonly RampPoint[];
}

/** Calls of one scenario at one rate. */
export function plainTraffic({
  scenario,
  rate,
  holdMs,
  number,
}: {
  scenario: Scenario;
  rate: number;
  holdMs: number;
  number?: string;
}): Traffic {
  const own = scenario.direction === 'inbound' ? OWN_NUMBER : OTHER_NUMBER;
  return { entries: [{ scenario, rate, holdsMs: [holdMs], number: number ?? own }], ramp: [] };
}

/** Calls of several scenarios, each to a number of its own. */
export function mixedTraffic(
  { calls, ramp }: Mix,
  { rate, holdMs }: { rate: number; holdMs: number },
): Traffic {
  const shares = calls.reduce((sum, { share }) => sum + share, 0);
  const unless: CallLengths = { mean_s: holdMs / 1000, distribution: 'fixed' };
  return {
    ramp,
    entries: calls.map(({ scenario, share, length = unless }, i) => ({
      scenario: scenarioNamed(scenario),
      rate: (rate * share) / shares,
      holdsMs: lengthClasses(length),
      number: numberOf(scenarioNamed(scenario).direction, i),
    })),
  };
}

/** Inbound calls go to our numbers from +14155550100 on, outbound ones to those from +14155550140 on. */
function numberOf(direction: Scenario['direction'], index: number): string {
  return `+141555501${String((direction === 'inbound' ? 0 : 40) + index).padStart(2, '0')}`;
}

/** Mean length of the calls, in ms. */
export function meanHoldMs({ holdsMs }: Pick<Entry, 'holdsMs'>): number {
  return holdsMs.reduce((sum, ms) => sum + ms, 0) / holdsMs.length;
}
