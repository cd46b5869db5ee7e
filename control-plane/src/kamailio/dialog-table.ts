import { KamailioError } from './errors.js';
import type { LegState } from './events.js';
import type { DialogState } from './node.js';
import { socketText, splitRoutes } from './parse-events.js';
import type { RpcClient } from './rpc-client.js';

/** Longest wait for the list of all dialogs, in ms. Kamailio needs 300 ms for 10,000. */
const SUMMARIES_DEADLINE_MS = 5000;

const TIME_ZONES_MS = 900_000;

/** How many dialogs a node has. Those that have ended and linger for some seconds are not among them. */
export interface DialogCounts {
  /** Not answered yet. */
  early: number;
  all: number;
}

/** One dialog as the list of all of them has it. */
export interface DialogSummary {
  sip_call_id: string;
  state: DialogState;
}

/** All that Kamailio knows of one dialog. */
export interface DialogDetails {
  h_entry: number;
  h_id: number;
  state: DialogState;
  sip_call_id: string;
  from_uri: string;
  to_uri: string;
  /** When the INVITE came, in ms since 1970, to the second. */
  created_at: number;
  /** When it was answered; undefined before. */
  answered_at: number | undefined;
  /** How long it may be up from its answer on, in seconds. */
  max_duration_s: number;
  caller: LegState;
  /** Without tag and contact before it answers. */
  callee: LegState;
  /** URI of the gateway that it counts for; undefined where none has it, as with a fallback. */
  gateway: string | undefined;
  /** The variables of kamailio/dialogs.cfg, with `id`, `number` and `carrier` in place of `call`. */
  variables: ReadonlyMap<string, string>;
}

/** A node's own clock. */
export interface NodeClock {
  /** How much it is ahead of ours, in ms, to the second; wrong where that is over seven minutes. */
  aheadMs: number;
  /** When the node started, in ms since 1970 by its clock, to the second. */
  startedAt: number;
}

/** The dialogs of one Kamailio node, as far as they can be read without slowing it down. Every method rejects with a KamailioError. */
export class DialogTable {
  readonly #rpc: RpcClient;

  constructor(rpc: RpcClient) {
    this.#rpc = rpc;
  }

  /** Counts without reading any: 1 to 8 ms of Kamailio's for 10,000. */
  async counts(): Promise<DialogCounts> {
    const method = 'dlg.stats_active';
    const { starting, connecting, all } = this.#object(method, await this.#rpc.call(method));
    return {
      early: this.#number(method, starting) + this.#number(method, connecting),
      all: this.#number(method, all),
    };
  }

  /** Every dialog that has not ended. For a table of some thousands at most: 10,000 take 0.8 MB and 300 ms. */
  async summaries(): Promise<DialogSummary[]> {
    const method = 'dlg.briefing';
    const result = await this.#rpc.call(method, ['cs'], SUMMARIES_DEADLINE_MS);
    if (!Array.isArray(result)) throw this.#protocolError(method, 'no list of dialogs');
    return result
      .map((entry) => {
        const { 'call-id': callId, state } = this.#object(method, entry);
        return { sip_call_id: String(callId), state: this.#state(method, state) };
      })
      .filter(({ state }) => state !== 5);
  }

  /** The dialogs with this Call-ID that have not ended. There is one as a rule. */
  async withCallId(sipCallId: string): Promise<DialogDetails[]> {
    const method = 'dlg.dlg_list';
    const result = await this.#rpc.call(method, [sipCallId]);
    const entries = (Array.isArray(result) ? result : [result]).map((entry) => this.#object(method, entry));
    // An unknown Call-ID is no fault to Kamailio: it answers with an empty object.
    return entries
      .filter((entry) => Object.keys(entry).length > 0)
      .map((entry) => this.#details(method, entry))
      .filter(({ state }) => state !== 5);
  }

  /** What the node takes the time for: what it tells is dated by that. */
  async clock(): Promise<NodeClock> {
    const method = 'core.uptime';
    const { now, uptime } = this.#object(method, await this.#rpc.call(method));
    // It is its local time, and does not say which: time zones are whole quarters of an hour apart.
    const local = Date.parse(`${now} UTC`);
    if (Number.isNaN(local)) throw this.#protocolError(method, 'no time');
    const aheadMs = remainder(local - Date.now(), TIME_ZONES_MS);
    return { aheadMs, startedAt: Date.now() + aheadMs - this.#number(method, uptime) * 1000 };
  }

  #details(method: string, entry: Record<string, unknown>): DialogDetails {
    const start = this.#number(method, entry.start_ts);
    return {
      h_entry: this.#number(method, entry.h_entry),
      h_id: this.#number(method, entry.h_id),
      state: this.#state(method, entry.state),
      sip_call_id: String(entry['call-id']),
      from_uri: String(entry.from_uri),
      to_uri: String(entry.to_uri),
      created_at: this.#number(method, entry.init_ts) * 1000,
      answered_at: start === 0 ? undefined : start * 1000,
      max_duration_s: this.#number(method, entry.lifetime),
      caller: this.#leg(method, entry.caller),
      callee: this.#leg(method, entry.callee),
      gateway: namedValues(entry.profiles).get('gateway'),
      variables: callTakenApart(namedValues(entry.variables)),
    };
  }

  /** Kamailio writes null for what it does not know, of the side that is called before it answers. */
  #leg(method: string, value: unknown): LegState {
    const { tag, contact, cseq, route_set, socket } = this.#object(method, value);
    return {
      tag: String(tag ?? ''),
      contact: String(contact ?? ''),
      route_set: splitRoutes(String(route_set ?? '')),
      cseq: Number(cseq ?? 0) || 0,
      socket: socketText(String(socket ?? '')),
    };
  }

  #state(method: string, value: unknown): DialogState {
    const state = this.#number(method, value);
    if (state < 1 || state > 5) throw this.#protocolError(method, `a dialog in state ${state}`);
    return state as DialogState;
  }

  #number(method: string, value: unknown): number {
    if (typeof value !== 'number') throw this.#protocolError(method, 'text where a number belongs');
    return value;
  }

  #object(method: string, value: unknown): Record<string, unknown> {
    if (typeof value !== 'object' || value === null) throw this.#protocolError(method, 'no object');
    return value as Record<string, unknown>;
  }

  #protocolError(method: string, detail: string): KamailioError {
    return new KamailioError('KAMAILIO_PROTOCOL', this.#rpc.node, method, detail);
  }
}

/** What is left over a multiple, from minus half of it to half of it. */
function remainder(value: number, multiple: number): number {
  return value - Math.round(value / multiple) * multiple;
}

/** An outbound call has no carrier before a gateway is tried. */
function callTakenApart(variables: Map<string, string>): Map<string, string> {
  const parts = variables.get('call')?.split(':') ?? [];
  variables.delete('call');
  for (const [index, name] of ['id', 'number', 'carrier'].entries()) {
    if (parts[index]) variables.set(name, parts[index]);
  }
  return variables;
}

/** Kamailio lists variables, and the profiles that have a value, as objects with one member each. */
function namedValues(list: unknown): Map<string, string> {
  if (!Array.isArray(list)) return new Map();
  return new Map(
    list
      .filter((entry) => typeof entry === 'object' && entry !== null)
      .flatMap((entry) => Object.entries(entry as Record<string, unknown>))
      .map(([name, value]) => [name, String(value)]),
  );
}
