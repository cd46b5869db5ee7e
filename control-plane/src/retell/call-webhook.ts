import { stateOf } from '../calls/call.js';
import type { DueWork } from '../calls/due/work.js';
import { timelineOnce } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import type { Config } from '../config/schema.js';
import type { CallFinder } from './call-finder.js';
import type { RetellCall } from './call-object.js';
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
  finder: CallFinder;
  /** Told how each webhook's call was found. */
  correlated: (how: 'retell_call_id' | 'call_ref' | 'none') => void;
}

/** Writes what Retell tells about a call into its record, each thing once however often it comes. */
export class CallWebhook {
  readonly #o: CallWebhookOptions;

  constructor(options: CallWebhookOptions) {
    this.#o = options;
  }

  /**
   * Resolves when it is written. Handling it again, or another one before it, changes nothing.
   *
   * @throws where Redis does not take it: Retell has to send it again
   */
  async handle(event: RetellCallEvent, told: RetellCall): Promise<CallWebhookOutcome> {
    const connected = event === 'call_started' || told.start_timestamp !== undefined;
    const found = await this.#o.finder.find(told, connected);
    this.#o.correlated(found?.how ?? 'none');
    if (found === undefined) return 'unmatched';
    const { call } = found;
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
}
