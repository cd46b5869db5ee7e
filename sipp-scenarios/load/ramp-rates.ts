import { createSocket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import type { Caller } from './caller.js';
import type { Course, Leg, Underway } from './drive.js';
import { factorAt, type RampPoint } from './ramp.js';

/** Between two looks whether a rate is to be changed, in ms. */
const LOOK_MS = 500;
/** A rate stays for so many calls as a rule, but not for longer than this share of the duration, nor less than 1 s. */
const CALLS = 4;
const MOST_SHARE = 1 / 15;
const LEAST_S = 1;
/** SIPp counts anew with each change, and rounds down: so many calls are lost by it, on average. */
const LOST = 0.5;

/** What a caller is told, and for how long that holds. */
export interface RateStep {
  /** Calls a second. */
  rate: number;
  seconds: number;
}

/** What to tell a caller that is to place `rate` calls a second. @param durationS the steady window, in s */
export function rateStep(rate: number, durationS: number): RateStep {
  if (!(rate > 0)) return { rate: 0, seconds: LEAST_S };
  const seconds = Math.max(LEAST_S, Math.min(durationS * MOST_SHARE, CALLS / rate));
  return { rate: rate + LOST / seconds, seconds };
}

/** Changes the rate of every caller, by SIPp's control socket, so that it follows the ramp. */
export function followRamp(ramp: readonly RampPoint[], legs: readonly Leg[], { warmUpS, durationS }: Course) {
  return async ({ startedMs, callers, signal }: Underway): Promise<void> => {
    const socket = createSocket('udp4');
    const nextChange = new Map<Caller, number>();
    try {
      while (!signal.aborted) {
        const at = (Date.now() - startedMs) / 1000;
        const factor = factorAt(ramp, (at - warmUpS) / durationS);
        for (const [i, some] of callers.entries()) {
          for (const caller of some) {
            if (at < (nextChange.get(caller) ?? 0)) continue;
            const step = rateStep(((legs[i]?.stream.rate ?? 0) * factor) / some.length, durationS);
            nextChange.set(caller, at + step.seconds);
            socket.send(`cset rate ${step.rate.toFixed(4)}`, caller.controlPort, '127.0.0.1');
          }
        }
        await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      socket.close();
    }
  };
}
