import { stateOf } from '../calls/call.js';
import { matchFields, timeline } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import type { Config } from '../config/schema.js';
import { KamailioError } from '../kamailio/errors.js';
import type { Decision, KamailioNode } from '../kamailio/node.js';
import type { RegisterParams, RetellApi } from '../retell/api.js';
import { RetellError, reasonOf } from '../retell/errors.js';
import { metadataOf, type NumberSettings, settingsOf } from '../retell/number-settings.js';
import type { DecisionQuestion } from './decision-question.js';

/** The part of a Kamailio node that takes decisions. */
export type DecisionNode = Pick<KamailioNode, 'decide'>;

/**
 * How a question was settled. `registered`: the call went to Retell. `gone`: it did not wait any more when we
 * answered. `cancelled`: it had ended before Retell was asked. `node_failed`: the node did not say whether it
 * took the answer. All others went to the fallback or, `late`, `duplicate` and `unreadable`, were not answered.
 */
export type DecisionOutcome =
  | 'registered'
  | 'gone'
  | 'cancelled'
  | 'node_failed'
  | 'late'
  | 'duplicate'
  | 'unreadable'
  | 'overload'
  | 'not_configured'
  | 'refused'
  | 'timeout'
  | 'unreachable'
  | 'failed';

export interface DecisionObserver {
  /** A question was settled, `seconds` after its INVITE. */
  decided(outcome: DecisionOutcome, seconds: number): void;
  /** A call was registered that nobody dials, and Retell was asked to stop it. */
  orphaned(outcome: 'stopped' | 'failed'): void;
}

export interface RegisterOptions {
  /** The configuration in force. */
  config: { readonly current: Config };
  api: Pick<RetellApi, 'registerPhoneCall' | 'stopCall'>;
  store: CallStore;
  observer: DecisionObserver;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** What is kept of Kamailio's deadline for the answer's own way, in ms. */
const ANSWER_MS = 100;
/** How long a call's registration is known for one, in ms: far longer than any question is answered. */
const ONCE_MS = 60_000;
/** Tries to write what became of a registration, and the pause between them, in ms. */
const WRITE_TRIES = 5;
const WRITE_PAUSE_MS = 1000;
const E164 = /^\+[1-9]\d{6,14}$/;

/** Settles the questions of numbers with `method: register`: Retell is asked once, within the deadline. */
export class Register {
  readonly #o: RegisterOptions;

  constructor(options: RegisterOptions) {
    this.#o = options;
  }

  /**
   * Answers one question. Resolves when the record is written too; never rejects.
   *
   * @param signal gives up Retell's request: the call takes its fallback
   */
  async settle(node: DecisionNode, question: DecisionQuestion, signal: AbortSignal): Promise<void> {
    const after: Promise<void>[] = [];
    const outcome = await this.#settle({ node, question, signal, after }).catch((error) => {
      this.#warn(question, error, 'a decision failed');
      return this.#fallback(node, question, 'failed', 'the control plane failed');
    });
    this.#o.observer.decided(outcome, (Date.now() - question.atMs) / 1000);
    await Promise.all(after);
  }

  /** Sends a call to its fallback without asking Retell: there are too many in hand. Never rejects. */
  async turnAway(node: DecisionNode, question: DecisionQuestion): Promise<void> {
    const outcome = await this.#fallback(node, question, 'overload', 'too many calls at once');
    this.#o.observer.decided(outcome, (Date.now() - question.atMs) / 1000);
  }

  /** @param turn.after gets what is left to do after the answer */
  async #settle(turn: {
    node: DecisionNode;
    question: DecisionQuestion;
    signal: AbortSignal;
    after: Promise<void>[];
  }): Promise<DecisionOutcome> {
    const { node, question, signal, after } = turn;
    const config = this.#o.config.current;
    if (this.#leftMs(question, config) <= 0) return 'late';
    const settings = settingsOf(config, question.number);
    if (settings?.method !== 'register' || settings.agent_id === undefined) {
      return this.#fallback(node, question, 'not_configured', 'the number is not configured any more');
    }
    const place = await this.#place(question.id);
    if (place !== 'open') return place;
    const timeoutMs = this.#leftMs(question, config);
    if (timeoutMs <= 0) return 'late';
    const started = performance.now();
    const seconds = () => Number(((performance.now() - started) / 1000).toFixed(3));
    let callId: string;
    try {
      const params = paramsOf(question, settings, settings.agent_id, config);
      ({ callId } = await this.#o.api.registerPhoneCall(params, { timeoutMs, signal }));
    } catch (error) {
      if (!(error instanceof RetellError)) throw error;
      const reason = reasonOf(error);
      after.push(
        this.#write(question, entry('register_failed', { status: error.status, reason, seconds: seconds() })),
      );
      this.#warn(question, error, 'a call was not registered');
      return this.#fallback(node, question, outcomeOf(error), reason);
    }
    after.push(
      this.#write(question, {
        ...matchFields(callId, 'register'),
        agent_id: settings.agent_id,
        ...entry('registered', { seconds: seconds() }),
      }),
    );
    return this.#toRetell(node, question, callId, after);
  }

  /** What is left for Retell, in ms. Clocks that differ never make it more than all of it. */
  #leftMs({ atMs }: DecisionQuestion, config: Config): number {
    const allMs = config.retell.register_timeout_ms - ANSWER_MS;
    return Math.min(allMs, atMs + allMs - Date.now());
  }

  /** The call's own place to be registered, which it has once, and not after its end. */
  async #place(id: string): Promise<'open' | 'duplicate' | 'cancelled'> {
    const [first, call] = await Promise.all([
      this.#o.store.lock(`register:${id}`, ONCE_MS),
      this.#o.store.get(id),
    ]);
    if (!first) return 'duplicate';
    return call !== undefined && stateOf(call) === 'ended' ? 'cancelled' : 'open';
  }

  async #toRetell(
    node: DecisionNode,
    question: DecisionQuestion,
    callId: string,
    after: Promise<void>[],
  ): Promise<DecisionOutcome> {
    const outcome = await this.#decide(node, question, 'registered', { action: 'retell', user: callId });
    if (outcome === 'gone') after.push(this.#stop(question, callId));
    return outcome;
  }

  #fallback(
    node: DecisionNode,
    question: DecisionQuestion,
    outcome: DecisionOutcome,
    reason: string,
  ): Promise<DecisionOutcome> {
    return this.#decide(node, question, outcome, { action: 'fallback', reason });
  }

  /** @returns `outcome` where the INVITE went on */
  async #decide(
    node: DecisionNode,
    question: DecisionQuestion,
    outcome: DecisionOutcome,
    decision: Decision,
  ): Promise<DecisionOutcome> {
    try {
      return (await node.decide(question.t_index, question.t_label, decision)) ? outcome : 'gone';
    } catch (error) {
      this.#warn(question, error, 'a decision did not reach the node');
      // A node that was not asked or refused let nothing go on. Any other may have taken the answer.
      const refused = error instanceof KamailioError && REFUSALS.has(error.code);
      return refused ? 'gone' : 'node_failed';
    }
  }

  /** Best effort: what stop-call does with a call that nobody dialled is undocumented; it ends by itself in 5 minutes. */
  async #stop(question: DecisionQuestion, callId: string): Promise<void> {
    try {
      await this.#o.api.stopCall(callId);
      this.#o.observer.orphaned('stopped');
    } catch (error) {
      this.#o.observer.orphaned('failed');
      this.#warn(question, error, 'a registered call that nobody dials was not stopped');
    }
  }

  async #write({ id, atMs, ...question }: DecisionQuestion, fields: Record<string, string>): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#o.store.merge([{ id, atMs, fields }]);
        return;
      } catch (error) {
        if (tries === WRITE_TRIES) {
          this.#warn({ id, atMs, ...question }, error, 'what became of a registration was not written');
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, WRITE_PAUSE_MS));
      }
    }
  }

  /** Errors of Redis carry the command, and with it Retell's id: only their message is passed on. */
  #warn({ id, number }: DecisionQuestion, error: unknown, message: string): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.#o.warn({ call_id: id, number, detail }, message);
  }
}

/** Errors after which the node certainly let no INVITE go on. */
const REFUSALS: ReadonlySet<string> = new Set(['KAMAILIO_BREAKER_OPEN', 'KAMAILIO_FAULT']);

function paramsOf(
  { id, from, number, carrier }: DecisionQuestion,
  settings: NumberSettings,
  agentId: string,
  config: Config,
): RegisterParams {
  const fromNumber = e164Of(from, config.carriers.find(({ name }) => name === carrier)?.number_format);
  const { agent_version, dynamic_variables } = settings;
  return {
    agent_id: agentId,
    ...(agent_version === undefined ? {} : { agent_version }),
    direction: 'inbound',
    ...(fromNumber === undefined ? {} : { from_number: fromNumber }),
    to_number: number,
    metadata: metadataOf(settings, id),
    ...(dynamic_variables === undefined ? {} : { retell_llm_dynamic_variables: dynamic_variables }),
  };
}

/** The caller's number where it is one: Retell may refuse any other text. */
function e164Of(from: string, format: 'e164' | 'digits' | undefined): string | undefined {
  const number = format === 'digits' && /^\d/.test(from) ? `+${from}` : from;
  return E164.test(number) ? number : undefined;
}

function outcomeOf({ code }: RetellError): DecisionOutcome {
  switch (code) {
    case 'refused':
    case 'timeout':
    case 'unreachable':
    case 'not_configured':
      return code;
    default:
      return 'failed';
  }
}

/** A timeline entry of now. */
function entry(type: string, detail: Record<string, unknown>): Record<string, string> {
  return timeline({ at: Date.now() * 1000, type }, detail);
}
