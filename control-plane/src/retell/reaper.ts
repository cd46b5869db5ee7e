import { type Call, isUnplaced, stateOf } from '../calls/call.js';
import type { Hangups } from '../calls/due/deadline.js';
import { type RecordFields, timelineOnce } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import type { ZombieObserver, ZombieSide, ZombieSource } from '../calls/zombies.js';
import type { Config } from '../config/schema.js';
import type { RetellApi } from './api.js';
import type { RetellCall } from './call-object.js';
import { RetellError } from './errors.js';

/**
 * `clean`: the call is over on both sides, or rightly up. `observed`: it is a zombie, and the configuration says to
 * let it be. `ended`: it was one. `failed`: it could not be ended, and there is no point in trying again. `off`:
 * nobody looked.
 */
export type ReapOutcome = 'clean' | 'observed' | 'ended' | 'failed' | 'off';

export interface ReaperOptions {
  /** The configuration in force. */
  config: { readonly current: Config };
  api: Pick<RetellApi, 'getCall' | 'stopCall'>;
  store: Pick<CallStore, 'get' | 'merge'>;
  hangups: Hangups;
  observer: ZombieObserver;
  /** Told of every zombie, once. */
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** Retell's states of a call that is not over. */
const OPEN_AT_RETELL = new Set(['registered', 'ongoing']);
/**
 * Ends of Retell's agent that are no end of the call: somebody else talks on, through Retell. Only its deadline ends
 * such a call.
 */
const HANDED_OVER = new Set([
  'call_transfer',
  'transfer_bridged',
  'no_concurrency_fallback',
  'call_take_over',
]);

const TOLD: Record<ZombieSide, { type: string; message: string }> = {
  retell: { type: 'retell_lingers', message: 'a call that is over here goes on at Retell' },
  here: { type: 'dialog_lingers', message: 'a call that Retell ended is still up here' },
};

/**
 * Ends calls that are over on one side only. Both checks read everything anew and may be made at any time and as
 * often as wanted; they reject where Retell, Redis or the node does not answer, and have to be made again then.
 */
export class Reaper {
  readonly #o: ReaperOptions;

  constructor(options: ReaperOptions) {
    this.#o = options;
  }

  /**
   * Stops a call at Retell that has ended here and goes on there.
   *
   * @throws RetellError, or an error of Redis
   */
  async checkRetell(id: string, by: ZombieSource = 'call_end'): Promise<ReapOutcome> {
    const { calls, retell } = this.#o.config.current;
    const mode = calls.reaper.stop_at_retell;
    if (mode === 'off' || retell.api_key === undefined) return 'off';
    const call = await this.#o.store.get(id);
    if (call?.retell_call_id === undefined || stateOf(call) !== 'ended') return 'clean';
    // Where its INVITE went instead is not known: it may be a call that is rightly up.
    if (isUnplaced(call)) return 'clean';
    if (call.retell_ended_at !== undefined || call.retell_stopped_at !== undefined) return 'clean';
    if (!(await this.#isOpenAtRetell(call, call.retell_call_id))) return 'clean';
    await this.#tell(call, 'retell', by, mode);
    return mode === 'observe' ? 'observed' : this.#stop(call, call.retell_call_id, by);
  }

  /**
   * Hangs up a call that has ended at Retell and is up here.
   *
   * @throws RetellError, CallError, or an error of Redis
   */
  async checkHere(id: string, by: ZombieSource = 'webhook'): Promise<ReapOutcome> {
    const mode = this.#o.config.current.calls.reaper.end_dialogs;
    if (mode === 'off') return 'off';
    const call = await this.#withRetellsEnd(await this.#o.store.get(id));
    if (call === undefined || stateOf(call) === 'ended' || isRightlyUp(call)) return 'clean';
    await this.#tell(call, 'here', by, mode);
    return mode === 'observe' ? 'observed' : this.#hangUp(call);
  }

  /** The call with its end at Retell, which is asked for where no webhook told it. */
  async #withRetellsEnd(call: Call | undefined): Promise<Call | undefined> {
    if (call?.retell_call_id === undefined || call.retell_ended_at !== undefined) return call;
    if (stateOf(call) === 'ended' || this.#o.config.current.retell.api_key === undefined) return call;
    const isOpen = await this.#isOpenAtRetell(call, call.retell_call_id);
    return isOpen ? call : this.#o.store.get(call.id);
  }

  /** Asks Retell; an end that it tells goes into the record. What Retell does not know is not open, nor has it ended. */
  async #isOpenAtRetell({ id }: Call, retellCallId: string): Promise<boolean> {
    let known: RetellCall;
    try {
      known = await this.#o.api.getCall(retellCallId);
    } catch (error) {
      if (isRefusal(error, [404, 422])) return false;
      throw error;
    }
    if (isOpenAtRetell(known)) return true;
    await this.#merge(id, endOf(known));
    return false;
  }

  async #stop(call: Call, retellCallId: string, by: ZombieSource): Promise<ReapOutcome> {
    const { api, observer } = this.#o;
    try {
      await api.stopCall(retellCallId);
    } catch (error) {
      if (isRefusal(error, [400, 422])) return this.#refused(call, retellCallId);
      observer.zombieEnded('retell', 'failed');
      throw error;
    }
    const now = Date.now();
    await this.#merge(call.id, {
      retell_stopped_at: String(now),
      ...timelineOnce('retell_stopped', now, { by }),
    });
    observer.zombieEnded('retell', 'ended');
    return 'ended';
  }

  /** Retell stops no call that is not ongoing: either it has just ended, or nobody joins it any more. */
  async #refused(call: Call, retellCallId: string): Promise<ReapOutcome> {
    if (!(await this.#isOpenAtRetell(call, retellCallId))) return 'clean';
    // One that is registered ends by itself after five minutes (retell.md 2.1).
    this.#o.observer.zombieEnded('retell', 'failed');
    return 'failed';
  }

  async #hangUp({ id }: Call): Promise<ReapOutcome> {
    const { hangups, observer } = this.#o;
    try {
      const { outcome } = await hangups.hangup(id, {
        by: 'reaper',
        endedBy: 'reaper',
        reason: 'ended at Retell',
      });
      if (outcome === 'already_ended') return 'clean';
      if (outcome === 'failed') throw new Error('the call that Retell ended was not hung up');
      observer.zombieEnded('here', outcome === 'ended' ? 'ended' : 'failed');
      return outcome === 'ended' ? 'ended' : 'failed';
    } catch (error) {
      observer.zombieEnded('here', 'failed');
      throw error;
    }
  }

  /** Once, however often the call is looked at. */
  async #tell({ id }: Call, side: ZombieSide, by: ZombieSource, mode: 'observe' | 'on'): Promise<void> {
    const { type, message } = TOLD[side];
    const fresh = await this.#merge(id, timelineOnce(type, Date.now(), { by, mode }));
    if (fresh.length === 0) return;
    this.#o.observer.zombieFound(side, by);
    if (mode === 'observe') this.#o.observer.zombieEnded(side, 'observed');
    this.#o.warn({ call_id: id, by, mode }, message);
  }

  async #merge(id: string, fields: RecordFields): Promise<string[]> {
    return (await this.#o.store.merge([{ id, atMs: Date.now(), fields }]))[0] ?? [];
  }
}

/** Whether Retell's call is not over. */
export function isOpenAtRetell({ call_status }: RetellCall): boolean {
  return OPEN_AT_RETELL.has(call_status);
}

/** What Retell's word of an end adds to the record. */
export function endOf({ end_timestamp, disconnection_reason }: RetellCall): RecordFields {
  return {
    retell_ended_at: String(end_timestamp ?? Date.now()),
    ...(disconnection_reason === undefined ? {} : { retell_disconnection_reason: disconnection_reason }),
  };
}

/** Not ended at Retell as far as anybody knows, or ended there and gone on without it. */
function isRightlyUp(call: Call): boolean {
  return (
    call.retell_ended_at === undefined ||
    HANDED_OVER.has(call.retell_disconnection_reason ?? '') ||
    // Whoever is at the fallback does not end with Retell's call, which was never joined.
    call.timeline.some(({ type }) => type === 'fallback')
  );
}

function isRefusal(error: unknown, statuses: readonly number[]): boolean {
  return error instanceof RetellError && error.code === 'refused' && statuses.includes(error.status ?? 0);
}
