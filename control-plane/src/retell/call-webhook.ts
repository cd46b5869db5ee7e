import { type Call, isUnplaced, stateOf } from '../calls/call.js';
import type { DueWork } from '../calls/due/work.js';
import { matchFields, timelineOnce } from '../calls/record.js';
import { retellDetailsField } from '../calls/retell-details.js';
import type { CallStore } from '../calls/store.js';
import type { Config } from '../config/schema.js';
import type { CallFinder, FoundCall } from './call-finder.js';
import { callRefOf, type RetellCall } from './call-object.js';
import { settingsOf } from './number-settings.js';
import { endOf } from './reaper.js';
import { isLifecycleEvent, type StoredWebhook } from './stored-webhook.js';

/**
 * `written`: what it told is in the call's record. `unmatched`: it is about none of our calls. `early`: it may be about
 * one that has not come yet.
 */
export type CallWebhookOutcome = 'written' | 'unmatched' | 'early';

export interface CallWebhookOptions {
  /** The configuration in force. */
  config: { readonly current: Config };
  store: CallStore;
  due: Pick<DueWork, 'schedule' | 'hasten'>;
  finder: CallFinder;
  /** Told how each webhook's call was found. */
  correlated: (how: 'retell_call_id' | NonNullable<FoundCall['by']> | 'none') => void;
}

/** Ends of a call at Retell; its timeline has one entry of each. */
const OVER = new Set(['call_ended', 'call_analyzed']);
/** The events of an INVITE that was refused here may come after Retell's word of it, by so much, in ms. */
const INVITE_MS = 2000;

/** Writes what Retell tells about a call into its record, each thing once however often it comes and in any order. */
export class CallWebhook {
  readonly #o: CallWebhookOptions;

  constructor(options: CallWebhookOptions) {
    this.#o = options;
  }

  /**
   * Resolves when it is written. Handling it again, or another one before it, changes nothing.
   *
   * @throws where Redis does not take it
   */
  async handle(webhook: StoredWebhook): Promise<CallWebhookOutcome> {
    const { event, call: told, receivedAt } = webhook;
    const connected = !OVER.has(event) || told?.start_timestamp !== undefined;
    const found = told === undefined ? undefined : await this.#o.finder.find(told, connected, receivedAt);
    if (told !== undefined && found === undefined && this.#mayCome(told)) return 'early';
    if (
      told === undefined ||
      found === undefined ||
      found === 'foreign' ||
      !(await this.#isOurs(found, told))
    ) {
      this.#o.correlated('none');
      return 'unmatched';
    }
    this.#o.correlated(found.by ?? 'retell_call_id');
    const { call } = found;
    const over = OVER.has(event);
    const fields = {
      ...(isLifecycleEvent(event) ? retellDetailsField(event, webhook.details) : {}),
      ...(over ? endOf(told) : {}),
      ...entryOf(webhook, told, receivedAt),
    };
    await this.#o.store.merge([{ id: call.id, atMs: receivedAt, fields }]);
    if (over && stateOf(call) !== 'ended') await this.#lookAgain(call);
    return 'written';
  }

  /** Ties Retell's call to ours. Another one of Retell's may have been tied to it meanwhile. */
  async #isOurs({ call, by }: FoundCall, { call_id }: RetellCall): Promise<boolean> {
    if (by === undefined) return true;
    const { store } = this.#o;
    const merge = { id: call.id, atMs: Date.now(), fields: matchFields(call_id, by) };
    const [fresh] = await store.merge([merge]);
    return fresh?.includes('retell_call_id') || (await store.get(call.id))?.retell_call_id === call_id;
  }

  /** It bears our id, or is about a number of ours: its call may be on its way. */
  #mayCome(told: RetellCall): boolean {
    const { current } = this.#o.config;
    return (
      callRefOf(told) !== undefined ||
      [told.to_number, told.from_number].some((number) => settingsOf(current, number ?? '') !== undefined)
    );
  }

  /** Retell sends its BYE at about the same time: only a call that is up after a while lingers. */
  async #lookAgain(call: Call): Promise<void> {
    const { id } = call;
    if (isUnplaced(call)) return this.#o.due.hasten('created_call', id, Date.now() + INVITE_MS);
    const { end_dialogs, grace_s } = this.#o.config.current.calls.reaper;
    if (end_dialogs === 'off') return;
    await this.#o.due.schedule('dialog_lingers', id, Date.now() + grace_s * 1000);
  }
}

/** What the timeline has of it. Of what was said, nothing. */
function entryOf(
  { event, destination, key }: StoredWebhook,
  { disconnection_reason: reason }: RetellCall,
  atMs: number,
): Record<string, string> {
  if (event === 'transcript_updated') return {};
  if (isLifecycleEvent(event))
    return timelineOnce(`retell_${event}`, atMs, OVER.has(event) ? { reason } : {});
  return timelineOnce(`retell_${event}`, atMs, { to: destination }, key);
}
