import { KamailioError } from './errors.js';
import type { RpcClient, RpcParam } from './rpc-client.js';

/** A gateway's state in Kamailio's dispatcher: it sends calls to active and trying ones only. */
export type GatewayState = 'active' | 'trying' | 'inactive' | 'disabled';

/** What `dispatcher.set_state` takes: disabled, or active or inactive, with probing (p) or without (x). */
export type GatewayCommand = 'dx' | 'ap' | 'ax' | 'ip';

/** One gateway in one set of one node. */
export interface NodeGateway {
  set: number;
  uri: string;
  state: GatewayState;
  /** Whether it is asked with OPTIONS. */
  probed: boolean;
  /** Smoothed time of its replies to OPTIONS, in ms; undefined where it has answered none. */
  latencyMs: number | undefined;
  /** The attributes of its line in dispatcher.list, e.g. `weight=50;carrier=acme`. */
  attributes: string;
}

/** A network that a node takes for a carrier's (group 1) or Retell's (group 2). */
export interface NodeNetwork {
  group: number;
  address: string;
  prefix: number;
  tag: string;
}

/** A SIP registration of a node. */
export interface NodeRegistration {
  /** The carrier. */
  id: string;
  registered: boolean;
  /** When it ends where it is not refreshed, in seconds since 1970; 0 before the first attempt. */
  expiresAt: number;
}

const STATES: Record<string, GatewayState> = { A: 'active', T: 'trying', I: 'inactive', D: 'disabled' };
/** The registrar has answered 200 (UAC_REG_ONLINE of modules/uac/uac_reg.c). */
const REGISTERED = 4;
/** Longest wait for a table to be read anew, in ms: 100,000 numbers take seconds. */
const RELOAD_DEADLINE_MS = 15_000;
/** Counts that are asked for at once: one connection less than the client has, for commands that cannot wait. */
const COUNTS_AT_ONCE = 2;

/**
 * What one Kamailio node holds of the routing configuration, and the commands that change it. Every method
 * rejects with a KamailioError.
 */
export class RoutingTables {
  readonly #rpc: RpcClient;

  constructor(rpc: RpcClient) {
    this.#rpc = rpc;
  }

  get name(): string {
    return this.#rpc.node;
  }

  /** Every gateway in every dispatcher set. */
  async gateways(): Promise<NodeGateway[]> {
    const method = 'dispatcher.list';
    const result = await this.#unlessFault(method, [], 500);
    if (result === undefined) return [];
    const sets = this.#list(method, this.#object(method, result).RECORDS);
    return sets.flatMap((record) => {
      const { ID, TARGETS } = this.#object(method, this.#object(method, record).SET);
      return this.#list(method, TARGETS).map((target) =>
        this.#gateway(method, Number(ID), this.#object(method, this.#object(method, target).DEST)),
      );
    });
  }

  /** @returns false where the set does not hold the gateway (any more) */
  async setGatewayState(set: number, uri: string, state: GatewayCommand): Promise<boolean> {
    return (await this.#unlessFault('dispatcher.set_state', [state, set, uri], 500)) !== undefined;
  }

  /** Reads dispatcher.list anew. Kamailio forgets the state of every gateway over it. */
  async reloadGateways(): Promise<void> {
    await this.#rpc.call('dispatcher.reload', [], RELOAD_DEADLINE_MS);
  }

  /** Reads address.list anew. */
  async reloadNetworks(): Promise<void> {
    await this.#rpc.call('permissions.addressReload', [], RELOAD_DEADLINE_MS);
  }

  /** Reads the file of one htable anew. */
  async reloadTable(table: string): Promise<void> {
    await this.#rpc.call('htable.reload', [table], RELOAD_DEADLINE_MS);
  }

  /** Reads uacreg anew. Kamailio refuses that for a while after the time before (`reg_gc_interval`). */
  async reloadRegistrations(): Promise<void> {
    await this.#rpc.call('uac.reg_reload', [], RELOAD_DEADLINE_MS);
  }

  /** Reads tls.conf and its certificates anew, for connections that come from now on. */
  async reloadTls(): Promise<void> {
    await this.#rpc.call('tls.reload', [], RELOAD_DEADLINE_MS);
  }

  /** The networks of carriers and of Retell: single addresses and blocks are two tables to Kamailio. */
  async networks(): Promise<NodeNetwork[]> {
    const read = async (method: string) => {
      const result = await this.#rpc.ask(method);
      // Where there is none, Kamailio answers with an empty object.
      return Array.isArray(result) ? result.map((entry) => this.#network(method, entry)) : [];
    };
    return [...(await read('permissions.addressDump')), ...(await read('permissions.subnetDump'))];
  }

  /** How many keys each htable holds. */
  async tableSizes(): Promise<Map<string, number>> {
    const tables = this.#list('htable.stats', await this.#rpc.ask('htable.stats'));
    return new Map(
      tables.map((table) => {
        const { name, all } = this.#object('htable.stats', table);
        return [String(name), Number(all)];
      }),
    );
  }

  /** The value of a key as text; undefined where the htable has no such key. */
  async tableValue(table: string, key: string): Promise<string | undefined> {
    const result = await this.#unlessFault('htable.get', [table, key], 500);
    if (result === undefined) return undefined;
    return String(this.#object('htable.get', this.#object('htable.get', result).item).value);
  }

  /** The calls that a dialog profile counts, those that still ring included; with `value` those of that value. */
  async profileSize(profile: string, value?: string): Promise<number> {
    const size = await this.#rpc.ask(
      'dlg.profile_get_size',
      value === undefined ? [profile] : [profile, value],
    );
    if (typeof size !== 'number') throw this.#unexpected('dlg.profile_get_size');
    return size;
  }

  /** The calls that are up or in setup, whether Retell has them or a fallback. */
  async calls(): Promise<number> {
    const [retell, fallback] = await Promise.all([this.profileSize('retell'), this.profileSize('fallback')]);
    return retell + fallback;
  }

  /**
   * `profileSize` of many values. Counting one takes Kamailio milliseconds when thousands of calls are up, so
   * there is a bound to the whole.
   *
   * @param deadlineMs after this no further value is asked for, in ms
   * @returns without those that there was no time for
   */
  async profileSizes(
    profile: string,
    values: readonly string[],
    deadlineMs: number,
  ): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    const started = performance.now();
    const left = [...values].reverse();
    const counter = async () => {
      for (let value = left.pop(); value !== undefined; value = left.pop()) {
        if (performance.now() - started > deadlineMs) return;
        sizes.set(value, await this.profileSize(profile, value));
      }
    };
    await Promise.all(Array.from({ length: COUNTS_AT_ONCE }, counter));
    return sizes;
  }

  /**
   * Says how many calls the node may have up for Retell; it forgets that after two minutes.
   *
   * @param slot `retell` for all of them, `retell_outbound` for what there may be before an outbound call is refused
   */
  async setSlot(slot: 'retell' | 'retell_outbound', calls: number): Promise<void> {
    await this.#rpc.ask('htable.seti', ['slots', slot, calls]);
  }

  /** From now on the node takes no new calls from or to the carrier, until it restarts. */
  async setDrained(carrier: string): Promise<void> {
    await this.#rpc.ask('htable.seti', ['drained', carrier, 1]);
  }

  async clearDrained(carrier: string): Promise<void> {
    await this.#unlessFault('htable.delete', ['drained', carrier], 404);
  }

  /** The carriers that the node takes no new calls from or to. */
  async drained(): Promise<Set<string>> {
    const method = 'htable.dump';
    const entries = this.#list(method, await this.#rpc.ask(method, ['drained']));
    const slots = entries.flatMap((entry) => this.#list(method, this.#object(method, entry).slot));
    return new Set(slots.map((slot) => String(this.#object(method, slot).name)));
  }

  /** From now on the INVITE of Retell's that names this call takes its id, once; the node forgets it after 15 minutes. */
  async setExpected(callId: string): Promise<void> {
    await this.#rpc.ask('htable.seti', ['created', callId, 1]);
  }

  async clearExpected(callId: string): Promise<void> {
    await this.#unlessFault('htable.delete', ['created', callId], 404);
  }

  /** The node's SIP registrations, without their passwords. */
  async registrations(): Promise<NodeRegistration[]> {
    const method = 'uac.reg_dump';
    const result = await this.#rpc.ask(method);
    return (Array.isArray(result) ? result : []).map((entry) => {
      const { l_uuid, flags, timer_expires } = this.#object(method, entry);
      return {
        id: String(l_uuid),
        registered: (Number(flags) & REGISTERED) !== 0,
        expiresAt: Number(timer_expires),
      };
    });
  }

  #gateway(method: string, set: number, target: Record<string, unknown>): NodeGateway {
    const { URI, FLAGS, ATTRS, LATENCY } = target;
    const state = typeof FLAGS === 'string' ? STATES[FLAGS[0] ?? ''] : undefined;
    if (typeof URI !== 'string' || state === undefined) throw this.#unexpected(method);
    const { EST = 0, MAX = 0 } = (LATENCY ?? {}) as { EST?: number; MAX?: number };
    const { BODY } = (ATTRS ?? {}) as { BODY?: string | null };
    return {
      set,
      uri: URI,
      state,
      probed: String(FLAGS)[1] === 'P',
      latencyMs: MAX > 0 ? EST : undefined,
      attributes: BODY ?? '',
    };
  }

  #network(method: string, entry: unknown): NodeNetwork {
    const { group, item } = this.#object(method, entry);
    const { ip, mask, tag } = this.#object(method, item);
    const address = String(ip);
    const single = address.includes(':') ? 128 : 32;
    return {
      group: Number(group),
      address,
      prefix: mask === undefined ? single : Number(mask),
      tag: String(tag),
    };
  }

  /** The result, or undefined where Kamailio answers with this fault: its way to say that there is no such thing. */
  async #unlessFault(method: string, params: RpcParam[], fault: number): Promise<unknown> {
    try {
      return await this.#rpc.ask(method, params);
    } catch (error) {
      if (error instanceof KamailioError && error.faultCode === fault) return undefined;
      throw error;
    }
  }

  #object(method: string, value: unknown): Record<string, unknown> {
    if (typeof value !== 'object' || value === null) throw this.#unexpected(method);
    return value as Record<string, unknown>;
  }

  #list(method: string, value: unknown): unknown[] {
    if (!Array.isArray(value)) throw this.#unexpected(method);
    return value;
  }

  #unexpected(method: string): KamailioError {
    return new KamailioError('KAMAILIO_PROTOCOL', this.name, method, 'an answer of another shape');
  }
}
