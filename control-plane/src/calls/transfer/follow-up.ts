import type { ActiveConfig } from '../../config/active.js';
import { type Call, stateOf } from '../call.js';
import type { Hangups } from '../due/deadline.js';
import type { CallStore } from '../store.js';
import { failureNotice } from './sentences.js';
import { type Transfer, type TransferEnd, transferFields } from './transfer.js';

/** `told`: the live agent has it. `not_told`: it cannot have it, for `reason`. */
export type Telling = { outcome: 'told' } | { outcome: 'not_told'; reason: string };

export interface FollowUpOptions {
  config: ActiveConfig;
  store: CallStore;
  hangups: Hangups;
  /** Tells the live agent of a call something; rejects where it is worth another try. */
  tellAgent: (retellCallId: string, text: string) => Promise<Telling>;
  /** Told of each try to tell an agent. */
  noticed: (outcome: Telling['outcome']) => void;
}

/** An agent that could not be told for so long is left alone, in ms: the talk has gone on. */
const NEWS_MS = 20_000;

/** Does what follows from the end of a transfer: the call ends, or its agent is told to go on. */
export class FollowUp {
  readonly #o: FollowUpOptions;

  constructor(options: FollowUpOptions) {
    this.#o = options;
  }

  /** May be called again and again. @throws where it has to be tried again */
  async run(callId: string, transferId: string): Promise<void> {
    const call = await this.#o.store.get(callId);
    const transfer = call?.transfers.find(({ id }) => id === transferId);
    if (call === undefined || transfer?.end === undefined || stateOf(call) === 'ended') return;
    const { end, source, on_failure } = transfer;
    if (end.outcome === 'succeeded') {
      // Retell ends a call of its own transfer itself.
      const by = source === 'retell' ? 'reaper' : source;
      await this.#hangUp(call, by, 'transferred');
    } else if (on_failure === 'hangup' && source !== 'retell') {
      await this.#hangUp(call, source, 'transfer failed');
    } else if (transfer.told === undefined) {
      await this.#tell(call, transfer, end);
    }
  }

  async #hangUp({ id }: Call, endedBy: 'api' | 'function' | 'reaper', reason: string): Promise<void> {
    const { outcome } = await this.#o.hangups.hangup(id, { by: 'transfer', endedBy, reason });
    if (outcome === 'failed') throw new Error('the call of a transfer was not hung up');
  }

  async #tell(call: Call, { id, to, source }: Transfer, end: TransferEnd): Promise<void> {
    if (source === 'retell') return;
    const telling = await this.#tellAgent(
      call,
      failureNotice(this.#o.config.current.transfers.failure_notice, to, end),
      end,
    );
    this.#o.noticed(telling.outcome);
    const at = Date.now();
    await this.#o.store.merge([
      { id: call.id, atMs: at, fields: transferFields.told(id, { at, ...telling }) },
    ]);
  }

  async #tellAgent({ retell_call_id }: Call, text: string, end: TransferEnd): Promise<Telling> {
    if (retell_call_id === undefined) {
      return { outcome: 'not_told', reason: "Retell's id of the call is not known" };
    }
    try {
      return await this.#o.tellAgent(retell_call_id, text);
    } catch (error) {
      if (Date.now() - end.at < NEWS_MS) throw error;
      return { outcome: 'not_told', reason: 'Retell does not answer' };
    }
  }
}
