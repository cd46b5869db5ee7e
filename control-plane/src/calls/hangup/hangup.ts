import type { KamailioNode } from '../../kamailio/node.js';
import { type Call, type EndedBy, stateOf } from '../call.js';
import type { CallChanges } from '../changes.js';
import { CallError } from '../errors.js';
import { timeline } from '../record.js';
import type { CallStore } from '../store.js';
import { Byes } from './byes.js';
import { type HangupResult, isEndedByUs, legsOf, legsWithoutBye, resultOf } from './outcome.js';
import { HangupRun } from './run.js';

export interface HangupRequest {
  /** who asks: the name of the API token, or a part of the control plane */
  by: string;
  /** free text for the Reason header and the record */
  reason?: string | undefined;
  /** what the record is going to say; default `api` */
  endedBy?: EndedBy;
}

export interface HangupOptions {
  store: CallStore;
  changes: CallChanges;
  nodes: ReadonlyMap<string, KamailioNode>;
  /** Longest wait for the wire, in ms. */
  timeoutMs: number;
}

/** A hangup that another request started, on this replica or another, is waited for, not repeated. */
const LOCK_SLACK_MS = 2000;

/**
 * Ends calls in every state and says what the wire said. Kamailio's own answer proves nothing: the outcome is read
 * off the events of the requests that it sent (kamailio#4268, #4169).
 */
export class Hangup {
  readonly #o: HangupOptions;
  readonly #byes: Byes;
  readonly #running = new Map<string, Promise<HangupResult>>();

  constructor(options: HangupOptions) {
    this.#o = options;
    this.#byes = new Byes(options);
  }

  /**
   * Ends the call and waits for the wire. One that is asked for while another runs joins it.
   *
   * @throws CallError where there is no such call, or the node that could end it does not answer
   */
  async hangup(id: string, request: HangupRequest): Promise<HangupResult> {
    const joined = this.#running.get(id);
    if (joined !== undefined) return joined;
    const started = this.#start(id, request).finally(() => this.#running.delete(id));
    this.#running.set(id, started);
    return started;
  }

  /**
   * Sends the BYE of each leg that Kamailio sent none when it ended the call, by whatever command or time limit.
   * Does nothing for calls that their own sides ended, and once for each leg.
   */
  async sendMissingByes(id: string): Promise<void> {
    const call = await this.#o.store.get(id);
    if (call?.answered_at === undefined || stateOf(call) !== 'ended' || !isEndedByUs(call)) return;
    const command = call.timeline.findLast(({ type }) => type === 'hangup_requested');
    const reason = typeof command?.reason === 'string' ? command.reason : call.reason;
    await this.#byes.send(call, legsWithoutBye(call), reasonHeader(reason));
  }

  async #start(id: string, request: HangupRequest): Promise<HangupResult> {
    const read = async (): Promise<Call> => {
      const call = await this.#o.store.get(id);
      if (call === undefined) throw new CallError('call_not_found', `there is no call ${id}`);
      return call;
    };
    // The watch comes before the first look, so that nothing is missed between the two.
    const watch = await this.#o.changes.watch(id, (field) => /^(?!t:|bye_.*_sent_at|hangup_)/.test(field));
    const lock = `hangup:${id}`;
    let acts = false;
    try {
      const call = await read();
      if (stateOf(call) === 'ended' && !this.#isBeingConfirmed(call))
        return { outcome: 'already_ended', legs: legsOf(call) };
      acts = await this.#o.store.lock(lock, this.#o.timeoutMs + LOCK_SLACK_MS);
      if (acts) await this.#note(id, request);
      const run = new HangupRun({
        call,
        read,
        watch,
        nodes: this.#o.nodes,
        byes: this.#byes,
        acts,
        endedBy: request.endedBy ?? 'api',
        reason: reasonHeader(request.reason),
        deadlineMs: Date.now() + this.#o.timeoutMs,
      });
      return await run.run();
    } finally {
      watch.stop();
      if (acts) await this.#o.store.unlock(lock);
    }
  }

  /** Whether the call ended a moment ago, and the wire may still tell what came of requests of ours. */
  #isBeingConfirmed(call: Call): boolean {
    return resultOf(call) === undefined && Date.now() - (call.ended_at ?? 0) < this.#o.timeoutMs;
  }

  async #note(id: string, { by, reason, endedBy = 'api' }: HangupRequest): Promise<void> {
    const at = Date.now();
    const entry = timeline({ at: at * 1000, type: 'hangup_requested' }, { by, reason, ended_by: endedBy });
    await this.#o.store.merge([{ id, atMs: at, fields: { hangup_ended_by: endedBy, ...entry } }]);
  }
}

/** RFC 3326. Quotes and control characters would break the header or add another. */
function reasonHeader(reason: string | undefined): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to go
  const text = (reason ?? 'hangup').replace(/[\u0000-\u001f\u007f"\\]/g, ' ').slice(0, 200);
  return `SIP;cause=200;text="${text}"`;
}
