import { setTimeout as delay } from 'node:timers/promises';
import { dialogsIn } from './metrics-text.js';
import type { System } from './system.js';

/** What is left of a run once its calls are over. */
export interface Settled {
  /** Calls that have to have a record. */
  calls: number;
  /** Calls with a detail record; null where that cannot be had. */
  records: number | null;
  /** Dialogs that Kamailio still has; null where it does not say. */
  dialogsLeft: number | null;
  /** From the end of the last call until all was there and nothing left, or given up, in s. */
  seconds: number;
}

/** A detail record is written some 3 to 6 s after a call's end; without any progress for so long it is given up, in ms. */
const GIVE_UP_MS = 30_000;
const LOOK_MS = 500;

export interface SettleOptions {
  /** Calls that have to have a record. */
  calls: number;
  /** How many have one; undefined where that cannot be had. */
  countRecords: () => Promise<number | undefined>;
  /** Whether Kamailio may keep dialogs. Default false. */
  mayKeepDialogs?: boolean;
}

/** Waits until every call has its record and Kamailio has no dialog, as long as either comes nearer. */
export async function settle(
  system: System,
  { calls, countRecords, mayKeepDialogs = false }: SettleOptions,
): Promise<Settled> {
  const started = performance.now();
  let progressed = started;
  let before = '';
  for (;;) {
    const [records, metrics] = await Promise.all([countRecords(), system.metrics()]);
    const dialogs = metrics === undefined ? undefined : dialogsIn(metrics);
    const now = performance.now();
    const found = `${records} ${dialogs}`;
    if (found !== before) progressed = now;
    before = found;
    const hasRecords = records === undefined || records >= calls;
    const isDone = hasRecords && (mayKeepDialogs || dialogs === undefined || dialogs === 0);
    if (isDone || now - progressed > GIVE_UP_MS) {
      return {
        calls,
        records: records ?? null,
        dialogsLeft: dialogs ?? null,
        seconds: (now - started) / 1000,
      };
    }
    await delay(LOOK_MS);
  }
}
