import { setTimeout as delay } from 'node:timers/promises';
import { type DialogDetails, DialogTable, type NodeClock } from '../../kamailio/dialog-table.js';
import type { EventBacklog } from '../../kamailio/event-backlog.js';
import type { KamailioNode } from '../../kamailio/node.js';
import { isUnplaced } from '../call.js';
import { countOf, distance, type OpenRecord, type OpenRecords } from '../open-records.js';
import { type RecordFields, timeline } from '../record.js';
import type { CallStore, Merge } from '../store.js';
import { fieldsOfDialog } from './adoption.js';
import { type Closing, type Findings, judgeDialog, judgeRecord } from './findings.js';
import type { Zombie, Zombies } from './zombies.js';

/** A record follows its dialog within this time, in ms. */
const SETTLED_MS = 5000;
/** Between the two looks that have to find a difference, in ms. */
const SECOND_LOOK_MS = 1000;
/** The list of all dialogs is read up to this many: it costs a node 0.1 s. */
const LISTED_DIALOGS = 5000;
/** Dialogs that are looked up one by one, of each sort, in one run: 1 ms of the node each. */
const LOOKUPS = 500;
/** Longest time for one node, in ms. */
const NODE_DEADLINE_MS = 60_000;
/**
 * Two differences can cancel each other out, and calls on their way hide one: each so many runs are details
 * looked at where the numbers agree.
 */
const FULL_EVERY = 10;

/** What a run says of one node. */
export interface NodeReport {
  node: string;
  /** Dialogs that have not ended; null where the node did not answer. */
  dialogs: number | null;
  early_dialogs: number | null;
  /** Open records of the node. */
  records: number;
  /** Dialogs more than records, beyond what calls on their way explain; null where it is not known. */
  drift: number | null;
  /** Whether each dialog was compared with the records: not where the numbers agree, or there are too many. */
  compared: boolean;
  /** Calls that are suspicious and were left to the next runs. */
  postponed: number;
  /** Why nothing, or not all, was looked at and healed. */
  error: string | null;
}

export interface NodesReconcilerOptions {
  nodes: ReadonlyMap<string, KamailioNode>;
  store: CallStore;
  records: OpenRecords;
  backlog: EventBacklog;
  zombies: Zombies;
  /** How long an ended call's dialog may take to go, in ms. */
  graceMs: () => number;
  ringTimeoutMs: number;
  /** Told of a record that was made from a dialog, before it is written. */
  adopted: (record: Merge) => Promise<void>;
}

interface Compared {
  name: string;
  node: KamailioNode;
  table: DialogTable;
  report: NodeReport;
}

/** Compares the dialogs of every node with the records, and puts right what is safe. */
export class NodesReconciler {
  readonly #o: NodesReconcilerOptions;
  /** Age of the record at which the next run goes on, by node, where not all could be looked up. */
  readonly #continueAt = new Map<string, number>();
  #runs = 0;

  constructor(options: NodesReconcilerOptions) {
    this.#o = options;
  }

  /** Compares once. A node that does not answer says so in its report. @throws where Redis does not answer */
  async run(findings: Findings, signal: AbortSignal): Promise<NodeReport[]> {
    const all = [...this.#o.nodes].map(([name, node]): Compared => {
      const report: NodeReport = {
        node: name,
        dialogs: null,
        early_dialogs: null,
        records: 0,
        drift: null,
        compared: false,
        postponed: 0,
        error: null,
      };
      return { name, node, table: new DialogTable(node.rpc), report };
    });
    const full = this.#runs % FULL_EVERY === 0;
    this.#runs += 1;
    await this.#look(all);
    const drifting = all.filter(({ report }) => report.drift !== null && report.drift !== 0);
    if (drifting.length > 0) {
      await delay(SECOND_LOOK_MS, undefined, { signal });
      await this.#look(drifting);
    }
    const suspicious = all.filter(({ report }) => report.drift !== null && (full || report.drift !== 0));
    await Promise.all(suspicious.map((one) => this.#compareSafely(one, findings, signal)));
    await this.#reportUnknownNodes(findings);
    return all.map(({ report }) => report);
  }

  /** Counts the dialogs, and the records before and after them: a call that ends in between is no drift. */
  async #look(all: readonly Compared[]): Promise<void> {
    const before = byNode(await this.#o.records.read());
    await Promise.all(
      all.map(async ({ table, report }) => {
        try {
          const { all: dialogs, early } = await table.counts();
          Object.assign(report, { dialogs, early_dialogs: early });
        } catch (error) {
          Object.assign(report, { dialogs: null, early_dialogs: null, drift: null, error: textOf(error) });
        }
      }),
    );
    const after = byNode(await this.#o.records.read());
    for (const { name, report } of all) {
      const counts = [before, after].map((records) => countOf(records.get(name) ?? [], SETTLED_MS));
      report.records = counts[1]?.all ?? 0;
      if (report.dialogs !== null) report.drift = distance(report.dialogs, counts);
    }
  }

  /** Calls of nodes that are not configured any more: nobody can be asked for their dialogs. */
  async #reportUnknownNodes(findings: Findings): Promise<void> {
    const settledBefore = Date.now() - SETTLED_MS;
    for (const record of await this.#o.records.read()) {
      const { id, node, sinceMs } = record;
      if (sinceMs > settledBefore || (node !== undefined && this.#o.nodes.has(node))) continue;
      // Its own due work ends it where no INVITE comes.
      if (isUnplaced(record)) continue;
      const detail = node === undefined ? 'the record is a part of one' : 'its node is not configured';
      findings.add({ kind: 'unknown_node', call_id: id, node: node ?? null, action: 'reported', detail });
    }
  }

  async #compareSafely(one: Compared, findings: Findings, signal: AbortSignal): Promise<void> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(NODE_DEADLINE_MS)]);
    try {
      await this.#compare(one, findings, limited);
    } catch (error) {
      one.report.error = signal.aborted ? 'the run was given up' : textOf(error);
    }
  }

  /**
   * First the dialogs, then a wait until all that the node had told by then is written, then the records: what
   * they say now and what they do not is not for an event on its way.
   */
  async #compare(one: Compared, findings: Findings, signal: AbortSignal): Promise<void> {
    const { name, node, table, report } = one;
    // Records that are far behind agree with no dialogs, and the node would list them for nothing.
    await this.#eventsWritten(node, signal);
    const seenAt = Date.now();
    const listed = (report.dialogs ?? 0) <= LISTED_DIALOGS ? await table.summaries() : undefined;
    const records = await this.#o.records.read();
    report.compared = listed !== undefined;
    const withDialog = new Set(listed?.map(({ sip_call_id }) => sip_call_id));
    const suspects = records.filter(
      (record) =>
        record.node === name &&
        record.sinceMs <= seenAt - SETTLED_MS &&
        !withDialog.has(record.sip_call_id ?? ''),
    );
    const gone = await this.#withoutDialog(one, suspects, signal);
    const clock = await table.clock();
    const open = new Set(records.map(({ sip_call_id }) => sip_call_id));
    const strangers = [...withDialog].filter((callId) => !open.has(callId));
    if (gone.length === 0 && strangers.length === 0) return;
    await this.#eventsWritten(node, signal);
    await this.#judgeRecords(one, gone, clock, findings, signal);
    await this.#judgeDialogs(one, strangers, clock, findings, signal);
  }

  /** @throws where events that the node had until now are not in the records in time */
  async #eventsWritten(node: KamailioNode, signal: AbortSignal): Promise<void> {
    if (!(await this.#o.backlog.written(node, signal))) throw new Error('its events are not all written yet');
  }

  /** Those of the records whose dialogs the node does not have, as far as they can be looked up in one run. */
  async #withoutDialog(
    { name, table, report }: Compared,
    suspects: readonly OpenRecord[],
    signal: AbortSignal,
  ): Promise<OpenRecord[]> {
    const from = this.#continueAt.get(name) ?? 0;
    const byAge = suspects.filter(({ sinceMs }) => sinceMs >= from).sort((a, b) => a.sinceMs - b.sinceMs);
    const turn = byAge.slice(0, LOOKUPS);
    this.#continueAt.set(name, byAge[LOOKUPS]?.sinceMs ?? 0);
    report.postponed += suspects.length - turn.length;
    const gone: OpenRecord[] = [];
    for (const record of turn) {
      signal.throwIfAborted();
      if ((await table.withCallId(record.sip_call_id ?? '')).length === 0) gone.push(record);
    }
    return gone;
  }

  async #judgeRecords(
    { name }: Compared,
    gone: readonly OpenRecord[],
    { startedAt, aheadMs }: NodeClock,
    findings: Findings,
    signal: AbortSignal,
  ): Promise<void> {
    for (const call of await this.#o.store.getAll(gone.map(({ id }) => id))) {
      if (call === undefined) continue;
      const verdict = judgeRecord(call, startedAt, this.#o.ringTimeoutMs, Date.now() + aheadMs);
      if (verdict === undefined) continue;
      const { kind, close, detail } = verdict;
      signal.throwIfAborted();
      const now = Date.now();
      const fields = close && { ended_at: String(now), ...close, ...entryOf(close, now) };
      const [fresh] = fields ? await this.#o.store.merge([{ id: call.id, atMs: now, fields }]) : [];
      // It ended by itself just now.
      if (fresh !== undefined && !fresh.includes('ended_at')) continue;
      findings.add({
        kind,
        call_id: call.id,
        node: name,
        action: close === undefined ? 'reported' : 'healed',
        detail,
      });
    }
  }

  async #judgeDialogs(
    { name, node, table, report }: Compared,
    strangers: readonly string[],
    { aheadMs }: NodeClock,
    findings: Findings,
    signal: AbortSignal,
  ): Promise<void> {
    const zombies: Zombie[] = [];
    report.postponed += Math.max(0, strangers.length - LOOKUPS);
    for (const callId of strangers.slice(0, LOOKUPS)) {
      signal.throwIfAborted();
      for (const dialog of await table.withCallId(callId)) {
        const id = dialog.variables.get('id');
        const call = id === undefined ? undefined : await this.#o.store.get(id);
        const verdict = judgeDialog(dialog, call, this.#o.graceMs(), Date.now() + aheadMs);
        if (verdict === undefined) continue;
        const { kind, remedy, detail } = verdict;
        if (remedy === 'end' && call !== undefined) zombies.push({ node, dialog, call, detail });
        else {
          if (remedy === 'adopt' && id !== undefined) await this.#adopt(name, id, dialog);
          const action = remedy === 'adopt' ? 'healed' : 'reported';
          findings.add({ kind, call_id: id ?? null, node: name, action, detail });
        }
      }
    }
    await this.#o.zombies.end(zombies, findings, signal);
  }

  async #adopt(node: string, id: string, dialog: DialogDetails): Promise<void> {
    const record = { id, atMs: dialog.created_at, fields: fieldsOfDialog(dialog, node, Date.now()) };
    await this.#o.adopted(record);
    await this.#o.store.merge([record]);
  }
}

/** The timeline's entry of an end that is concluded. */
function entryOf({ ended_by, reason }: Closing, now: number): RecordFields {
  const type = ended_by === 'failure' ? 'failed' : 'ended';
  return timeline({ at: now * 1000, type }, ended_by === 'failure' ? { reason } : { by: ended_by, reason });
}

function byNode(records: readonly OpenRecord[]): Map<string, OpenRecord[]> {
  const byNode = new Map<string, OpenRecord[]>();
  for (const record of records) {
    const key = record.node ?? '';
    const same = byNode.get(key) ?? [];
    byNode.set(key, same);
    same.push(record);
  }
  return byNode;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
