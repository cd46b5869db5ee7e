import type { InviteEvent } from '../kamailio/events.js';
import type { Call, Tie } from './call.js';
import type { RecordChange } from './due/plan.js';
import { isSameParty } from './parties.js';
import { fieldsOfTie } from './record.js';
import type { CallStore } from './store.js';

/** What a header may name a call by; a tool's variable that Retell does not know stays in its braces. */
const NAME = /^[\w-]{1,128}$/;
/** Calls to one number that are looked through for those of one caller. */
const CALLER_LIMIT = 1000;
/** Calls to one number that are looked through for the only one. */
const NUMBERS_LIMIT = 10;

/**
 * Ties the second call that Retell places for a transfer to the first one, in both records. On the wire it is a call
 * like any other: who sets the header has certainty, everything else is a conclusion, and where there are two it is
 * not drawn.
 */
export class SecondCalls {
  readonly #store: CallStore;

  constructor(store: CallStore) {
    this.#store = store;
  }

  /** Ties the calls whose INVITEs are among these changes. Doing it again changes nothing. */
  async tie(changes: readonly RecordChange[]): Promise<void> {
    const ties: Promise<void>[] = [];
    for (const { event } of changes)
      if (event.type === 'invite' && event.direction === 'outbound') ties.push(this.#tieOne(event));
    await Promise.all(ties);
  }

  async #tieOne(invite: InviteEvent): Promise<void> {
    const atMs = invite.at / 1000;
    const found = await this.#findFirst(invite, atMs);
    if (found === undefined) return;
    // What was concluded before stays, though more may be known by now.
    const second = await this.#store.get(invite.id);
    // A call that was asked for here is none of a transfer tool's, unless it says so.
    if (second?.requested_by !== undefined && found.by !== 'header') return;
    const tie = second?.transferred_from ?? found;
    const fields = fieldsOfTie(invite.id, tie, invite.at);
    await this.#store.merge([
      { id: invite.id, atMs, fields: fields.second },
      { id: tie.call_id, atMs, fields: fields.first },
    ]);
  }

  async #findFirst(invite: InviteEvent, atMs: number): Promise<Tie | undefined> {
    return (
      (await this.#byHeader(invite, atMs)) ??
      (invite.caller_call === undefined
        ? await this.#byNumbers(invite, atMs)
        : await this.#byCaller(invite, invite.caller_call, atMs))
    );
  }

  async #byHeader({ id, transferred_from: name }: InviteEvent, atMs: number): Promise<Tie | undefined> {
    if (name === undefined || !NAME.test(name)) return undefined;
    const first = await this.#named(name);
    if (first === undefined || first.id === id || endedBefore(first, atMs)) return undefined;
    return { call_id: first.id, by: 'header' };
  }

  /** Errors of Redis carry the command, and with it Retell's id: only their message is passed on. */
  async #named(name: string): Promise<Call | undefined> {
    try {
      return await this.#store.get((await this.#store.idOfRetellCallId(name)) ?? name);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`the call that a header names was not looked up: ${message}`);
    }
  }

  /** The node knows one call of this caller's; who is in two calls may be transferred out of either. */
  async #byCaller(
    { number = '', from }: InviteEvent,
    firstId: string,
    atMs: number,
  ): Promise<Tie | undefined> {
    const calls = await this.#store.inboundUpAt(number, atMs, CALLER_LIMIT);
    const [only, ...others] = calls?.filter((call) => isSameParty(call.from ?? '', from)) ?? [];
    if (others.length > 0) return undefined;
    if (only !== undefined) return { call_id: only.id, by: 'caller' };
    const first = await this.#store.get(firstId);
    return first === undefined || endedBefore(first, atMs) ? undefined : { call_id: firstId, by: 'caller' };
  }

  /**
   * Only a call that came in is taken for the first one: calls out of one number that are up at the same time are
   * mostly those of a campaign.
   */
  async #byNumbers({ number, to }: InviteEvent, atMs: number): Promise<Tie | undefined> {
    if (number === undefined) return undefined;
    const [first, ...others] = (await this.#store.inboundUpAt(number, atMs, NUMBERS_LIMIT)) ?? [];
    if (first === undefined || others.length > 0 || isSameParty(first.from ?? '', to)) return undefined;
    return { call_id: first.id, by: 'numbers' };
  }
}

function endedBefore({ ended_at }: Call, atMs: number): boolean {
  return ended_at !== undefined && ended_at < atMs;
}
