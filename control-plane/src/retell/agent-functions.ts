import { setTimeout as delay } from 'node:timers/promises';
import type { Call } from '../calls/call.js';
import { CallError } from '../calls/errors.js';
import type { Hangup } from '../calls/hangup/hangup.js';
import { matchFields } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import { TransferError } from '../calls/transfer/errors.js';
import { failureNotice } from '../calls/transfer/sentences.js';
import { type OnFailure, type Transfer, transferFields } from '../calls/transfer/transfer.js';
import type { Transfers } from '../calls/transfer/transfers.js';
import type { Config } from '../config/schema.js';
import type { CallFinder } from './call-finder.js';
import type { FunctionCall } from './function-call.js';

/** How a function was answered. `refused`: it asked for what cannot be. `failed`: something of ours did not work. */
export type FunctionOutcome = 'begun' | 'done' | 'refused' | 'not_done' | 'failed';

/** What the agent is answered: a sentence that it can use. */
export interface FunctionAnswer {
  result: string;
  outcome: FunctionOutcome;
  /** Our id of the call and the transfer, as far as there are any. */
  callId?: string;
  transferId?: string;
}

export interface AgentFunctionsOptions {
  config: { readonly current: Config };
  store: CallStore;
  finder: CallFinder;
  transfers: Pick<Transfers, 'begin' | 'wait'>;
  hangup: Pick<Hangup, 'hangup'>;
}

/** An agent waits, and the caller hears nothing meanwhile, in ms. */
const ANSWER_MS = 1500;

/** What an agent can do with its own call. The answers are for a language model: short, and with what to do next. */
export class AgentFunctions {
  readonly #o: AgentFunctionsOptions;

  constructor(options: AgentFunctionsOptions) {
    this.#o = options;
  }

  /** Transfers the agent's call to `args.to`. @throws where Redis does not answer */
  async transferCall({ call: told, args }: FunctionCall): Promise<FunctionAnswer> {
    const call = await this.#callOf(told);
    if (call === undefined) return refused(`The call was not transferred: ${UNKNOWN_CALL}`);
    const { to, headers, on_failure } = args;
    if (typeof to !== 'string') {
      return refused(
        'The call was not transferred: the argument "to" is missing. Call the function again with it.',
        call,
      );
    }
    const by = told?.agent_id ?? call.agent_id ?? 'agent';
    try {
      const transfer = await this.#o.transfers.begin(call.id, {
        to: to.trim(),
        headers: isStrings(headers) ? headers : undefined,
        onFailure: isOnFailure(on_failure) ? on_failure : undefined,
        source: 'function',
        by,
        agentId: told?.agent_id,
      });
      return await this.#answerOf(call, await this.#o.transfers.wait(call.id, transfer.id, ANSWER_MS));
    } catch (error) {
      return { ...refusalOf(error), callId: call.id };
    }
  }

  /** Ends the agent's call. @throws where Redis does not answer */
  async endCall({ call: told, args }: FunctionCall): Promise<FunctionAnswer> {
    const call = await this.#callOf(told);
    if (call === undefined) return refused(`The call was not ended: ${UNKNOWN_CALL}`);
    const reason = typeof args.reason === 'string' && args.reason !== '' ? args.reason : 'ended by the agent';
    const ended = this.#o.hangup.hangup(call.id, { by: 'function', endedBy: 'function', reason });
    try {
      const result = await Promise.race([ended, delay(ANSWER_MS)]);
      if (result?.outcome === 'failed') {
        return {
          result: 'The call could not be ended. Say goodbye and wait.',
          outcome: 'failed',
          callId: call.id,
        };
      }
      const done = result !== undefined;
      return {
        result: done ? 'The call is ended.' : 'The call is being ended.',
        outcome: done ? 'done' : 'begun',
        callId: call.id,
      };
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      return {
        result: 'The call could not be ended. Say goodbye and wait.',
        outcome: 'failed',
        callId: call.id,
      };
    } finally {
      // What it comes to after the answer is in the record.
      ended.catch(() => {});
    }
  }

  async #callOf(told: FunctionCall['call']): Promise<Call | undefined> {
    if (told === undefined) return undefined;
    const found = await this.#o.finder.find(told, true, Date.now(), true);
    if (found === undefined || found === 'foreign') return undefined;
    if (found.by === undefined) return found.call;
    // Its webhook has not come yet; without this id the agent could not be told how a transfer ends.
    const fields = {
      ...matchFields(told.call_id, found.by),
      ...(told.agent_id && { agent_id: told.agent_id }),
    };
    await this.#o.store.merge([{ id: found.call.id, atMs: Date.now(), fields }]);
    return found.call;
  }

  async #answerOf(call: Call, { id, to, end }: Transfer): Promise<FunctionAnswer> {
    const about = { callId: call.id, transferId: id };
    if (end === undefined) {
      return {
        ...about,
        result: `The transfer to ${to} is under way. Say nothing more, unless you are told that it did not work.`,
        outcome: 'begun',
      };
    }
    if (end.outcome === 'succeeded')
      return { ...about, result: 'The caller was transferred.', outcome: 'done' };
    if (end.outcome === 'call_ended') return { ...about, result: 'The call is over.', outcome: 'not_done' };
    const at = Date.now();
    await this.#o.store.merge([
      { id: call.id, atMs: at, fields: transferFields.told(id, { at, outcome: 'told' }) },
    ]);
    const result = failureNotice(this.#o.config.current.transfers.failure_notice, to, end);
    return { ...about, result, outcome: 'not_done' };
  }
}

const UNKNOWN_CALL = 'the proxy does not know which call it is. Tell the caller that it cannot be done.';

function refused(result: string, call?: Call): FunctionAnswer {
  return { result, outcome: 'refused', ...(call && { callId: call.id }) };
}

/** @throws what is none of the calls' own errors */
function refusalOf(error: unknown): FunctionAnswer {
  if (error instanceof TransferError) {
    switch (error.code) {
      case 'invalid':
        return refused(`The call was not transferred: ${error.message}.`);
      case 'not_allowed':
        return refused(
          `The call was not transferred. ${error.message} Tell the caller, and go on with the call.`,
        );
      case 'unsupported':
        return refused(
          'The call was not transferred: its line takes no transfers. Tell the caller, and go on with the call.',
        );
    }
  }
  if (!(error instanceof CallError)) throw error;
  switch (error.code) {
    case 'transfer_in_progress':
      return { result: 'A transfer of this call is already under way. Wait.', outcome: 'begun' };
    case 'call_ended':
      return refused('The call is over.');
    case 'transfers_limited':
      return refused(
        'Too many calls are being transferred at the moment. Tell the caller, and try again in a minute.',
      );
    default:
      return { result: FAILED, outcome: 'failed' };
  }
}

/** What an agent is told where something of ours did not work. */
export const FAILED = 'It did not work, for a technical reason. Tell the caller, and go on with the call.';

function isStrings(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === 'string')
  );
}

function isOnFailure(value: unknown): value is OnFailure {
  return value === 'resume' || value === 'hangup';
}
