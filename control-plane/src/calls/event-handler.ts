import type { ByeEvent, SipEvent } from '../kamailio/events.js';
import type { Direction } from './call.js';
import type { RecordChange } from './due/plan.js';
import { fieldsOfBye, fieldsOfEvent } from './record.js';
import type { CallStore } from './store.js';
import { stageOfField, type TransferStage } from './transfer/transfer.js';

/** Told of what an event changed, each change once however often the event comes. */
export interface CallObserver {
  /** An event was handled, `lagS` seconds after it happened. */
  eventHandled(type: SipEvent['type'], lagS: number): void;
  callStarted(direction: Direction, carrier: string | undefined): void;
  /** A limit kept a call from somewhere. */
  callLimited(limit: string, carrier: string | undefined): void;
  callFellBack(): void;
  /** A gateway did not take a call; `owner` is its carrier, or `retell`. */
  attemptFailed(owner: string, code: number): void;
  /** A transfer reached a stage. */
  transferReached(stage: TransferStage): void;
  /** A BYE whose Call-ID is in no record. */
  byeUnmatched(): void;
}

/** Writes what Kamailio tells into the calls' records. */
export class EventHandler {
  readonly #store: CallStore;
  readonly #observer: CallObserver;
  readonly #follow: (changes: readonly RecordChange[]) => Promise<void>;

  /** @param follow does what follows from a batch, once it is written; as often as the batch comes */
  constructor(
    store: CallStore,
    observer: CallObserver,
    follow: (changes: readonly RecordChange[]) => Promise<void> = async () => {},
  ) {
    this.#store = store;
    this.#observer = observer;
    this.#follow = follow;
  }

  /**
   * Handles a batch of events of one node, in their order. Handling it again changes nothing.
   *
   * @throws where Redis does not take the writes: the batch has to be handled again
   */
  async handle(node: string, events: readonly SipEvent[]): Promise<void> {
    const byes: ByeEvent[] = [];
    const merges: RecordChange[] = [];
    for (const event of events) {
      if ('id' in event) {
        merges.push({ id: event.id, atMs: event.at / 1000, fields: fieldsOfEvent(event, node), event });
      } else byes.push(event);
    }
    this.#observe(merges, await this.#store.merge(merges));
    if (byes.length > 0) merges.push(...(await this.#handleByes(byes)));
    await this.#follow(merges);
    for (const event of events)
      this.#observer.eventHandled(event.type, Date.now() / 1000 - event.at / 1_000_000);
  }

  /** BYEs carry no id of ours, only the Call-ID: their calls' records have to be looked up. */
  async #handleByes(byes: readonly ByeEvent[]): Promise<RecordChange[]> {
    const merges: RecordChange[] = [];
    const calls = await this.#store.callsOfSipCallIds(byes.map((event) => event.sip_call_id));
    for (const event of byes) {
      const call = calls.get(event.sip_call_id);
      if (call === undefined) {
        this.#observer.byeUnmatched();
        continue;
      }
      merges.push({ id: call.id, atMs: event.at / 1000, fields: fieldsOfBye(event, call), event });
    }
    this.#observe(merges, await this.#store.merge(merges));
    return merges;
  }

  #observe(merges: readonly RecordChange[], fresh: readonly (string[] | undefined)[]): void {
    for (const [i, { event }] of merges.entries()) {
      const fields = fresh[i] ?? [];
      // What only adds to the timeline counts once too.
      if (fields.length === 0) continue;
      if (event.type === 'invite' && fields.includes('sip_call_id'))
        this.#observer.callStarted(event.direction, event.carrier);
      for (const field of fields) {
        const stage = stageOfField(field);
        if (stage !== undefined) this.#observer.transferReached(stage);
      }
      if (event.type === 'limited') this.#observer.callLimited(event.limit, event.carrier);
      if (event.type === 'fallback') this.#observer.callFellBack();
      if (event.type === 'attempt_failed') this.#observer.attemptFailed(event.owner, event.code);
    }
  }
}
