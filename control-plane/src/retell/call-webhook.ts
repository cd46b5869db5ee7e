import { stateOf } from '../calls/call.js';
import type { DueChange, DueWork } from '../calls/due/work.js';
import { type RecordFields, timelineOnce } from '../calls/record.js';
import type { CallStore, Merge } from '../calls/store.js';
import type { Config } from '../config/schema.js';
import type { CallFinder } from './call-finder.js';
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
  due: Pick<DueWork, 'apply'>;
  finder: CallFinder;
  /** Told how each webhook's call was found. */
  correlated: (how: 'retell_call_id' | 'call_ref' | 'none') => void;
}

/** Ends of a call at Retell; its timeline has one entry of each. */
const OVER = new Set(['call_ended', 'call_analyzed']);

/** Writes what Retell tells about a call into its record, each thing once however often it comes and in any order. */
export class CallWebhook {
  readonly #o: CallWebhookOptions;

  constructor(options: CallWebhookOptions) {
    this.#o = options;
  }

  /**
   * Resolves when they are written, which takes three or four round trips to Redis however many they are. Handling one
   * again, or another one before it, changes nothing.
   *
   * @returns in their order what became of each
   * @throws where Redis does not take them; then any of them may be written
   */
  async handle(webhooks: readonly StoredWebhook[]): Promise<CallWebhookOutcome[]> {
    const about = webhooks.flatMap((webhook) => {
      const { event, call: told } = webhook;
      if (told === undefined) return [];
      return { webhook, told, connected: !OVER.has(event) || told.start_timestamp !== undefined };
    });
    const found = await this.#o.finder.findAll(about);
    const outcomes = new Map<StoredWebhook, CallWebhookOutcome>();
    const merges: Merge[] = [];
    const lingering: DueChange[] = [];
    for (const [i, { webhook, told }] of about.entries()) {
      const match = found[i];
      if (match === undefined && this.#mayCome(told)) outcomes.set(webhook, 'early');
      if (match === undefined || match === 'foreign') continue;
      const { call, how } = match;
      this.#o.correlated(how);
      outcomes.set(webhook, 'written');
      merges.push({ id: call.id, atMs: webhook.receivedAt, fields: fieldsOf(webhook, told) });
      if (OVER.has(webhook.event) && stateOf(call) !== 'ended') lingering.push(...this.#lookAgain(call.id));
    }
    await this.#o.store.merge(merges);
    await this.#o.due.apply(lingering);
    return webhooks.map((webhook) => {
      const outcome = outcomes.get(webhook) ?? 'unmatched';
      if (outcome === 'unmatched') this.#o.correlated('none');
      return outcome;
    });
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
  #lookAgain(id: string): DueChange[] {
    const { end_dialogs, grace_s } = this.#o.config.current.calls.reaper;
    return end_dialogs === 'off' ? [] : [{ kind: 'dialog_lingers', id, atMs: Date.now() + grace_s * 1000 }];
  }
}

function fieldsOf(webhook: StoredWebhook, told: RetellCall): RecordFields {
  return {
    retell_call_id: told.call_id,
    ...(told.agent_id === undefined ? {} : { agent_id: told.agent_id }),
    ...(OVER.has(webhook.event) ? endOf(told) : {}),
    ...entryOf(webhook, told, webhook.receivedAt),
  };
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
