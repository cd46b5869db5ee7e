import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { sign } from 'retell-sdk';
import { request } from 'undici';
import type { Header, SipPeer } from '../harness/sip-peer.js';
import { bracketed } from '../harness/sip-values.js';
import {
  type Fault,
  Faults,
  type NumberBehaviour,
  Numbers,
  Recent,
  type SimulatorOptions,
  type WebhookBehaviour,
} from './behaviour.js';
import { type CallEntry, Calls } from './calls.js';
import { controlApi } from './control-api.js';
import { parseTermination } from './outbound.js';
import { restApi } from './rest-api.js';
import { filledIn } from './second-call.js';
import { SipSide } from './sip-side.js';
import { WebhookSender } from './webhooks.js';

export type { Fault, NumberBehaviour, SimulatorOptions, WebhookBehaviour } from './behaviour.js';
export type { CallEntry, CallObject } from './calls.js';

/** A request that the HTTP side was asked, and how it was answered. */
export interface LoggedRequest {
  readonly at: number;
  readonly endpoint: string;
  readonly method: string;
  readonly url: string;
  readonly body: unknown;
  readonly status: number;
}

/** How a second call of a transfer is placed. */
export interface InviteTransfer {
  /** From and P-Asserted-Identity are the user's number. Default: false. */
  readonly showTransfereeAsCaller?: boolean;
  /** The tool's custom SIP headers; `{{call_id}}` in a value is filled in. */
  readonly headers?: readonly Header[];
  /** Default: 30000 ms. */
  readonly ringMs?: number;
}

const MAX_REMEMBERED = 20_000;
const FUNCTION_TIMEOUT_MS = 120_000;

/** Stands in for Retell in tests, in the demo and under load: its SIP, its REST API and its webhooks. */
export class RetellSimulator {
  readonly options: SimulatorOptions;
  readonly host: string;
  readonly apiKey: string;
  readonly inboundAgent: string;
  readonly calls: Calls;
  readonly numbers: Numbers;
  readonly faults = new Faults();
  readonly webhooks: WebhookSender;
  readonly requests: Recent<LoggedRequest>;
  concurrencyLimit: number;
  /** Calls of the workspace that do not come through this simulator. */
  otherCalls: number;
  /** See {@link SimulatorOptions.stopUnanswered}. */
  stopUnanswered: 'refuse' | 'end';

  readonly #app: FastifyInstance;
  #terminationUri = '';
  #httpPort = 0;
  #stopped = false;
  #sipSide: SipSide | undefined;

  private constructor(options: SimulatorOptions) {
    const maxRemembered = options.maxRemembered ?? MAX_REMEMBERED;
    this.options = options;
    this.host = options.host ?? '127.0.0.1';
    this.apiKey = options.apiKey ?? 'key_simulator';
    this.inboundAgent = options.inboundAgent ?? 'agent_simulated';
    this.concurrencyLimit = options.concurrencyLimit ?? 20;
    this.otherCalls = options.otherCalls ?? 0;
    this.stopUnanswered = options.stopUnanswered ?? 'refuse';
    this.numbers = new Numbers(options.numbers);
    this.requests = new Recent(maxRemembered);
    this.webhooks = new WebhookSender(
      options.webhookKey ?? this.apiKey,
      options.webhooks ?? {},
      maxRemembered,
    );
    this.calls = new Calls({
      maxRemembered,
      registrationTtlMs: options.registrationTtlMs ?? 300_000,
      notify: (entry, event, more) => this.#notify(entry, event, more),
    });
    for (const fault of options.faults ?? []) this.faults.add(fault);
    this.terminationUri = options.terminationUri ?? '';
    // A misspelt knob must be refused, not dropped.
    this.#app = Fastify({ ajv: { customOptions: { removeAdditional: false } } });
  }

  /** Listens for SIP and HTTP. @throws the system error if a port is taken. */
  static async start(options: SimulatorOptions = {}): Promise<RetellSimulator> {
    const simulator = new RetellSimulator(options);
    const { calls, numbers, webhooks } = simulator;
    try {
      simulator.#sipSide = await SipSide.start({ options, calls, numbers, webhooks });
      await simulator.#app.register(restApi, { simulator });
      await simulator.#app.register(controlApi, { prefix: '/simulator', simulator });
      await simulator.#app.listen({ host: simulator.host, port: options.httpPort ?? 0 });
      simulator.#httpPort = (simulator.#app.server.address() as AddressInfo).port;
    } catch (error) {
      await simulator.stop();
      throw error;
    }
    return simulator;
  }

  get sip(): {
    host: string;
    port: number;
    transports: readonly ['udp', 'tcp'];
    udp: SipPeer;
    tcp: SipPeer;
    /** Undefined without the option `tls`; its port is another one. */
    tls: SipPeer | undefined;
  } {
    const { udp, tcp, tls } = this.#sip;
    return { host: this.host, port: udp.port, transports: ['udp', 'tcp'], udp, tcp, tls };
  }

  get http(): { url: string } {
    return { url: `http://${bracketed(this.host)}:${this.#httpPort}` };
  }

  /** The workspace's calls that are up or being set up. */
  get concurrency(): number {
    return this.calls.concurrency + this.otherCalls;
  }

  /** Where create-phone-call sends its INVITE; may change while running. @throws SipParseError if it is no URI. */
  get terminationUri(): string {
    return this.#terminationUri;
  }

  set terminationUri(uri: string) {
    if (uri !== '') parseTermination(uri);
    this.#terminationUri = uri;
  }

  setNumber(number: string, behaviour: Partial<NumberBehaviour>): void {
    this.numbers.set(number, behaviour);
  }

  setWebhooks(behaviour: Partial<WebhookBehaviour>): void {
    Object.assign(this.webhooks.behaviour, behaviour);
  }

  /** Closes the HTTP port, the knobs included: connections are cut and new ones refused. */
  async closeHttp(): Promise<void> {
    const { server } = this.#app;
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  /** Opens the same HTTP port again; nothing after {@link stop}. @throws the system error if it was taken in the meantime. */
  async openHttp(): Promise<void> {
    const { server } = this.#app;
    if (server.listening || this.#stopped) return;
    server.listen(this.#httpPort, this.host);
    await once(server, 'listening');
  }

  addFault(fault: Fault): void {
    this.faults.add(fault);
  }

  /** Back to the settings of the start, with nothing remembered; calls in progress are left without a word. */
  reset(): void {
    this.numbers.clear();
    for (const [number, behaviour] of Object.entries(this.options.numbers ?? {})) {
      this.numbers.set(number, behaviour);
    }
    this.faults.clear();
    for (const fault of this.options.faults ?? []) this.faults.add(fault);
    this.concurrencyLimit = this.options.concurrencyLimit ?? 20;
    this.otherCalls = this.options.otherCalls ?? 0;
    this.stopUnanswered = this.options.stopUnanswered ?? 'refuse';
    this.webhooks.reset();
    this.requests.clear();
    this.calls.clear();
  }

  /** Sends the INVITE of an outbound call; its outcome shows in the call and its webhooks. */
  dial(entry: CallEntry, headers: Record<string, string>): void {
    this.#sip.dial(entry, this.terminationUri, headers);
  }

  /** Ends a call from Retell's side with a BYE and the reason given. */
  hangUp(entry: CallEntry, reason: string): void {
    this.#sip.hangUp(entry, reason);
  }

  /** The agent transfers its call with REFER; resolves with the outcome's SIP status. */
  async transfer(entry: CallEntry, to: string, headers: readonly Header[] = [], timeoutMs = 30_000) {
    const status = await this.#transfer(entry, to, { coldTransferMode: 'sip_refer' }, () =>
      this.#sip.transfer(entry, to, filledIn(headers, entry), timeoutMs),
    );
    if (isSuccess(status)) {
      entry.call.transfer_destination = to;
      this.hangUp(entry, 'call_transfer');
      this.#notify(entry, 'transfer_ended');
    }
    return status;
  }

  /**
   * The agent transfers its call by a second call to the termination URI, from the agent's number or from the
   * user's; resolves with the final status of its INVITE.
   */
  async transferByInvite(entry: CallEntry, to: string, options: InviteTransfer = {}) {
    const { showTransfereeAsCaller = false, headers = [], ringMs = 30_000 } = options;
    const { direction, from_number, to_number } = entry.call;
    const from = (direction === 'inbound') === showTransfereeAsCaller ? from_number : to_number;
    const identity: Header = ['P-Asserted-Identity', `<${this.#sip.udp.uri(from)}>`];
    const second = { to, from, headers: Object.fromEntries([identity, ...filledIn(headers, entry)]), ringMs };
    return this.#transfer(entry, to, { coldTransferMode: 'sip_invite', showTransfereeAsCaller }, () =>
      this.#sip.transferByInvite(entry, this.terminationUri, second),
    );
  }

  /**
   * transfer_started and then transfer_bridged or transfer_cancelled go out to those who asked for these events
   * (retell.md 5.2).
   */
  async #transfer(entry: CallEntry, to: string, option: object, run: () => Promise<number>) {
    const details = {
      transfer_destination: { number: to },
      transfer_option: { type: 'cold_transfer', ...option },
    };
    this.#notify(entry, 'transfer_started', details);
    const status = await run();
    this.#notify(entry, isSuccess(status) ? 'transfer_bridged' : 'transfer_cancelled', details);
    return status;
  }

  /** The agent calls a custom function (retell.md 11), signed like a webhook; resolves with the answer. */
  async callFunction(
    entry: CallEntry,
    { url, name, args }: { url: string; name: string; args: Record<string, unknown> },
  ): Promise<{ status: number; body: string }> {
    const body = JSON.stringify({ name, call: entry.call, args });
    const signature = await sign(body, this.options.webhookKey ?? this.apiKey);
    const answer = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-retell-signature': signature },
      body,
      signal: AbortSignal.timeout(FUNCTION_TIMEOUT_MS),
    });
    return { status: answer.statusCode, body: await answer.body.text() };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.calls.stop();
    await this.webhooks.stop();
    this.#app.server.closeAllConnections();
    await this.#app.close();
    await this.#sipSide?.stop();
  }

  get #sip(): SipSide {
    if (!this.#sipSide) throw new Error('the simulator is not started');
    return this.#sipSide;
  }

  #notify(entry: CallEntry, event: string, more: Record<string, unknown> = {}): void {
    const { webhook_url, webhook_events, webhook_timeout_ms } = entry.webhook;
    this.webhooks.send(
      event,
      entry.call.call_id,
      { event, call: entry.call, ...more },
      {
        ...(webhook_url === undefined ? {} : { url: webhook_url }),
        ...(webhook_events === undefined ? {} : { events: webhook_events }),
        ...(webhook_timeout_ms === undefined ? {} : { timeoutMs: webhook_timeout_ms }),
      },
    );
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
