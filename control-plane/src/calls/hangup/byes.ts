import { KamailioError } from '../../kamailio/errors.js';
import type { KamailioNode } from '../../kamailio/node.js';
import { type Call, callerLeg, type Leg } from '../call.js';
import type { CallStore } from '../store.js';

export interface ByesOptions {
  store: CallStore;
  nodes: ReadonlyMap<string, KamailioNode>;
}

/** A leg gets one BYE from the record within this time, whoever asks for it, in ms. */
const ONCE_MS = 60_000;

/**
 * BYEs that are built from a call's record, for legs that Kamailio sent none: because it lost one of two
 * (kamailio#4268, #4169), or because it has lost the dialog.
 */
export class Byes {
  readonly #o: ByesOptions;

  constructor(options: ByesOptions) {
    this.#o = options;
  }

  /**
   * Sends each leg one BYE through the call's own node, or through any other where that one is gone.
   *
   * @param reason value of the Reason header
   * @returns whether a node took one, now or shortly before: what becomes of it comes as events
   */
  async send(call: Call, legs: readonly Leg[], reason: string): Promise<boolean> {
    const sent = await Promise.all(legs.map((leg) => this.#sendOnce(call, leg, reason)));
    return sent.includes(true);
  }

  async #sendOnce(call: Call, leg: Leg, reason: string): Promise<boolean> {
    const lock = `bye:${call.id}:${leg}`;
    if (!(await this.#o.store.lock(lock, ONCE_MS))) return true;
    for (const [name, node] of this.#nodesFor(call)) {
      if (await this.#trySend(node, name === call.node, call, leg, reason)) return true;
    }
    await this.#o.store.unlock(lock);
    return false;
  }

  /** The call's own node first: its peers know its address. */
  #nodesFor(call: Call): [string, KamailioNode][] {
    const rank = (name: string) => (name === call.node ? 0 : 1);
    return [...this.#o.nodes].sort(([a], [b]) => rank(a) - rank(b));
  }

  async #trySend(node: KamailioNode, isOwn: boolean, call: Call, leg: Leg, reason: string): Promise<boolean> {
    if (call.dialog === undefined) return false;
    const { from_uri, to_uri, caller, callee } = call.dialog;
    const ends = [
      { ...caller, uri: from_uri },
      { ...callee, uri: to_uri },
    ] as const;
    const [to, from] = leg === callerLeg(call.direction) ? ends : [ends[1], ends[0]];
    try {
      await node.sendBye(
        call.sip_call_id ?? '',
        { ...to, socket: isOwn ? to.socket : undefined },
        from,
        reason,
      );
      return true;
    } catch (error) {
      // The leg stays without a BYE, and the outcome says so.
      if (error instanceof KamailioError) return false;
      throw error;
    }
  }
}
