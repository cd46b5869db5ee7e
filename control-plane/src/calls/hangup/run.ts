import { KamailioError } from '../../kamailio/errors.js';
import type { HangupStart, KamailioNode } from '../../kamailio/node.js';
import { type Call, type EndedBy, isUnplaced, stateOf } from '../call.js';
import type { ChangeWatch } from '../changes.js';
import { CallError } from '../errors.js';
import type { Byes } from './byes.js';
import { type HangupResult, lateResultOf, legsWithoutBye, resultOf } from './outcome.js';

export interface HangupRunOptions {
  /** The call's record, as it was after the watch began. */
  call: Call;
  /** Reads it anew. */
  read: () => Promise<Call>;
  watch: ChangeWatch;
  nodes: ReadonlyMap<string, KamailioNode>;
  byes: Byes;
  /** Whether this run acts; otherwise another replica does, and this one only waits for the wire. */
  acts: boolean;
  endedBy: EndedBy;
  /** Value of the Reason header. */
  reason: string;
  /** When the wait for the wire is over, in ms since 1970. */
  deadlineMs: number;
}

/** A node that does not know an answered call may just have seen its BYE: the event of that is waited for, in ms. */
const LOST_MS = 150;
/** How soon a node is asked again that could not act yet, in ms. */
const RETRY_MS = 200;
/** A CANCEL that could not leave, because the callee had said nothing, is asked for again after this, in ms. */
const CANCEL_AGAIN_MS = 500;
/** A callee that does not answer its CANCEL keeps the caller waiting no longer than this, in ms. */
const FORCE_AFTER_MS = 1000;
/**
 * The same where it has not rung, in ms: one that says nothing at all is given up by Kamailio before, after 3 s, or later
 * where its timer is late.
 */
const FORCE_UNRUNG_AFTER_MS = 4500;
/** In any case there is time left for the caller to answer: the share of the whole wait after which it is forced. */
const FORCE_SHARE = 0.7;
/**
 * Kamailio hands both BYEs over in one go and may lose the second (kamailio#4268, #4169): where the event of one
 * has come and that of the other has not after this, in ms, it was never sent.
 */
const SECOND_BYE_MS = 250;
/** The same where neither has come, though the end of the dialog has. */
const BOTH_BYES_MS = 1000;
/**
 * Where not even that has come, events are late rather than lost, and BYEs of ours would only add to the load: the
 * share of the wait after which they are sent all the same.
 */
const LATE_EVENTS_SHARE = 0.5;

/** One hangup of one call: acts as the call's state needs, again where the state changes, until the wire has answered. */
export class HangupRun {
  readonly #o: HangupRunOptions;
  #nextActMs = 0;
  #started: HangupStart['action'] = 'none';
  #byesAtMs: number | undefined;
  #forceAtMs = Number.POSITIVE_INFINITY;
  #unknownSinceMs: number | undefined;

  constructor(options: HangupRunOptions) {
    this.#o = options;
  }

  /** @throws CallError where the node that could end the call does not answer, and nothing was started */
  async run(): Promise<HangupResult> {
    for (let call = this.#o.call; ; call = await this.#o.read()) {
      const result = resultOf(call);
      if (result !== undefined) return result;
      if (Date.now() >= this.#o.deadlineMs) return lateResultOf(call);
      if (call.answered_at !== undefined && this.#byesAtMs === undefined && this.#started !== 'none') {
        // It was answered while it was being refused.
        this.#started = 'none';
        this.#nextActMs = 0;
      }
      if (this.#o.acts && Date.now() >= this.#nextActMs) await this.#act(call);
      const until = this.#o.acts ? Math.min(this.#o.deadlineMs, this.#nextActMs) : this.#o.deadlineMs;
      await this.#o.watch.next(Math.max(0, until - Date.now()));
    }
  }

  async #act(call: Call): Promise<void> {
    if (this.#byesAtMs !== undefined) return this.#completeByes(call, this.#byesAtMs);
    if (isUnplaced(call) && stateOf(call) !== 'ended') {
      // Nobody has it yet: it is ended once its INVITE comes.
      this.#nextActMs = Date.now() + RETRY_MS;
      return;
    }
    if (stateOf(call) === 'ended') {
      // By another command or a time limit, whose BYEs are on their way.
      return this.#byesStarted();
    }
    try {
      this.#next(call, await this.#start(call));
    } catch (error) {
      if (!(error instanceof KamailioError)) throw error;
      await this.#withoutNode(call, error);
    }
    if (this.#isLost(call)) await this.#sendByes(call);
  }

  async #start(call: Call): Promise<HangupStart | undefined> {
    const node = this.#o.nodes.get(call.node);
    if (node === undefined) {
      if (call.dialog !== undefined) return undefined;
      throw new CallError('node_unknown', `the call is on ${call.node}, which is not configured`);
    }
    const dialog = {
      sip_call_id: call.sip_call_id ?? '',
      from_tag: call.from_tag ?? '',
      to_tag: call.dialog?.callee.tag,
    };
    return node.hangUp(dialog, this.#o.endedBy, this.#o.reason, Date.now() >= this.#forceAtMs);
  }

  /** Decides when to look again at what the node has started. */
  #next(call: Call, started: HangupStart | undefined): void {
    this.#started = started?.action ?? 'none';
    if (started?.action === 'bye') {
      this.#byesStarted();
    } else if (started?.action === 'refuse') {
      this.#nextActMs = Number.POSITIVE_INFINITY;
    } else if (started?.action === 'cancel') {
      const waitMs = started.state === 2 ? FORCE_AFTER_MS : FORCE_UNRUNG_AFTER_MS;
      const leftMs = (this.#o.deadlineMs - Date.now()) * FORCE_SHARE;
      this.#forceAtMs = Math.min(this.#forceAtMs, Date.now() + Math.min(waitMs, leftMs));
      this.#nextActMs = Math.min(
        Date.now() + CANCEL_AGAIN_MS,
        Math.max(this.#forceAtMs, Date.now() + RETRY_MS),
      );
    } else {
      if (started === undefined && call.dialog !== undefined) this.#unknownSinceMs ??= Date.now();
      this.#nextActMs = Date.now() + (started === undefined ? LOST_MS : RETRY_MS);
    }
  }

  /** The call's node is down or hangs. A dead one has no dialogs: then the record is enough, through another node. */
  async #withoutNode(call: Call, error: KamailioError): Promise<void> {
    if (error.nodeIsGone && call.dialog !== undefined && (await this.#sendByes(call))) return;
    if (this.#started === 'none') throw new CallError('node_unavailable', error.message);
    this.#nextActMs = Date.now() + CANCEL_AGAIN_MS;
  }

  #isLost(call: Call): boolean {
    const since = this.#unknownSinceMs;
    return call.dialog !== undefined && since !== undefined && Date.now() - since >= LOST_MS;
  }

  /** BYEs from the record, to both legs. */
  async #sendByes(call: Call): Promise<boolean> {
    const sent = await this.#o.byes.send(call, ['carrier', 'retell'], this.#o.reason);
    if (sent) this.#byesAtMs = Date.now();
    this.#nextActMs = sent ? Number.POSITIVE_INFINITY : Date.now() + RETRY_MS;
    return sent;
  }

  #byesStarted(): void {
    this.#byesAtMs = Date.now();
    this.#nextActMs = this.#byesAtMs + SECOND_BYE_MS;
  }

  /** A leg whose BYE was not seen leaving gets one from the record. */
  async #completeByes(call: Call, sinceMs: number): Promise<void> {
    const missing = legsWithoutBye(call);
    const leftMs = this.#o.deadlineMs - sinceMs;
    const waitMs =
      stateOf(call) === 'ended' ? BOTH_BYES_MS : Math.max(BOTH_BYES_MS, leftMs * LATE_EVENTS_SHARE);
    if (missing.length === 2 && Date.now() < sinceMs + waitMs) {
      this.#nextActMs = sinceMs + waitMs;
      return;
    }
    this.#nextActMs = Number.POSITIVE_INFINITY;
    await this.#o.byes.send(call, missing, this.#o.reason);
  }
}
