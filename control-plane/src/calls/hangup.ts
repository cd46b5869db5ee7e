import { setTimeout as delay } from 'node:timers/promises';
import { KamailioError } from '../kamailio/errors.js';
import type { Dialog, KamailioNode } from '../kamailio/node.js';
import { type Call, callerLeg, type Leg, stateOf } from './call.js';
import type { CallChanges } from './changes.js';
import { CallError } from './errors.js';
import { timeline } from './record.js';
import type { CallStore } from './store.js';

/**
 * `ended`: the BYE of both legs was answered. `partial`: that of one leg only. `failed`: no leg answered,
 * or nothing was sent. `already_ended`: the call had ended, or its own side hung up first.
 */
export type HangupOutcome = 'ended' | 'already_ended' | 'partial' | 'failed';

export interface LegOutcome {
  leg: Leg;
  /** null where no request was sent to this leg */
  method: 'BYE' | null;
  /** status of the final reply, `timeout` where a BYE was sent and none came, null where none was sent */
  status: number | 'timeout' | null;
}

export interface HangupResult {
  outcome: HangupOutcome;
  legs: LegOutcome[];
}

export interface HangupRequest {
  /** who asks: the name of the API token */
  by: string;
  /** free text for the Reason header and the record */
  reason?: string | undefined;
}

export interface HangupOptions {
  store: CallStore;
  changes: CallChanges;
  nodes: ReadonlyMap<string, KamailioNode>;
  /** Longest wait for the replies to the BYEs, in ms. */
  timeoutMs: number;
}

/** A hangup that another request started, on this replica or another, is waited for, not repeated. */
const LOCK_SLACK_MS = 2000;
/**
 * Kamailio hands both BYEs over in one go, and may lose the second (kamailio#4268, #4169): where the event of
 * one has come and that of the other is still missing after this, in ms, it was never sent.
 */
const MISSING_BYE_MS = 250;

/**
 * Ends answered calls and says what the wire said. Kamailio's own answer proves nothing: the outcome is
 * read off the events of the BYEs (kamailio#4268, #4169).
 */
export class Hangup {
  readonly #o: HangupOptions;
  readonly #running = new Map<string, Promise<HangupResult>>();

  constructor(options: HangupOptions) {
    this.#o = options;
  }

  /**
   * Ends the call and waits for the wire.
   *
   * @throws CallError where there is no such call, it is not answered, or its node does not answer
   */
  async hangup(id: string, request: HangupRequest): Promise<HangupResult> {
    const joined = this.#running.get(id);
    if (joined !== undefined) return joined;
    const started = this.#start(id, request).finally(() => this.#running.delete(id));
    this.#running.set(id, started);
    return started;
  }

  async #start(id: string, request: HangupRequest): Promise<HangupResult> {
    const call = await this.#read(id);
    if (stateOf(call) === 'ended') return { outcome: 'already_ended', legs: legsOf(call) };
    if (stateOf(call) !== 'answered') {
      throw new CallError(
        'call_not_answered',
        `the call is ${stateOf(call)}: only answered calls can be hung up`,
      );
    }
    const watch = await ChangeWatch.start(this.#o.changes, id);
    try {
      return await this.#actOnce(call, request, watch);
    } finally {
      watch.stop();
    }
  }

  /** Acts unless a hangup of this call runs on another replica, which then has acted; waits for the wire. */
  async #actOnce(call: Call, request: HangupRequest, watch: ChangeWatch): Promise<HangupResult> {
    const lock = `hangup:${call.id}`;
    const first = await this.#o.store.lock(lock, this.#o.timeoutMs + LOCK_SLACK_MS);
    try {
      const acted = first ? await this.#sendByes(call, request) : true;
      return await this.#outcome(call.id, watch, acted, request);
    } finally {
      if (first) await this.#o.store.unlock(lock);
    }
  }

  /** @returns whether Kamailio had a dialog to end */
  async #sendByes(call: Call, request: HangupRequest): Promise<boolean> {
    const node = this.#o.nodes.get(call.node);
    if (node === undefined)
      throw new CallError('node_unknown', `the call is on ${call.node}, which is not configured`);
    await this.#o.store.merge([
      {
        id: call.id,
        atMs: Date.now(),
        fields: timeline(
          { at: Date.now() * 1000, type: 'hangup_requested' },
          { by: request.by, reason: request.reason },
        ),
      },
    ]);
    try {
      const dialog = await node.dialog(call.sip_call_id ?? '');
      if (dialog === undefined || !isConfirmed(dialog)) return false;
      return await node.endDialog(call.sip_call_id ?? '', dialog, 'api', reasonHeader(request.reason));
    } catch (error) {
      if (!(error instanceof KamailioError)) throw error;
      // The node failed after it may have acted: only the wire can tell. Before that, nothing was sent.
      if (error.code === 'KAMAILIO_TIMEOUT' && error.method === 'dlg.end_dlg') return true;
      throw new CallError('node_unavailable', error.message);
    }
  }

  async #outcome(
    id: string,
    watch: ChangeWatch,
    acted: boolean,
    request: HangupRequest,
  ): Promise<HangupResult> {
    const started = Date.now();
    const deadline = started + this.#o.timeoutMs;
    let healing = started + MISSING_BYE_MS;
    for (;;) {
      const call = await this.#read(id);
      const legs = legsOf(call);
      const answered = legs.filter(({ status }) => typeof status === 'number').length;
      if (answered === 2) return { outcome: 'ended', legs };
      if (call.ended_by === 'carrier' || call.ended_by === 'retell')
        return { outcome: 'already_ended', legs };
      const now = Date.now();
      if (now >= deadline || !acted) return { outcome: answered === 1 ? 'partial' : 'failed', legs };
      if (now >= healing) {
        healing = Number.POSITIVE_INFINITY;
        await this.#sendMissingBye(call, request);
      }
      await watch.next(Math.min(deadline, healing) - now);
    }
  }

  /** One leg got its BYE and the other none: it gets one from the record, once, whichever replica asks. */
  async #sendMissingBye(call: Call, request: HangupRequest): Promise<void> {
    const missing = legsOf(call).filter(({ method }) => method === null);
    const [leg] = missing;
    const node = this.#o.nodes.get(call.node);
    if (missing.length !== 1 || leg === undefined || node === undefined || call.dialog === undefined) return;
    if (!(await this.#o.store.lock(`bye:${call.id}`, this.#o.timeoutMs + LOCK_SLACK_MS))) return;
    const { from_uri, to_uri } = call.dialog;
    const caller = { ...call.dialog.caller, uri: from_uri };
    const callee = { ...call.dialog.callee, uri: to_uri };
    const [to, from] = leg.leg === callerLeg(call.direction) ? [caller, callee] : [callee, caller];
    try {
      await node.sendBye(call.sip_call_id ?? '', to, from, reasonHeader(request.reason));
    } catch (error) {
      // The leg stays without a BYE, and the outcome says so.
      if (!(error instanceof KamailioError)) throw error;
    }
  }

  async #read(id: string): Promise<Call> {
    const call = await this.#o.store.get(id);
    if (call === undefined) throw new CallError('call_not_found', `there is no call ${id}`);
    return call;
  }
}

/** States 3 (no ACK yet) and 4: in any other end_dlg sends nothing and says the same (kamailio.md B). */
function isConfirmed(dialog: Dialog): boolean {
  return dialog.state === 3 || dialog.state === 4;
}

function legsOf(call: Call): LegOutcome[] {
  return (['carrier', 'retell'] as const).map((leg) => {
    const { sent_at, status } = call.bye[leg];
    const sent = sent_at !== undefined || status !== undefined;
    return { leg, method: sent ? 'BYE' : null, status: status ?? (sent ? 'timeout' : null) };
  });
}

/** RFC 3326. Quotes and control characters would break the header or add another. */
function reasonHeader(reason: string | undefined): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to go
  const text = (reason ?? 'hangup').replace(/[\u0000-\u001f\u007f"\\]/g, ' ').slice(0, 200);
  return `SIP;cause=200;text="${text}"`;
}

/** Waits for changes of one call, and misses none between two waits. */
class ChangeWatch {
  #changed = false;
  #wake: (() => void) | undefined;
  #stop: () => void = () => {};

  static async start(changes: CallChanges, id: string): Promise<ChangeWatch> {
    const watch = new ChangeWatch();
    watch.#stop = await changes.watch(id, () => {
      watch.#changed = true;
      watch.#wake?.();
    });
    return watch;
  }

  async next(timeoutMs: number): Promise<void> {
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (!this.#changed) {
      const timeout = delay(timeoutMs, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([woken, timeout]);
      timer.abort();
    }
    this.#changed = false;
  }

  stop(): void {
    this.#stop();
  }
}
