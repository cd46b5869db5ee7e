import { type Call, isUnplaced, stateOf } from '../calls/call.js';
import { matchFields, type RecordFields, timeline } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import type { RetellApi, RetellCall } from '../retell/api.js';
import { RetellError } from '../retell/errors.js';
import { endOf, isOpenAtRetell } from '../retell/reaper.js';
import type { ExpectedCalls } from './expected-calls.js';

/** `ended_at_retell`: by Retell's word. `no_invite`: nobody knows what became of it. */
export type UnplacedOutcome = 'ended_at_retell' | 'no_invite';

export interface UnplacedCallsOptions {
  api: Pick<RetellApi, 'getCall' | 'findByCallRef'>;
  store: Pick<CallStore, 'get' | 'merge'>;
  expected: Pick<ExpectedCalls, 'forget'>;
  /** Waits until all that the nodes have told is in the records; false where it is not in time. */
  eventsWritten: () => Promise<boolean>;
  /** Told of each record that was closed. */
  closed: (outcome: UnplacedOutcome) => void;
}

/** Looks after calls that Retell was asked for and whose INVITE does not come, so that no record stays open for ever. */
export class UnplacedCalls {
  readonly #o: UnplacedCallsOptions;

  constructor(options: UnplacedCallsOptions) {
    this.#o = options;
  }

  /**
   * Closes the record of a call that is over at Retell without an INVITE to us.
   *
   * @param last nobody looks again: it is closed whatever Retell says
   * @throws where it has to be looked at again: it is on its way, or Retell, a node or Redis does not answer
   */
  async look(id: string, last: boolean): Promise<void> {
    const call = await this.#o.store.get(id);
    if (call === undefined || !isOpenAndUnplaced(call)) return;
    const end = call.retell_ended_at === undefined ? await this.#endAtRetell(call, last) : {};
    if (end === undefined && !last) throw new Error('it is on its way at Retell, or not known there yet');
    try {
      // From here on no INVITE can take its id, and one that has taken it is in the record.
      await this.#o.expected.forget(id);
      if (!(await this.#o.eventsWritten())) throw new Error('events are not all written yet');
    } catch (error) {
      if (!last) throw error;
    }
    const reason = end?.retell_disconnection_reason ?? call.retell_disconnection_reason;
    const told = reason === undefined ? 'retell ended it' : `retell ended it: ${reason}`;
    const closed = await this.close(id, end === undefined ? 'no INVITE came' : told, end);
    if (closed) this.#o.closed(end === undefined ? 'no_invite' : 'ended_at_retell');
  }

  /**
   * Ends the record, unless the INVITE has come.
   *
   * @returns whether it did
   * @throws where Redis does not answer
   */
  async close(id: string, reason: string, fields: RecordFields = {}): Promise<boolean> {
    const call = await this.#o.store.get(id);
    if (call === undefined || !isOpenAndUnplaced(call)) return false;
    const now = Date.now();
    const end = { ended_at: String(now), ended_by: 'failure', reason };
    const entry = timeline({ at: now * 1000, type: 'failed' }, { reason });
    const [fresh] = await this.#o.store.merge([{ id, atMs: now, fields: { ...fields, ...end, ...entry } }]);
    return fresh?.includes('ended_at') ?? false;
  }

  /** What Retell's word of the call's end adds to the record; undefined where it is not over, or not known. */
  async #endAtRetell({ id, retell_call_id }: Call, last: boolean): Promise<RecordFields | undefined> {
    let told: RetellCall | undefined;
    try {
      told = await (retell_call_id === undefined
        ? this.#o.api.findByCallRef(id)
        : this.#o.api.getCall(retell_call_id));
    } catch (error) {
      if (!last || !(error instanceof RetellError)) throw error;
    }
    if (told === undefined) return undefined;
    const named = matchFields(told.call_id, 'metadata');
    if (!isOpenAtRetell(told)) return { ...named, ...endOf(told) };
    if (retell_call_id === undefined) await this.#o.store.merge([{ id, atMs: Date.now(), fields: named }]);
    return undefined;
  }
}

function isOpenAndUnplaced(call: Call): boolean {
  return isUnplaced(call) && stateOf(call) !== 'ended';
}
