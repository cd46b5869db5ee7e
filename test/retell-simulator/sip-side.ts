import { type Header, type IncomingCall, type OutgoingCall, SipPeer } from '../harness/sip-peer.js';
import { later } from '../harness/sip-transaction.js';
import { parseNameAddr, parseUri } from '../harness/sip-values.js';
import { customSipHeaders, type NumberBehaviour, type Numbers, type SimulatorOptions } from './behaviour.js';
import type { CallEntry, Calls } from './calls.js';
import { type Dialler, dial } from './outbound.js';
import { placeSecondCall, type SecondCall } from './second-call.js';
import type { WebhookSender } from './webhooks.js';

const PORT_ATTEMPTS = 20;
/** RFC 3261 13.3.1.4: without an ACK the call is given up after 64 T1. */
const ACK_TIMEOUT_MS = 32_000;
/** Retell's documents do not say how a rejected call is refused, nor one without an agent. */
const REJECTED = 403;
const NO_AGENT = 480;

export interface SipSideParts {
  readonly options: SimulatorOptions;
  readonly calls: Calls;
  readonly numbers: Numbers;
  readonly webhooks: WebhookSender;
}

/** What the inbound-call webhook may answer (retell.md 5.4). */
interface InboundAnswer {
  call_inbound?: {
    reject?: boolean;
    override_agent_id?: string;
    override_agent_version?: number | string;
    dynamic_variables?: Record<string, string>;
    metadata?: Record<string, unknown>;
  };
}

/** Retell's SIP: UDP and TCP on one port number, and TLS on another if asked for. */
export class SipSide {
  readonly udp: SipPeer;
  readonly tcp: SipPeer;
  readonly tls: SipPeer | undefined;
  readonly #parts: SipSideParts;

  private constructor(peers: { udp: SipPeer; tcp: SipPeer; tls?: SipPeer }, parts: SipSideParts) {
    this.udp = peers.udp;
    this.tcp = peers.tcp;
    this.tls = peers.tls;
    this.#parts = parts;
    for (const peer of this.peers) peer.onInvite = (call) => this.#receive(call);
  }

  /** @throws the system error if the port is taken. */
  static async start(parts: SipSideParts): Promise<SipSide> {
    const { host = '127.0.0.1', sipPort = 0, trace = false, tls } = parts.options;
    const both = await bindBoth({ host, port: sipPort, trace });
    if (!tls) return new SipSide(both, parts);
    try {
      const third = await SipPeer.start({ host, port: tls.port ?? 0, trace, tls, transport: 'tls' });
      return new SipSide({ ...both, tls: third }, parts);
    } catch (error) {
      await Promise.all([both.udp.stop(), both.tcp.stop()]);
      throw error;
    }
  }

  get peers(): readonly SipPeer[] {
    return [this.udp, this.tcp, ...(this.tls ? [this.tls] : [])];
  }

  async stop(): Promise<void> {
    await Promise.all(this.peers.map((peer) => peer.stop()));
  }

  /** Sends the INVITE of an outbound call to the termination URI. */
  dial(entry: CallEntry, terminationUri: string, headers: Record<string, string>): void {
    const { numbers, calls } = this.#parts;
    const behaviour = numbers.find(entry.call.to_number);
    void dial(this.#dialler, entry, terminationUri, headers).then((call) => {
      if (!call) return;
      if (entry.call.call_status !== 'registered') {
        // It was ended while the answer was on its way.
        void call.bye();
        return;
      }
      void call.ended.then((by) => {
        if (by === 'remote' && !behaviour.forgets_bye) calls.ended(entry, 'user_hangup');
      });
      this.#established(call, entry, behaviour);
    });
  }

  /** Ends a call from Retell's side: it is over here whatever becomes of the BYE. */
  hangUp(entry: CallEntry, reason: string): void {
    const { calls, numbers } = this.#parts;
    const call = entry.sip;
    const unanswered = entry.call.call_status === 'registered';
    calls.ended(entry, reason);
    if (!call || numbers.find(entry.call.call_id, entry.call.to_number).omits_bye) return;
    // A far end whose Contact leads nowhere cannot be told, nor one that never answered at all.
    if (unanswered && 'cancel' in call) call.cancel().catch(() => undefined);
    else if ('refuse' in call && call.status < 200) call.refuse(480);
    else call.bye().catch(() => undefined);
  }

  /**
   * Transfers a call by REFER (retell.md 4.2). Resolves with the status that the REFER or its last NOTIFY told,
   * 408 if none came in time. A BYE after the acceptance counts as success, as it does at Retell.
   */
  async transfer(
    entry: CallEntry,
    to: string,
    headers: readonly Header[],
    timeoutMs: number,
  ): Promise<number> {
    const call = entry.sip;
    if (!call) throw new Error(`call ${entry.call.call_id} is not up`);
    const outcome = new Promise<number>((resolve) => {
      call.on('NOTIFY', (notify) => {
        notify.reply(200);
        const status = Number(/^SIP\/2\.0 (\d{3})/.exec(notify.message.body)?.[1] ?? 500);
        if (status >= 200) resolve(status);
      });
      void call.ended.then(() => resolve(200));
      later(timeoutMs, () => resolve(408));
    });
    const answer = await call.request('REFER', { headers: [['Refer-To', to], ...headers] });
    return answer.status >= 300 ? answer.status : outcome;
  }

  /** Transfers a call by a second one; resolves with the final status of its INVITE. */
  transferByInvite(entry: CallEntry, terminationUri: string, wanted: SecondCall): Promise<number> {
    const hangUp = () => this.hangUp(entry, 'call_transfer');
    return placeSecondCall(this.#dialler, entry, { ...wanted, terminationUri, hangUp });
  }

  get #dialler(): Dialler {
    const { udp, tcp, tls } = this;
    const { options, calls } = this.#parts;
    return { peers: { udp, tcp, ...(tls ? { tls } : {}) }, options, calls };
  }

  #receive(call: IncomingCall): void {
    const { calls, numbers } = this.#parts;
    const dialled = userOf(call.message.requestUri);
    const registered = calls.get(dialled);
    const behaviour = numbers.find(dialled, ...(registered ? [registered.call.to_number] : []));
    if (behaviour.silent) return;
    call.ring(100);
    if (behaviour.refuse !== null) {
      const { refuse } = behaviour;
      schedule(call, behaviour.refuse_after_ms, () => call.refuse(refuse));
    } else if (dialled.startsWith('call_')) {
      const entry = calls.claim(dialled);
      if (!entry) call.refuse(404);
      else this.#accept(call, this.#withHeaders(entry, call), behaviour);
    } else {
      void this.#receiveNumber(call, dialled, behaviour);
    }
  }

  /** A call to an imported number: the inbound webhook may choose the agent or reject it. */
  async #receiveNumber(call: IncomingCall, dialled: string, behaviour: NumberBehaviour): Promise<void> {
    const { calls, webhooks, options } = this.#parts;
    const entry = this.#withHeaders(
      calls.create({
        agent_id: options.inboundAgent ?? 'agent_simulated',
        direction: 'inbound',
        from_number: userOf(parseNameAddr(call.message.get('from') ?? '').uri),
        to_number: dialled,
      }),
      call,
    );
    const { inbound_url } = webhooks.behaviour;
    if (inbound_url !== '') {
      const answer = await webhooks.ask(
        'call_inbound',
        entry.call.call_id,
        inbound_url,
        inboundPayload(entry),
      );
      const { reject, override_agent_id, override_agent_version, dynamic_variables, metadata } =
        validAnswer(answer) ?? {};
      if (reject === true || call.status >= 200) {
        calls.forget(entry);
        if (call.status < 200) call.refuse(REJECTED);
        return;
      }
      if (override_agent_id) entry.call.agent_id = override_agent_id;
      if (typeof override_agent_version === 'number') entry.call.agent_version = override_agent_version;
      if (metadata) entry.call.metadata = metadata;
      Object.assign(entry.call.retell_llm_dynamic_variables ?? {}, dynamic_variables);
    }
    if (entry.call.agent_id === '') {
      calls.forget(entry);
      call.refuse(NO_AGENT);
      return;
    }
    this.#accept(call, entry, behaviour);
  }

  #accept(call: IncomingCall, entry: CallEntry, behaviour: NumberBehaviour): void {
    const { calls, options } = this.#parts;
    entry.sip = call;
    if (options.contactUser === 'call_id') call.contactUser = entry.call.call_id;
    if (options.contactUser === 'none') call.contactUser = '';
    const { ring_after_ms, answer_after_ms } = behaviour;
    if (ring_after_ms !== null) schedule(call, ring_after_ms, () => call.ring(180));
    if (answer_after_ms !== null) {
      schedule(call, answer_after_ms, () => {
        call.answer();
        const given = later(ACK_TIMEOUT_MS, () => this.hangUp(entry, 'error_user_not_joined'));
        void call.acked.then(() => {
          clearTimeout(given);
          this.#established(call, entry, behaviour);
        });
      });
    }
    void call.ended.then((by) => {
      if (by === 'remote' && behaviour.forgets_bye) return;
      if (by === 'remote') calls.ended(entry, 'user_hangup');
      else if (by === 'failed' && entry.registered) calls.ended(entry, 'error_user_not_joined');
      else if (by === 'failed') calls.forget(entry);
    });
  }

  #established(call: IncomingCall | OutgoingCall, entry: CallEntry, behaviour: NumberBehaviour): void {
    const { calls } = this.#parts;
    entry.sip = call;
    const { bye_answer, bye_after_ms } = behaviour;
    if (bye_answer === 'ignore') call.on('BYE', () => undefined);
    else if (bye_answer !== 200) call.on('BYE', (bye) => bye.reply(bye_answer));
    calls.connected(entry);
    if (bye_after_ms !== null) later(bye_after_ms, () => this.hangUp(entry, 'agent_hangup'));
  }

  #withHeaders(entry: CallEntry, call: IncomingCall): CallEntry {
    const headers = customSipHeaders(call.message.headers, this.#parts.options.headerNames ?? 'prefixed');
    entry.call.custom_sip_headers = headers;
    // What was set on purpose wins over the headers.
    entry.call.retell_llm_dynamic_variables = { ...headers, ...entry.call.retell_llm_dynamic_variables };
    return entry;
  }
}

/** Runs `action` after a while unless the call got a final response in the meantime. */
function schedule(call: IncomingCall, delayMs: number, action: () => void): void {
  if (delayMs === 0) action();
  else {
    later(delayMs, () => {
      if (call.status < 200) action();
    });
  }
}

/** What a webhook answered; undefined if any field is not as it must be, which spoils all of them. */
function validAnswer(answer: unknown): InboundAnswer['call_inbound'] {
  const given = (answer as InboundAnswer | null | undefined)?.call_inbound;
  if (typeof given !== 'object' || given === null) return undefined;
  const { reject, override_agent_id, override_agent_version, dynamic_variables, metadata } = given;
  const isObject = (value: unknown) =>
    value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value));
  const valid =
    ['boolean', 'undefined'].includes(typeof reject) &&
    ['string', 'undefined'].includes(typeof override_agent_id) &&
    ['string', 'number', 'undefined'].includes(typeof override_agent_version) &&
    isObject(metadata) &&
    isObject(dynamic_variables) &&
    Object.values(dynamic_variables ?? {}).every((value) => typeof value === 'string');
  return valid ? given : undefined;
}

function inboundPayload({ call }: CallEntry): object {
  const { call_id, agent_id, agent_version, from_number, to_number, custom_sip_headers } = call;
  return {
    event: 'call_inbound',
    event_timestamp: Date.now(),
    call_inbound: { call_id, agent_id, agent_version, from_number, to_number, custom_sip_headers },
  };
}

function userOf(uri: string): string {
  try {
    return parseUri(uri).user;
  } catch {
    return '';
  }
}

/** TCP first, then UDP on the same number; with port 0 until a number is free for both. */
async function bindBoth(where: { host: string; port: number; trace: boolean | number }) {
  for (let attempt = 1; ; attempt += 1) {
    const tcp = await SipPeer.start({ ...where, transport: 'tcp' });
    try {
      return { tcp, udp: await SipPeer.start({ ...where, port: tcp.port, transport: 'udp' }) };
    } catch (error) {
      await tcp.stop();
      if (where.port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}
