import type { LegState } from './events.js';
import type { RpcClient } from './rpc-client.js';

/**
 * Kamailio's states of a dialog (modules/dialog/dlg_hash.h): 1 unconfirmed, 2 early, 3 confirmed without
 * ACK, 4 confirmed, 5 deleted.
 */
export type DialogState = 1 | 2 | 3 | 4 | 5;

/** What a dialog is found by. */
export interface DialogKey {
  sip_call_id: string;
  /** the caller's tag */
  from_tag: string;
  /** the callee's tag; undefined before the answer */
  to_tag: string | undefined;
}

/** What a node did about a call that it was told to end. */
export interface HangupStart {
  state: DialogState;
  /** `none` also where a CANCEL, a refusal or a BYE could not be made. */
  action: 'bye' | 'cancel' | 'refuse' | 'none';
}

/** One side of a call, as a request to it or from it needs it. */
export interface LegAddress extends LegState {
  uri: string;
}

/** The leg that gets a BYE; without a socket the node takes one of its own, because the leg's is another node's. */
export type ByeTarget = Omit<LegAddress, 'socket'> & { socket: string | undefined };

/** A REFER that a node is to send to one leg of a call (RFC 3515), as the other one. */
export interface ReferOrder {
  /** our id of the call */
  callId: string;
  transferId: string;
  sipCallId: string;
  /** the leg that gets the REFER */
  to: LegAddress;
  from: LegAddress;
  /** whether that leg is the side that called */
  toCaller: boolean;
  /** Refer-To and what else the REFER says, in order */
  headers: readonly (readonly [name: string, value: string])[];
  /** 2 where it is sent again, with credentials */
  attempt: 1 | 2;
  /** how long the node takes it for under way */
  timeoutS: number;
}

/**
 * What a node did about a REFER. `in_progress`: another transfer of the call is under way, or this one was sent already.
 * `limited`: it has had as many in this minute as it may. `call_ended`: its dialog is over.
 */
export type ReferStart = 'sent' | 'in_progress' | 'limited' | 'call_ended';

/** What becomes of an INVITE that waits (kamailio/decisions.cfg). */
export type Decision =
  /** It goes to Retell, with `user` as the user part of its Request-URI. */
  | { action: 'retell'; user: string }
  /** It goes to the number's fallback, or is refused with 503; `reason` is for the caller and the record. */
  | { action: 'fallback'; reason: string };

/** Requests may have passed since the record was written: the CSeq has to be above theirs (RFC 3261 12.2.1.1). */
export const CSEQ_GAP = 1000;

/** The commands of one Kamailio node that the control plane uses, typed. */
export class KamailioNode {
  constructor(readonly rpc: RpcClient) {}

  get name(): string {
    return this.rpc.node;
  }

  /** Kamailio's version line, e.g. `kamailio 5.6.3 (x86_64/linux)`. */
  async version(): Promise<string> {
    return String(await this.rpc.call('core.version')).trim();
  }

  /**
   * Ends a call as its dialog's state needs: see kamailio/hangups.cfg. The answer proves nothing about the wire,
   * the events that follow do.
   *
   * @param force answers the caller at once, without waiting for the callee's answer to its CANCEL
   * @returns undefined where the node has no such dialog, or not with these tags
   * @throws KamailioError
   */
  async hangUp(
    dialog: DialogKey,
    by: string,
    reason: string,
    force = false,
  ): Promise<HangupStart | undefined> {
    const started = await this.rpc.post(
      '/hangups',
      {
        sip_call_id: dialog.sip_call_id,
        from_tag: dialog.from_tag,
        to_tag: dialog.to_tag ?? '-',
        by,
        reason,
        force: force ? 1 : 0,
      },
      [404],
    );
    return started === 404 ? undefined : (started as unknown as HangupStart);
  }

  /**
   * Has the node send a BYE that is built from a call's record, for a leg that Kamailio sent none, or whose
   * dialog it does not know. What becomes of it comes as events, like that of any other BYE.
   *
   * @param to the leg that gets the BYE, `from` the other one; `uri` is the address of each in From and To
   * @throws KamailioError
   */
  async sendBye(sipCallId: string, to: ByeTarget, from: LegAddress, reason?: string): Promise<void> {
    const headers = [
      ...(to.route_set.length === 0 ? [] : [`Route: ${to.route_set.join(', ')}`]),
      `From: <${from.uri}>;tag=${from.tag}`,
      `To: <${to.uri}>;tag=${to.tag}`,
      `Call-ID: ${sipCallId}`,
      `CSeq: ${from.cseq + CSEQ_GAP} BYE`,
      ...(reason === undefined ? [] : [`Reason: ${reason}`]),
      'Max-Forwards: 70',
    ];
    const nextHop = nextHopOf(to.route_set);
    const text = `${headers.join('\r\n')}\r\n`;
    await this.rpc.call('tm.t_uac_start', ['BYE', to.contact, nextHop, to.socket ?? '.', text]);
  }

  /**
   * Has the node send a REFER: see kamailio/transfers.cfg. What becomes of it comes as events.
   *
   * @throws KamailioError
   */
  async refer(order: ReferOrder): Promise<ReferStart> {
    const { to, from, toCaller, headers } = order;
    const [caller, callee] = toCaller ? [to, from] : [from, to];
    const lines = [
      ...(to.route_set.length === 0 ? [] : [`Route: ${to.route_set.join(', ')}`]),
      `From: <${from.uri}>;tag=${from.tag}`,
      `To: <${to.uri}>;tag=${to.tag}`,
      `Call-ID: ${order.sipCallId}`,
      ...headers.map(([name, value]) => `${name}: ${value}`),
      'Max-Forwards: 70',
    ];
    const answer = await this.rpc.post(
      '/transfers',
      {
        id: order.callId,
        transfer: order.transferId,
        sip_call_id: order.sipCallId,
        from_tag: caller.tag,
        to_tag: callee.tag,
        leg: toCaller ? 'caller' : 'callee',
        contact: to.contact,
        next_hop: nextHopOf(to.route_set),
        socket: to.socket,
        cseq: from.cseq,
        contact_of_other: from.contact,
        try: order.attempt,
        timeout_s: order.timeoutS,
        headers: `${lines.join('\r\n')}\r\n`,
      },
      [404, 409, 429],
    );
    if (answer === 404) return 'call_ended';
    if (answer === 409) return 'in_progress';
    return answer === 429 ? 'limited' : 'sent';
  }

  /**
   * Has an INVITE that waits go on.
   *
   * @param index of its transaction, and `label`, as its question named them
   * @returns false where it waits no more: it was cancelled, or its time was over
   * @throws KamailioError
   */
  async decide(index: string, label: string, decision: Decision): Promise<boolean> {
    const answer = { t_index: Number(index), t_label: Number(label), ...headerSafe(decision) };
    return (await this.rpc.post('/decisions', answer, [409])) !== 409;
  }

  /**
   * Statistics by full name, e.g. `dialog.active_dialogs` -> 12.
   *
   * @param groups such as `dialog:`, `shmem:`, `script:`
   * @throws KamailioError
   */
  async statistics(groups: readonly string[]): Promise<Map<string, number>> {
    const result = await this.rpc.call('stats.fetch', groups);
    return new Map(
      Object.entries(result as Record<string, string>).map(([name, value]) => [name, Number(value)]),
    );
  }

  /** Events that wait for Redis. @throws KamailioError */
  async queuedEvents(): Promise<number> {
    return queuedEventsIn(await this.statistics(['script:']));
  }

  /** TCP connections that are open, those of RPCs among them, and how many of them have TLS. @throws KamailioError */
  async connections(): Promise<{ open: number; tls: number }> {
    const { opened_connections, opened_tls_connections } = (await this.rpc.call('core.tcp_info')) as Record<
      string,
      unknown
    >;
    return { open: Number(opened_connections), tls: Number(opened_tls_connections) };
  }

  /** Private memory that is free in the process that has the least of it, in bytes. @throws KamailioError */
  async leastPrivateMemory(): Promise<number> {
    const processes = (await this.rpc.call('pkg.stats')) as { free: number }[];
    return Math.min(...processes.map(({ free }) => free));
  }

  /** How long the node has been up, in s. @throws KamailioError */
  async uptimeS(): Promise<number> {
    return Number(((await this.rpc.call('core.uptime')) as { uptime?: unknown }).uptime);
  }
}

/** Where a request along this route set goes first; a dot is where its Request-URI says. */
function nextHopOf(routeSet: readonly string[]): string {
  return /<([^>]*)>/.exec(routeSet[0] ?? '')?.[1] ?? '.';
}

/** Kamailio writes the reason into a Reason header in quotes: quotes and control characters would break it. */
function headerSafe(decision: Decision): Decision {
  if (decision.action !== 'fallback') return decision;
  return { ...decision, reason: decision.reason.replace(/[^\x20-\x7e]|["\\]/g, ' ').slice(0, 100) };
}

/**
 * Events that wait for Redis, by a node's statistics: those in its queue and those of the batch that Redis has not
 * confirmed yet. Where some were dropped it may be less, by one for each time that the queue was full.
 */
export function queuedEventsIn(statistics: ReadonlyMap<string, number>): number {
  const count = (name: string) => statistics.get(`script.events_${name}`) ?? 0;
  return Math.max(0, count('queued') - count('dropped') - count('published'));
}
