import { countsAt, type SippCounts, sumCounts } from '../sipp-statistics.js';
import type { Caller } from './caller.js';
import { type Percentiles, ResponseTimes } from './response-times.js';

/** All calls of a run, from the first to the end of the last. */
export interface CallTotals {
  placed: number;
  /** Calls that went as their scenario says. */
  completed: number;
  failed: number;
  /** Failed calls by SIPp's reasons. */
  reasons: Record<string, number>;
  /** Calls that went on when the run was given up. */
  unfinished: number;
  /** Messages that the callers sent again for want of an answer. */
  retransmissions: number;
}

/** The steady window. */
export interface SteadyFigures {
  seconds: number;
  attempts: number;
  attemptsPerSecond: number;
  /** Calls that failed or did not end, from the window's start until the last call was over. */
  failed: number;
  retransmissions: number;
  /** Session request delay in ms; null where no call had a response. */
  srdMs: Percentiles | null;
}

/** One second of the run. */
export interface Second {
  /** Its start, in seconds since calls began. */
  at: number;
  started: number;
  completed: number;
  failed: number;
  srdMs: Percentiles | null;
}

/** The calls that some callers place, as they come to be known. */
export class Calls {
  readonly #callers: readonly Caller[];
  readonly #startedMs: number;
  readonly #times = new ResponseTimes();
  #unfinished = 0;

  constructor(callers: readonly Caller[], startedMs: number) {
    this.#callers = callers;
    this.#startedMs = startedMs;
  }

  /** Reads what SIPp has written since the last time. */
  async poll(): Promise<void> {
    for (const caller of this.#callers) {
      for (const { atMs, srdMs } of await caller.poll()) {
        this.#times.add((atMs - this.#startedMs) / 1000, srdMs);
      }
    }
  }

  /** Has no further calls placed, and waits for the end of those that go on, so many ms at most. */
  async stop(waitMs: number): Promise<void> {
    const left = await Promise.all(this.#callers.map((caller) => caller.stop(waitMs)));
    this.#unfinished = left.reduce((sum, count) => sum + count, 0);
    await this.poll();
  }

  totals(): CallTotals {
    return this.#totalsOf(this.#callers, this.#unfinished);
  }

  /** What some of the callers have placed. */
  totalsOf(callers: readonly Caller[]): Omit<CallTotals, 'unfinished'> {
    const { unfinished: _, ...totals } = this.#totalsOf(callers, 0);
    return totals;
  }

  #totalsOf(callers: readonly Caller[], unfinished: number): CallTotals {
    const { created, successful, failed, reasons, retransmissions } = sumCounts(
      callers.flatMap(({ rows }) => rows.at(-1) ?? []),
    );
    return { placed: created, completed: successful, failed, reasons, unfinished, retransmissions };
  }

  /** The window from one second to another. */
  steady(from: number, to: number): SteadyFigures {
    const [before, after, end] = [this.#at(from), this.#at(to), this.totals()];
    const attempts = Math.round(after.created - before.created);
    return {
      seconds: to - from,
      attempts,
      attemptsPerSecond: attempts / (to - from),
      failed: Math.round(end.failed - before.failed) + end.unfinished,
      retransmissions: Math.round(after.retransmissions - before.retransmissions),
      srdMs: this.#times.percentiles(from, to) ?? null,
    };
  }

  /** The seconds from one to another. */
  seconds(from: number, to: number): Second[] {
    return Array.from({ length: Math.max(0, Math.ceil(to) - from) }, (_, i) => {
      const at = from + i;
      const [before, after] = [this.#at(at), this.#at(at + 1)];
      return {
        at,
        started: after.created - before.created,
        completed: after.successful - before.successful,
        failed: after.failed - before.failed,
        srdMs: this.#times.percentiles(at, at + 1) ?? null,
      };
    });
  }

  #at(second: number): SippCounts {
    return sumCounts(this.#callers.map(({ rows }) => countsAt(rows, this.#startedMs + second * 1000)));
  }
}
