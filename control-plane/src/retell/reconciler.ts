import type { Call } from '../calls/call.js';
import type { OpenRecord, OpenRecords } from '../calls/open-records.js';
import type { FindingAction, Findings } from '../calls/reconciler/findings.js';
import type { RetellReport } from '../calls/reconciler/reconciler.js';
import { matchFields } from '../calls/record.js';
import type { CallStore, Merge } from '../calls/store.js';
import { callRefOf, MAX_LISTED_CALLS, type RetellApi, type RetellCall } from './api.js';
import { RetellError } from './errors.js';
import type { Reaper, ReapOutcome } from './reaper.js';

/** Longest wait for one page of Retell's list, in ms. */
const PAGE_MS = 10_000;
/** Calls that are looked into, of each sort, in one run: each may take a request to Retell. */
const CHECKS = 100;

const ACTIONS: Record<Exclude<ReapOutcome, 'clean'>, FindingAction> = {
  ended: 'healed',
  observed: 'observed',
  failed: 'failed',
  off: 'reported',
};

export interface RetellReconcilerOptions {
  /** Whether there is a key to ask Retell with. */
  configured: () => boolean;
  api: Pick<RetellApi, 'listOngoingCalls'>;
  store: CallStore;
  records: OpenRecords;
  /** Looks into one call, asks again, and does what the configuration says. */
  reaper: Pick<Reaper, 'checkRetell' | 'checkHere'>;
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
    const graceEnd = Date.now() - this.#o.graceMs();
    let ongoing: RetellCall[];
    try {
      ongoing = await this.#o.api.listOngoingCalls({ timeoutMs: PAGE_MS, signal });
    } catch (error) {
      if (!(error instanceof RetellError)) throw error;
      return { ...report, error: error.message };
    }
    report.ongoing = ongoing.length;
    const open = await this.#o.records.read();
    const names = await this.#o.records.retellCallIds(open);
    const { ours, ended } = await this.#ours(ongoing, names);
    report.ours = ours.size;
    const lingering = ended.filter(({ ended_at = Number.POSITIVE_INFINITY }) => ended_at < graceEnd);
    await this.#check('retell_lingers', lingering, findings, signal);
    // A list that was cut says nothing of the calls that are not in it.
    if (ongoing.length >= MAX_LISTED_CALLS) return report;
    const unlisted = open.filter(({ id, sinceMs }) => names.has(id) && !ours.has(id) && sinceMs < graceEnd);
    await this.#check('retell_over', await this.#answered(unlisted, graceEnd), findings, signal);
    return report;
  }

  /**
   * Which of Retell's calls are ours, by our ids, and the records of those that have ended here. A call is ours where
   * its record knows it by Retell's id, or does not know one yet and the call carries our id: then it is written.
   *
   * @param names Retell's ids of the open calls, by ours
   */
  async #ours(
    ongoing: readonly RetellCall[],
    names: ReadonlyMap<string, string>,
  ): Promise<{ ours: Set<string>; ended: Call[] }> {
    const { store } = this.#o;
    const ids = await Promise.all(
      ongoing.map((call) => callRefOf(call)?.id ?? store.idOfRetellCallId(call.call_id)),
    );
    const ours = new Set<string>();
    const unsure = new Map<string, RetellCall>();
    for (const [i, call] of ongoing.entries()) {
      const id = ids[i];
      if (id === undefined) continue;
      if (names.get(id) === call.call_id) ours.add(id);
      else unsure.set(id, call);
    }
    const ended: Call[] = [];
    const learned: Merge[] = [];
    for (const call of await store.getAll([...unsure.keys()])) {
      const told = unsure.get(call?.id ?? '');
      if (call === undefined || told === undefined || !isSame(call, told)) continue;
      ours.add(call.id);
      if (call.ended_at !== undefined) ended.push(call);
      const place = callRefOf(told)?.place;
      if (call.retell_call_id === undefined && place !== undefined) {
        const fields = matchFields(told.call_id, place);
        learned.push({ id: call.id, atMs: call.created_at, fields });
      }
    }
    await store.merge(learned);
    return { ours, ended };
  }

  /** Those of the open calls that should be in Retell's list, as they were answered before it was made. */
  async #answered(unlisted: readonly OpenRecord[], before: number): Promise<Call[]> {
    return (await this.#o.store.getAll(unlisted.map(({ id }) => id))).filter(
      (call): call is Call =>
        call?.answered_at !== undefined &&
        call.ended_at === undefined &&
        call.answered_at < before &&
        // The fallback answered, and Retell never had the call.
        !call.timeline.some(({ type }) => type === 'fallback'),
    );
  }

  async #check(
    kind: 'retell_lingers' | 'retell_over',
    calls: readonly Call[],
    findings: Findings,
    signal: AbortSignal,
  ): Promise<void> {
    const { reaper } = this.#o;
    for (const { id, node } of calls.slice(0, CHECKS)) {
      signal.throwIfAborted();
      const finding = { kind, call_id: id, node };
      try {
        const outcome = await (kind === 'retell_lingers'
          ? reaper.checkRetell(id, 'reconciler')
          : reaper.checkHere(id, 'reconciler'));
        if (outcome !== 'clean')
          findings.add({ ...finding, action: ACTIONS[outcome], detail: DETAILS[kind] });
      } catch (error) {
        const detail = `${DETAILS[kind]}: ${error instanceof Error ? error.message : error}`;
        findings.add({ ...finding, action: 'failed', detail });
      }
    }
  }
}

const DETAILS = {
  retell_lingers: 'it has ended here, and Retell counts it as ongoing',
  retell_over: 'it is up here, and Retell does not count it as ongoing',
} as const;

/** Anybody can dial Retell with a header like ours: it has to fit the call. */
function isSame(call: Call, told: RetellCall): boolean {
  if (call.retell_call_id !== undefined) return call.retell_call_id === told.call_id;
  const number = call.direction === 'inbound' ? told.to_number : told.from_number;
  return call.number !== undefined && call.number === number;
}
