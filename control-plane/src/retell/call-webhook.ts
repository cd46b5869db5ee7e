import { setTimeout as delay } from 'node:timers/promises';
import { type Call, stateOf } from '../calls/call.js';
import type { DueWork } from '../calls/due/work.js';
import { timelineOnce } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import type { Config } from '../config/schema.js';
import { callRefOf, type RetellCall } from './call-object.js';
import { endOf } from './reaper.js';

/** The webhooks about a call that are written down (retell.md 5.1). */
export const CALL_EVENTS = ['call_started', 'call_ended', 'call_analyzed'] as const;
export type RetellCallEvent = (typeof CALL_EVENTS)[number];

/** `written`: what it told is in the call's record. `unmatched`: it is about none of our calls. */
export type CallWebhookOutcome = 'written' | 'unmatched';

export interface CallWebhookOptions {
  /** The configuration in force. */
  config: { readonly current: Config };
  store: CallStore;
  due: Pick<DueWork, 'schedule'>;
  /** Told how each webhook's call was found. */
  correlated: (how: 'retell_call_id' | 'call_ref' | 'none') => void;
}

/** Pauses before each look for the call, in ms: a webhook may come before the event of its INVITE is written. */
const PAUSES_MS = [0, 20, 100, 500, 2000];
/** Webhooks that wait for their call at once; one beyond looks once. */
const MAX_WAITING = 1000;

/** Writes what Retell tells about a call into its record, each thing once however often it comes. */
export class CallWebhook {
  readonly #o: CallWebhookOptions;
  #waiting = 0;

  constructor(options: CallWebhookOptions) {
    this.#o = options;
  }

  /**
   * Resolves when it is written. Handling it again, or another one before it, changes nothing.
   *
   * @throws where Redis does not take it: Retell has to send it again
   */
  async handle(event: RetellCallEvent, told: RetellCall): Promise<CallWebhookOutcome> {
    const call = await this.#find(event, told);
    if (call === undefined) return 'unmatched';
    const { store } = this.#o;
    const over = event !== 'call_started';
    const now = Date.now();
    const fields = {
      retell_call_id: told.call_id,
      ...(told.agent_id === undefined ? {} : { agent_id: told.agent_id }),
      ...(over ? endOf(told) : {}),
      ...timelineOnce(`retell_${event}`, now, over ? { reason: told.disconnection_reason } : {}),
    };
    await store.merge([{ id: call.id, atMs: now, fields }]);
    if (over && stateOf(call) !== 'ended') await this.#lookAgain(call.id);
    return 'written';
  }

  /** Retell sends its BYE at about the same time: only a call that is up after a while lingers. */
  async #lookAgain(id: string): Promise<void> {
    const { end_dialogs, grace_s } = this.#o.config.current.calls.reaper;
    if (end_dialogs === 'off') return;
    await this.#o.due.schedule('dialog_lingers', id, Date.now() + grace_s * 1000);
  }

  async #find(event: RetellCallEvent, told: RetellCall): Promise<Call | undefined> {
    const found = (await this.#byRetellsId(told.call_id)) ?? (await this.#byOurs(event, told));
    this.#o.correlated(found?.how ?? 'none');
    return found?.call;
  }

  async #byRetellsId(retellCallId: string) {
    const id = await this.#o.store.idOfRetellCallId(retellCallId);
    const call = id === undefined ? undefined : await this.#o.store.get(id);
    return call && { call, how: 'retell_call_id' as const };
  }

  async #byOurs(event: RetellCallEvent, told: RetellCall) {
    const ref = callRefOf(told);
    const call = ref === undefined ? undefined : await this.#waitFor(ref);
    const connected = event === 'call_started' || told.start_timestamp !== undefined;
    if (call === undefined || !fits(call, told, connected)) return undefined;
    return { call, how: 'call_ref' as const };
  }

  async #waitFor(id: string): Promise<Call | undefined> {
    const pauses = this.#waiting < MAX_WAITING ? PAUSES_MS : [0];
    this.#waiting += 1;
    try {
      for (const pauseMs of pauses) {
        await delay(pauseMs);
        const call = await this.#o.store.get(id);
        if (call !== undefined) return call;
      }
      return undefined;
    } finally {
      this.#waiting -= 1;
    }
  }
}

/**
 * Whether our call can be the one that Retell tells of. Anybody can dial Retell with a header like ours, and a call
 * that one gateway of Retell's did not take was offered to another: the numbers have to be right, it must not be
 * known by another id, and one that is up here was connected there.
 */
function fits(call: Call, { call_id, from_number, to_number }: RetellCall, connected: boolean): boolean {
  if (call.retell_call_id !== undefined && call.retell_call_id !== call_id) return false;
  if (!connected && stateOf(call) !== 'ended') return false;
  const ours = call.direction === 'inbound' ? to_number : from_number;
  return call.number !== undefined && call.number === ours;
}
