import { callRefOf, MAX_LISTED_CALLS, type RetellApi, type RetellCall } from '../retell/api.js';
import { RetellError } from '../retell/errors.js';
import type { Call } from './call.js';
import type { OpenRecord, OpenRecords } from './open-records.js';
import type { FindingAction, FindingKind, Findings } from './reconciler-findings.js';
import type { CallStore } from './store.js';

/** Longest wait for one page of Retell's list, in ms. */
const PAGE_MS = 10_000;
/** Calls that are looked into, of each sort, in one run: each may take a request to Retell. */
const CHECKS = 100;

/** What became of a call that was looked into (retell/reaper.ts). */
export type ReapOutcome = 'clean' | 'observed' | 'ended' | 'failed' | 'off';

const ACTIONS: Record<Exclude<ReapOutcome, 'clean'>, FindingAction> = {
  ended: 'healed',
  observed: 'observed',
  failed: 'failed',
  off: 'reported',
};

/** What a run says of Retell. */
export interface RetellReport {
  /** Calls that Retell counts as ongoing, in all of the workspace; null where it was not asked, or did not answer. */
  ongoing: number | null;
  /** Those of them that have a record here. */
  ours: number | null;
  /** Why it was not asked. */
  skipped: string | null;
  error: string | null;
}

export interface RetellReconcilerOptions {
  /** Whether there is a key to ask Retell with. */
  configured: () => boolean;
  api: Pick<RetellApi, 'listOngoingCalls'>;
  store: CallStore;
  records: OpenRecords;
  /** Look into one call, ask again, and do what the configuration says. */
  reaper: {
    checkRetell(id: string): Promise<ReapOutcome>;
    checkHere(id: string): Promise<ReapOutcome>;
  };
  /** How long the other side may take to end a call, in ms. */
  graceMs: () => number;
}

/** Compares Retell's ongoing calls with the records, and has the reaper look into what differs. */
export class RetellReconciler {
  readonly #o: RetellReconcilerOptions;

  constructor(options: RetellReconcilerOptions) {
    this.#o = options;
  }

  /** Compares once. A Retell that does not answer is said so in the report. @throws where Redis does not answer */
  async run(findings: Findings, signal: AbortSignal): Promise<RetellReport> {
    const report: RetellReport = { ongoing: null, ours: null, skipped: null, error: null };
    if (!this.#o.configured()) return { ...report, skipped: 'retell.api_key is not set' };
    const before = Date.now();
    let ongoing: RetellCall[];
    try {
      ongoing = await this.#o.api.listOngoingCalls({ timeoutMs: PAGE_MS, signal });
    } catch (error) {
      if (!(error instanceof RetellError)) throw error;
      return { ...report, error: error.message };
    }
    const refs = await this.#refs(ongoing);
    const open = await this.#o.records.read();
    const openIds = new Set(open.map(({ id }) => id));
    const others = await this.#o.store.getAll([...refs].filter((id) => !openIds.has(id)));
    const ended = others.filter((call) => call !== undefined);
    report.ongoing = ongoing.length;
    report.ours = refs.size - others.length + ended.length;
    const graceEnd = before - this.#o.graceMs();
    const lingering = ended.filter(({ ended_at = Number.POSITIVE_INFINITY }) => ended_at < graceEnd);
    await this.#check('retell_lingers', lingering, findings, signal);
    // A list that was cut says nothing of the calls that are not in it.
    if (ongoing.length >= MAX_LISTED_CALLS) return report;
    const unlisted = open.filter(({ id, sinceMs }) => !refs.has(id) && sinceMs < graceEnd);
    const over = await this.#over(unlisted, new Set(ongoing.map(({ call_id }) => call_id)), graceEnd);
    await this.#check('retell_over', over, findings, signal);
    return report;
  }

  /** Our ids of those of the calls that may be ours: they say so themselves, or a record knows Retell's id. */
  async #refs(ongoing: readonly RetellCall[]): Promise<Set<string>> {
    const ids = await Promise.all(
      ongoing.map((call) => callRefOf(call) ?? this.#o.store.idOfRetellCallId(call.call_id)),
    );
    return new Set(ids.filter((id) => id !== undefined));
  }

  /** Those of the open calls that should be in Retell's list, as they were answered before it was made. */
  async #over(
    unlisted: readonly OpenRecord[],
    listed: ReadonlySet<string>,
    answeredBefore: number,
  ): Promise<Call[]> {
    const names = await this.#o.records.retellCallIds(unlisted);
    const ids = [...names].filter(([, name]) => !listed.has(name)).map(([id]) => id);
    return (await this.#o.store.getAll(ids)).filter(
      (call): call is Call =>
        call?.answered_at !== undefined &&
        call.ended_at === undefined &&
        call.answered_at < answeredBefore &&
        // The fallback answered, and Retell never had the call.
        !call.timeline.some(({ type }) => type === 'fallback'),
    );
  }

  async #check(
    kind: FindingKind & ('retell_lingers' | 'retell_over'),
    calls: readonly Call[],
    findings: Findings,
    signal: AbortSignal,
  ): Promise<void> {
    const { reaper } = this.#o;
    for (const { id, node } of calls.slice(0, CHECKS)) {
      signal.throwIfAborted();
      const outcome = await (kind === 'retell_lingers' ? reaper.checkRetell(id) : reaper.checkHere(id));
      if (outcome === 'clean') continue;
      findings.add({ kind, call_id: id, node, action: ACTIONS[outcome], detail: DETAILS[kind] });
    }
  }
}

const DETAILS = {
  retell_lingers: 'it has ended here, and Retell counts it as ongoing',
  retell_over: 'it is up here, and Retell does not count it as ongoing',
} as const;
