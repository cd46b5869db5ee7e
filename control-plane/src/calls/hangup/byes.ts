import { KamailioError } from '../../kamailio/errors.js';
import type { KamailioNode, LegAddress } from '../../kamailio/node.js';
import { type Call, callerLeg, type DialogIdentity, type Leg } from '../call.js';
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
    const { dialog } = call;
    if (dialog === undefined) return false;
    const sent = await Promise.all(
      legs.map((leg) => this.#sendOnce(call, leg, endsOf(dialog, leg === callerLeg(call.direction)), reason)),
    );
    return sent.includes(true);
  }

  async #sendOnce(call: Call, leg: Leg, { to, from }: Ends, reason: string): Promise<boolean> {
    const lock = `bye:${call.id}:${leg}`;
    if (!(await this.#o.store.lock(lock, ONCE_MS))) return true;
    for (const [name, node] of this.#nodesFor(call)) {
      const target = name === call.node ? to : { ...to, socket: undefined };
      try {
        await node.sendBye(call.sip_call_id ?? '', target, from, reason);
        return true;
      } catch (error) {
        // The leg stays without a BYE, and the outcome says so.
        if (!(error instanceof KamailioError)) throw error;
      }
    }
    await this.#o.store.unlock(lock);
    return false;
  }

  /** The call's own node first: its peers know its address. */
  #nodesFor(call: Call): [string, KamailioNode][] {
    const rank = (name: string) => (name === call.node ? 0 : 1);
    return [...this.#o.nodes].sort(([a], [b]) => rank(a) - rank(b));
  }
}

/** The leg that gets the BYE, and the other one. */
interface Ends {
  to: LegAddress;
  from: LegAddress;
}

function endsOf({ caller, callee, from_uri, to_uri }: DialogIdentity, toCaller: boolean): Ends {
  const ends = { caller: { ...caller, uri: from_uri }, callee: { ...callee, uri: to_uri } };
  return toCaller ? { to: ends.caller, from: ends.callee } : { to: ends.callee, from: ends.caller };
}
