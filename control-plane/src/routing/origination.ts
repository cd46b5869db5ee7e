import { randomUUID } from 'node:crypto';
import type { Call } from '../calls/call.js';
import type { DueWork } from '../calls/due/work.js';
import { digestOf, type IdempotencyKeys, type KeyedRequest } from '../calls/idempotency.js';
import { matchFields, timeline, timelineOnce } from '../calls/record.js';
import type { CallStore } from '../calls/store.js';
import type { Config } from '../config/schema.js';
import type { CreateParams, RetellApi } from '../retell/api.js';
import { RetellError, reasonOf } from '../retell/errors.js';
import { settingsOf } from '../retell/number-settings.js';
import type { ExpectedCalls } from './expected-calls.js';
import { OriginationError } from './origination-error.js';
import type { UnplacedCalls } from './unplaced-calls.js';

/** What a client asks for, in Retell's words where it goes to Retell. */
export interface CallOrder {
  /** our number that calls, and whom it calls: both E.164 with + */
  from: string;
  to: string;
  agent_id?: string;
  agent_version?: string | number;
  dynamic_variables?: Record<string, string>;
  metadata?: Record<string, unknown>;
  /** SIP headers of Retell's INVITE */
  headers?: Record<string, string>;
}

/** Who asks: the name of the API token, and the key by which it may ask again. */
export interface Asker {
  by: string;
  idempotencyKey?: string | undefined;
}

export interface OriginationResult {
  call: Call;
  /** The call had been asked for before: nothing was done. */
  replayed: boolean;
}

export interface OriginationOptions {
  /** The configuration in force. */
  config: { readonly current: Config };
  api: Pick<RetellApi, 'createPhoneCall'>;
  store: CallStore;
  due: Pick<DueWork, 'schedule' | 'forget'>;
  keys: IdempotencyKeys;
  expected: Pick<ExpectedCalls, 'tell' | 'forget'>;
  unplaced: Pick<UnplacedCalls, 'close'>;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** Longest wait for Retell's answer, in ms. */
const TIMEOUT_MS = 10_000;
/** A call whose INVITE has not come by then is looked into, in ms. */
const LOOK_AFTER_MS = 60_000;
/** Statuses of whatever stands before Retell, which does not know what became of the request. */
const UNKNOWN = new Set([408, 502, 504]);

/**
 * Places calls through Retell's create-phone-call. The record comes first and its id goes to Retell, whose INVITE
 * brings it back: so INVITE and answer find the same record, whichever comes first and whether the other ever does.
 */
export class Origination {
  readonly #o: OriginationOptions;

  constructor(options: OriginationOptions) {
    this.#o = options;
  }

  /**
   * Places a call. Resolves once Retell has taken it, or at once where the key's call was asked for before.
   *
   * @throws OriginationError, or where Redis does not answer
   */
  async place(order: CallOrder, asker: Asker): Promise<OriginationResult> {
    const digest = digestOf(order);
    const { by, idempotencyKey: key } = asker;
    const { keys, config } = this.#o;
    const before = key === undefined ? undefined : await keys.find(by, key);
    // What was asked for stays asked for, whatever the configuration has come to say.
    const replay = before && (await this.#replay(before, digest));
    if (replay !== undefined) return replay;
    check(order, config.current);
    const request = { id: randomUUID(), digest };
    if (key === undefined) return this.#place(request.id, order, by);
    const taken = await keys.take(by, key, request);
    return (await this.#replay(taken, digest)) ?? this.#place(taken.id, order, by);
  }

  /** @returns undefined where the call has no record yet: Retell has not been asked */
  async #replay({ id, digest }: KeyedRequest, ours: string): Promise<OriginationResult | undefined> {
    if (digest !== ours)
      throw new OriginationError('key_reused', `the key stands for another request, that of call ${id}`);
    const call = await this.#o.store.get(id);
    return call && { call, replayed: true };
  }

  async #place(id: string, order: CallOrder, by: string): Promise<OriginationResult> {
    const { due, expected, api } = this.#o;
    // Before the record: whoever dies after it leaves nothing open for ever.
    await due.schedule('created_call', id, Date.now() + LOOK_AFTER_MS);
    if (!(await this.#writeRequest(id, order, by))) return { call: await this.#read(id), replayed: true };
    if ((await expected.tell(id)) === 0) {
      await this.#fail(id, 'no node could be told');
      throw new OriginationError('node_unavailable', 'no node could be told of the call', id);
    }
    const started = performance.now();
    const seconds = () => Number(((performance.now() - started) / 1000).toFixed(3));
    try {
      const told = await api.createPhoneCall(paramsOf(id, order), { timeoutMs: TIMEOUT_MS });
      await this.#write(id, {
        ...matchFields(told.call_id, 'create'),
        ...(told.agent_id === undefined ? {} : { agent_id: told.agent_id }),
        ...entry('created', { seconds: seconds() }),
      });
    } catch (error) {
      if (!(error instanceof RetellError)) throw error;
      const { status } = error;
      await this.#write(id, entry('create_failed', { status, reason: reasonOf(error), seconds: seconds() }));
      throw await this.#failed(id, error);
    }
    return { call: await this.#read(id), replayed: false };
  }

  /** @returns false where the record is there already: another request with the same key asks Retell */
  async #writeRequest(id: string, { from, to }: CallOrder, by: string): Promise<boolean> {
    const atMs = Date.now();
    const fields = {
      direction: 'outbound',
      number: from,
      from,
      to,
      created_at: String(atMs),
      requested_by: by,
      ...timelineOnce('requested', atMs, { by }),
    };
    const [fresh] = await this.#o.store.merge([{ id, atMs, fields }]);
    return fresh?.includes('requested_by') ?? false;
  }

  /** Ends the record where Retell certainly has no call, and says what the client has to know. */
  async #failed(id: string, error: RetellError): Promise<OriginationError> {
    const { code, status, message } = error;
    if (code === 'not_configured') {
      await this.#fail(id, reasonOf(error));
      return new OriginationError('not_configured', message, id);
    }
    if (code !== 'refused' || UNKNOWN.has(status ?? 0))
      return new OriginationError('unknown_outcome', message, id, status);
    await this.#fail(id, reasonOf(error));
    return new OriginationError(status === 429 ? 'limited' : 'refused', message, id, status);
  }

  async #fail(id: string, reason: string): Promise<void> {
    const { expected, unplaced, due, warn } = this.#o;
    await expected
      .forget(id)
      .catch((err) => warn({ err, call_id: id }, 'a node still expects a call that was refused'));
    await unplaced.close(id, reason);
    await due.forget('created_call', id);
  }

  async #write(id: string, fields: Record<string, string>): Promise<void> {
    await this.#o.store.merge([{ id, atMs: Date.now(), fields }]);
  }

  async #read(id: string): Promise<Call> {
    const call = await this.#o.store.get(id);
    if (call === undefined) throw new Error(`the record of call ${id} is gone`);
    return call;
  }
}

/** @throws OriginationError where our configuration lets no such call out */
function check({ from, to }: CallOrder, config: Config): void {
  if (config.retell.api_key === undefined)
    throw new OriginationError('not_configured', 'there is no retell.api_key');
  if (settingsOf(config, from) === undefined)
    throw new OriginationError('invalid_from', `${from} is none of our numbers`);
  if (!config.carriers.some(({ prefixes }) => prefixes.some((prefix) => to.startsWith(prefix))))
    throw new OriginationError('destination_not_allowed', `no carrier takes calls to ${to}`);
}

function paramsOf(id: string, order: CallOrder): CreateParams {
  const { from, to, agent_id, agent_version, dynamic_variables, metadata, headers } = order;
  return {
    from_number: from,
    to_number: to,
    ...(agent_id === undefined ? {} : { override_agent_id: agent_id }),
    ...(agent_version === undefined ? {} : { override_agent_version: agent_version }),
    ...(dynamic_variables === undefined ? {} : { retell_llm_dynamic_variables: dynamic_variables }),
    metadata: { ...metadata, call_ref: id },
    custom_sip_headers: { ...headers, 'X-Call-Ref': id },
  };
}

/** A timeline entry of now. */
function entry(type: string, detail: Record<string, unknown>): Record<string, string> {
  return timeline({ at: Date.now() * 1000, type }, detail);
}
