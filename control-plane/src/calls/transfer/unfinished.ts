import type { ActiveConfig } from '../../config/active.js';
import { KamailioError } from '../../kamailio/errors.js';
import type { EventBacklog } from '../../kamailio/event-backlog.js';
import type { KamailioNode } from '../../kamailio/node.js';
import { type Call, stateOf } from '../call.js';
import type { DueWork } from '../due/work.js';
import type { CallStore } from '../store.js';
import { answerChallenge } from './digest.js';
import { orderOf, targetOf } from './order.js';
import { endOnWire, openChallenge, referEventsOf } from './outcome.js';
import type { TransferTracker } from './tracker.js';
import type { Transfer, TransferEnd } from './transfer.js';

export interface UnfinishedOptions {
  config: ActiveConfig;
  store: CallStore;
  nodes: ReadonlyMap<string, KamailioNode>;
  tracker: TransferTracker;
  due: Pick<DueWork, 'apply'>;
  backlog: Pick<EventBacklog, 'written' | 'recorded'>;
}

/** What transfers under way need that the wire alone does not settle: an answer to a challenge, an end to silence. */
export class UnfinishedTransfers {
  readonly #o: UnfinishedOptions;

  constructor(options: UnfinishedOptions) {
    this.#o = options;
  }

  /** Answers the challenge to a REFER of ours, or ends the transfer where nobody can. @throws where it has to be tried again */
  async answerChallenge(callId: string, transferId: string): Promise<void> {
    const open = await this.#open(callId, transferId);
    if (open === undefined) return;
    const { call, transfer } = open;
    const challenge = openChallenge(referEventsOf(call.timeline, transferId));
    if (challenge?.code === undefined) return;
    const rejected = (reason: string) =>
      this.#end(callId, transfer, {
        outcome: 'rejected',
        status: challenge.code as number,
        reason,
        at: challenge.at,
      });
    if (stateOf(call) === 'ended') return;
    const carrier = this.#o.config.current.carriers.find(({ name }) => name === call.carrier);
    if (carrier?.digest === undefined)
      return rejected('the carrier challenges, and there is no digest for it');
    const node = this.#o.nodes.get(call.node);
    const uri = targetOf(call)?.contact ?? '';
    const answer = answerChallenge(challenge.challenge ?? '', { method: 'REFER', uri }, carrier.digest);
    if (answer === undefined) return rejected('the challenge of the carrier cannot be answered');
    if (node === undefined) return rejected('the node of the call is not configured');
    const name = challenge.code === 401 ? 'Authorization' : 'Proxy-Authorization';
    const order = orderOf(call, transfer, [[name, answer]], 2);
    // It was sent already, or the call is over: what the wire says of that comes by itself.
    if (order !== undefined) await node.refer(order);
  }

  /**
   * Ends a transfer that the carrier tells nothing of: its time is over, or its call. First everything that the node has
   * told has to be known.
   *
   * @throws where it has to be tried again
   */
  async endLate(callId: string, transferId: string): Promise<void> {
    const open = await this.#open(callId, transferId);
    if (open === undefined) return;
    const node = this.#o.nodes.get(open.call.node);
    if (node !== undefined && !(await this.#knowsAll(node))) {
      throw new Error('what the node tells of a transfer is not known yet');
    }
    const { call, transfer } = (await this.#open(callId, transferId)) ?? {};
    if (call === undefined || transfer === undefined) return;
    const end = endOnWire(transfer, referEventsOf(call.timeline, transferId));
    if (end !== undefined) return this.#end(callId, transfer, end);
    if (call.ended_at !== undefined) {
      return this.#end(callId, transfer, {
        outcome: 'call_ended',
        reason: `the call was ended by ${call.ended_by ?? 'somebody'}`,
        at: call.ended_at,
      });
    }
    const { requested_at, timeout_s } = transfer;
    const deadlineMs = requested_at + timeout_s * 1000;
    if (deadlineMs > Date.now()) return;
    // A control plane that was killed just then may not have sent it.
    const left = call.timeline.some(
      ({ type, transfer: id }) => id === transferId && type.startsWith('refer_'),
    );
    const reason = left ? `the carrier told of no outcome in ${timeout_s} s` : 'no REFER was seen leaving';
    return this.#end(callId, transfer, { outcome: 'timed_out', reason, at: deadlineMs });
  }

  /** A node that does not answer is not waited for, but what it told before that is. */
  async #knowsAll(node: KamailioNode): Promise<boolean> {
    const { backlog } = this.#o;
    try {
      return await backlog.written(node);
    } catch (error) {
      if (error instanceof KamailioError) return backlog.recorded(node.name);
      throw error;
    }
  }

  async #open(callId: string, transferId: string): Promise<{ call: Call; transfer: Transfer } | undefined> {
    const call = await this.#o.store.get(callId);
    const transfer = call?.transfers.find(({ id }) => id === transferId);
    return call === undefined || transfer === undefined || transfer.end !== undefined
      ? undefined
      : { call, transfer };
  }

  async #end(callId: string, transfer: Transfer, end: TransferEnd): Promise<void> {
    await this.#o.due.apply(await this.#o.tracker.end(callId, transfer, end));
  }
}
