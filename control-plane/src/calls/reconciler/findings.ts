import type { DialogDetails } from '../../kamailio/dialog-table.js';
import { type Call, stateOf } from '../call.js';

/** What does not agree. docs/operations/reconciliation.md has a line for each. */
export type FindingKind =
  | 'lost_end' // the record is open, the dialog is gone, and the node has been up all the while
  | 'lost_setup' // the record is open and was never answered, and the node has restarted since
  | 'untracked' // the record is open and answered, and the node has restarted since: the call may live on
  | 'unknown_node' // the record is open on a node that is not configured, or on none
  | 'zombie' // the dialog is up, and the record has ended
  | 'unrecorded' // the dialog is up, and there is no record, or only a part of one
  | 'unknown_dialog' // the dialog is up, and carries no id of ours
  | 'retell_lingers' // Retell counts the call as ongoing, and it has ended here
  | 'retell_over'; // the call is up here, and Retell does not count it as ongoing

/**
 * `healed`: it was put right. `failed`: it could not be, and is tried again. `observed`: it would have been, if
 * calls.reaper said `on`. `reported`: it is left to a human, or to time.
 */
export type FindingAction = 'healed' | 'failed' | 'observed' | 'reported';

export interface Finding {
  kind: FindingKind;
  /** Our id of the call; null where there is none. */
  call_id: string | null;
  node: string | null;
  action: FindingAction;
  detail: string;
}

/** Findings that a run keeps; all of them are counted. */
const LISTED = 200;

/** What one run has found. */
export class Findings {
  readonly listed: Finding[] = [];
  readonly #counts = new Map<string, { kind: FindingKind; action: FindingAction; count: number }>();

  add(finding: Finding): void {
    if (this.listed.length < LISTED) this.listed.push(finding);
    const { kind, action } = finding;
    const key = `${kind} ${action}`;
    const entry = this.#counts.get(key) ?? { kind, action, count: 0 };
    entry.count += 1;
    this.#counts.set(key, entry);
  }

  /** How many there are of each kind, by what was done. */
  get counts(): { kind: FindingKind; action: FindingAction; count: number }[] {
    return [...this.#counts.values()];
  }

  get total(): number {
    return this.counts.reduce((sum, { count }) => sum + count, 0);
  }
}

/** How to close a record whose call is over. */
export interface Closing {
  ended_by: 'reaper' | 'failure';
  reason: string;
}

/** What an open record without a dialog means. */
export interface RecordVerdict {
  kind: FindingKind;
  /** Undefined where the call may be up all the same. */
  close: Closing | undefined;
  detail: string;
}

/**
 * A node's uptime is known to the second, and a clock may be set: only what happened so long after its start is
 * sure to have happened to the process that runs, in ms.
 */
const START_SLACK_MS = 10_000;
/** How much longer than the ring timeout a call can ring, in ms. */
const RING_SLACK_MS = 30_000;

/**
 * What to make of a record that is open while the node that it names has no dialog of it, although all that
 * the node has told is written.
 *
 * @param startedAt when the node started, seen after the dialog was found missing
 * @param now by the node's clock, as all times
 * @returns undefined where it is too early to tell
 */
export function judgeRecord(
  call: Call,
  startedAt: number,
  ringTimeoutMs: number,
  now: number,
): RecordVerdict | undefined {
  if (stateOf(call) === 'ended') return undefined;
  const untold = 'its end was not told';
  if (call.answered_at !== undefined) {
    if (call.answered_at > startedAt + START_SLACK_MS)
      return { kind: 'lost_end', close: { ended_by: 'reaper', reason: untold }, detail: untold };
    return {
      kind: 'untracked',
      close: undefined,
      detail: 'the node has restarted since: the call may go on, and can be hung up',
    };
  }
  const invitedAt = call.invited_at ?? call.created_at;
  if (invitedAt > startedAt + START_SLACK_MS)
    return { kind: 'lost_end', close: { ended_by: 'failure', reason: untold }, detail: untold };
  if (now - invitedAt <= ringTimeoutMs + RING_SLACK_MS) return undefined;
  const reason = 'lost at a restart';
  return { kind: 'lost_setup', close: { ended_by: 'failure', reason }, detail: reason };
}

/** What a dialog without an open record means: what to do with it, if anything can be done. */
export interface DialogVerdict {
  kind: FindingKind;
  remedy: 'adopt' | 'end' | undefined;
  detail: string;
}

/**
 * What to make of a dialog that no open record has, although all that the node has told is written.
 *
 * @param call the record of the id that the dialog carries
 * @param graceMs how long an ended call's dialog may take to go
 * @param now by the node's clock
 * @returns undefined where all is well, or it is too early to tell
 */
export function judgeDialog(
  dialog: DialogDetails,
  call: Call | undefined,
  graceMs: number,
  now: number,
): DialogVerdict | undefined {
  if (!dialog.variables.has('id'))
    return { kind: 'unknown_dialog', remedy: undefined, detail: 'the dialog carries no id of ours' };
  if (call === undefined)
    return { kind: 'unrecorded', remedy: 'adopt', detail: 'the call is up and had no record' };
  if (call.ended_at === undefined) {
    if (call.sip_call_id !== undefined) return undefined;
    return { kind: 'unrecorded', remedy: 'adopt', detail: 'the call is up and had a part of a record' };
  }
  // A dialog stays until one of its BYEs is answered, or has waited for it long enough.
  const quietSince = Math.max(call.ended_at, call.bye.carrier.sent_at ?? 0, call.bye.retell.sent_at ?? 0);
  if (now - quietSince <= graceMs) return undefined;
  if (dialog.state >= 3) return { kind: 'zombie', remedy: 'end', detail: 'the dialog outlives its record' };
  return {
    kind: 'zombie',
    remedy: undefined,
    detail: 'the dialog outlives its record and is not answered: its ring timeout ends it',
  };
}
