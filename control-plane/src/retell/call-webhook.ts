import { isUnplaced, stateOf } from '../calls/call.js';
import type { DueWork } from '../calls/due/work.js';
import { matchFields, type RecordFields, timelineOnce } from '../calls/record.js';
import { retellDetailsField } from '../calls/retell-details.js';
import type { CallOutline, CallStore } from '../calls/store.js';
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
  due: Pick<DueWork, 'apply' | 'hasten'>;
  finder: CallFinder;
  /** Told how each webhook's call was found. */
  correlated: (how: 'retell_call_id' | NonNullable<FoundCall['by']> | 'none') => void;
}

/** A webhook and the call of ours that it is about. */
interface Match extends FoundCall<CallOutline> {
  webhook: StoredWebhook;
  told: RetellCall;
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
   * Resolves when they are written, which takes a few round trips to Redis however many they are. Handling one again, or
   * another one before it, changes nothing.
   *
   * @returns in their order what became of each
   * @throws where Redis does not take them; then any of them may be written
   */
  async handle(webhooks: readonly StoredWebhook[]): Promise<CallWebhookOutcome[]> {
    const about = webhooks.flatMap((webhook) => {
      const { event, call: told, receivedAt: atMs } = webhook;
      if (told === undefined) return [];
      return { webhook, told, atMs, connected: !OVER.has(event) || told.start_timestamp !== undefined };
    });
    const found = await this.#o.finder.findAll(about);
    const outcomes = new Map<StoredWebhook, CallWebhookOutcome>();
    const matches: Match[] = [];
    for (const [i, { webhook, told }] of about.entries()) {
      const match = found[i];
      if (match === undefined && this.#mayCome(told)) outcomes.set(webhook, 'early');
      if (match !== undefined && match !== 'foreign') matches.push({ webhook, told, ...match });
    }
    const written = await this.#o.store.merge(
      matches.map(({ call, by, webhook, told }) => ({
        id: call.id,
        atMs: webhook.receivedAt,
        fields: { ...(by && matchFields(told.call_id, by)), ...fieldsOf(webhook, told) },
      })),
    );
    // Another one of Retell's calls may have been tied to ours meanwhile.
    const ours = matches.filter((_, i) => written[i] !== undefined);
    await this.#lookAgain(ours);
    for (const { webhook, by } of ours) {
      outcomes.set(webhook, 'written');
      this.#o.correlated(by ?? 'retell_call_id');
    }
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
  async #lookAgain(matches: readonly Match[]): Promise<void> {
    const { end_dialogs, grace_s } = this.#o.config.current.calls.reaper;
    const open = matches
      .filter(({ webhook, call }) => OVER.has(webhook.event) && stateOf(call) !== 'ended')
      .map(({ call }) => call);
    const atMs = Date.now() + grace_s * 1000;
    const up = end_dialogs === 'off' ? [] : open.filter((call) => !isUnplaced(call));
    await Promise.all([
      this.#o.due.apply(up.map(({ id }) => ({ kind: 'dialog_lingers', id, atMs }))),
      ...open
        .filter(isUnplaced)
        .map(({ id }) => this.#o.due.hasten('created_call', id, Date.now() + INVITE_MS)),
    ]);
  }
}

function fieldsOf(webhook: StoredWebhook, told: RetellCall): RecordFields {
  const { event, details, receivedAt } = webhook;
  return {
    ...(isLifecycleEvent(event) ? retellDetailsField(event, details) : {}),
    ...(OVER.has(event) ? endOf(told) : {}),
    ...entryOf(webhook, told, receivedAt),
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
