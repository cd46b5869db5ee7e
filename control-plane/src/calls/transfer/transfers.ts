import { randomUUID } from 'node:crypto';
import type { ActiveConfig } from '../../config/active.js';
import type { Config } from '../../config/schema.js';
import { KamailioError } from '../../kamailio/errors.js';
import type { KamailioNode, ReferStart } from '../../kamailio/node.js';
import { type Call, stateOf } from '../call.js';
import type { CallChanges } from '../changes.js';
import type { DueWork } from '../due/work.js';
import { CallError } from '../errors.js';
import type { CallStore } from '../store.js';
import { parseDestination, refusalOf } from './destination.js';
import { TransferError } from './errors.js';
import { orderOf, targetOf } from './order.js';
import { hostOfUri, shapeRefer } from './refer.js';
import { lateAfter, type TransferTracker } from './tracker.js';
import {
  endField,
  type OnFailure,
  type Transfer,
  type TransferEnd,
  type TransferRequest,
  type TransferSource,
  transferFields,
} from './transfer.js';

export interface TransferOrder {
  to: string;
  headers?: Readonly<Record<string, string>> | undefined;
  referredBy?: string | undefined;
  /** default `resume` */
  onFailure?: OnFailure | undefined;
  source: Exclude<TransferSource, 'retell'>;
  /** who asks: the name of the API token, or the agent */
  by: string;
  /** the agent that asks, whose own list counts too */
  agentId?: string | undefined;
}

export interface TransfersOptions {
  config: ActiveConfig;
  store: CallStore;
  changes: CallChanges;
  nodes: ReadonlyMap<string, KamailioNode>;
  tracker: TransferTracker;
  due: Pick<DueWork, 'apply'>;
  /** Told of each transfer that was begun by command. */
  begun: (source: TransferSource) => void;
}

/** Longest that one command keeps others of the same call waiting, in ms. */
const COMMAND_MS = 10_000;

/** Sends calls on by REFER and says how that ended. What the wire tells is worked out by the tracker. */
export class Transfers {
  readonly #o: TransfersOptions;

  constructor(options: TransfersOptions) {
    this.#o = options;
  }

  /**
   * Sends the REFER to the carrier's side of an answered call.
   *
   * @returns the transfer; how it ends comes later
   * @throws CallError, TransferError
   */
  async begin(callId: string, order: TransferOrder): Promise<Transfer> {
    const { store } = this.#o;
    const call = await this.#upCall(callId);
    const { carrier, request } = this.#requestFor(call, order);
    const lock = `transfer:${callId}`;
    if (!(await store.lock(lock, COMMAND_MS))) throw inProgress();
    try {
      const { transfers } = await this.#upCall(callId);
      if (transfers.some(({ end }) => end === undefined)) throw inProgress();
      const node = this.#o.nodes.get(call.node);
      if (node === undefined) {
        throw new CallError('node_unknown', `the call is on ${call.node}, which is not configured`);
      }
      return await this.#send(call, node, request, carrier);
    } finally {
      await store.unlock(lock);
    }
  }

  /** @throws CallError */
  async get(callId: string, transferId: string): Promise<Transfer> {
    const call = await this.#o.store.get(callId);
    if (call === undefined) throw new CallError('call_not_found', `there is no call ${callId}`);
    const transfer = call.transfers.find(({ id }) => id === transferId);
    if (transfer === undefined) {
      throw new CallError('transfer_not_found', `the call has no transfer ${transferId}`);
    }
    return transfer;
  }

  /**
   * Waits for the end of a transfer.
   *
   * @returns the transfer, with its end where that came in time
   */
  async wait(callId: string, transferId: string, timeoutMs: number): Promise<Transfer> {
    const deadlineMs = Date.now() + timeoutMs;
    const watch = await this.#o.changes.watch(callId, (field) => field === endField(transferId));
    try {
      for (;;) {
        const transfer = await this.get(callId, transferId);
        const leftMs = deadlineMs - Date.now();
        if (transfer.end !== undefined || leftMs <= 0) return transfer;
        await watch.next(leftMs);
      }
    } finally {
      watch.stop();
    }
  }

  async #upCall(callId: string): Promise<Call> {
    const call = await this.#o.store.get(callId);
    if (call === undefined) throw new CallError('call_not_found', `there is no call ${callId}`);
    const state = stateOf(call);
    if (state === 'ended') throw new CallError('call_ended', 'the call is over');
    if (state !== 'answered' || call.dialog === undefined) {
      throw new CallError(
        'call_not_answered',
        `the call is ${state}; it can be transferred once it is answered`,
      );
    }
    return call;
  }

  #requestFor(
    call: Call,
    order: TransferOrder,
  ): { carrier: Config['carriers'][number]; request: TransferRequest } {
    const config = this.#o.config.current;
    const destination = parseDestination(order.to);
    const { number } = call;
    const agentId = order.agentId ?? (order.source === 'function' ? call.agent_id : undefined);
    const refusal = refusalOf(destination, config, { number, agentId });
    if (refusal !== undefined) throw new TransferError('not_allowed', refusal);
    const carrier = config.carriers.find(({ name }) => name === call.carrier);
    if (carrier === undefined) {
      throw new TransferError(
        'unsupported',
        `the carrier ${call.carrier ?? ''} of the call is not configured any more`,
      );
    }
    const host = hostOfUri(targetOf(call)?.contact ?? '');
    const { headers, referredBy } = order;
    const refer = shapeRefer(destination, { carrier, host, number, headers, referredBy });
    return {
      carrier,
      request: {
        source: order.source,
        by: order.by,
        to: order.to,
        refer_to: refer.referTo,
        on_failure: order.onFailure ?? 'resume',
        requested_at: Date.now(),
        timeout_s: carrier.transfer.timeout_s,
        warnings: refer.warnings,
        headers: refer.headers,
      },
    };
  }

  /** It is in the record, and its time runs, before anything is sent: it has an end whatever becomes of this process. */
  async #send(
    call: Call,
    node: KamailioNode,
    request: TransferRequest,
    carrier: Config['carriers'][number],
  ): Promise<Transfer> {
    const { store, due, begun } = this.#o;
    const id = randomUUID();
    const transfer: Transfer = { id, ...request, ...NOTHING_TOLD };
    await due.apply([lateAfter(call.id, transfer)]);
    await store.merge([
      { id: call.id, atMs: transfer.requested_at, fields: transferFields.requested(id, request) },
    ]);
    begun(transfer.source);
    const order = orderOf(call, transfer, [], 1);
    if (order === undefined) throw new CallError('call_not_answered', 'the record of the call has no dialog');
    const notSent = (reason: string) =>
      this.#end(call.id, transfer, { outcome: 'failed', reason: `not sent: ${reason}`, at: Date.now() });
    let start: ReferStart;
    try {
      start = await node.refer(order);
    } catch (error) {
      if (!(error instanceof KamailioError)) throw error;
      // A node that hangs may still send it: then the wire tells, or the transfer times out.
      if (error.code !== 'KAMAILIO_TIMEOUT') await notSent('the node does not answer');
      throw new CallError('node_unavailable', error.message);
    }
    if (start === 'sent') return transfer;
    if (start === 'call_ended') {
      const reason = 'not sent: the call was over';
      await this.#end(call.id, transfer, { outcome: 'call_ended', reason, at: Date.now() });
      throw new CallError('call_ended', 'the call is over');
    }
    if (start === 'limited') {
      await notSent('as many transfers have begun in this minute as may');
      throw new CallError(
        'transfers_limited',
        `transfers.per_minute transfers have begun on ${node.name} in this minute, ${carrier.name} gets no REFER`,
      );
    }
    await notSent('another transfer of the call is under way');
    throw inProgress();
  }

  async #end(callId: string, transfer: Transfer, end: TransferEnd): Promise<void> {
    await this.#o.due.apply(await this.#o.tracker.end(callId, transfer, end));
  }
}

const NOTHING_TOLD = {
  accepted_at: undefined,
  trying_at: undefined,
  ringing_at: undefined,
  end: undefined,
  told: undefined,
};

function inProgress(): CallError {
  return new CallError('transfer_in_progress', 'another transfer of the call is under way');
}
