import { freePort, type Transport } from '../../control-plane/src/cli/ports.js';
import type { Scenario } from '../../sipp-scenarios/scenarios.js';
import { type SippOptions, type SippResult, SippRun } from '../../sipp-scenarios/sipp.js';
import { recordOf } from './scene.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, type Stack, type TestLike } from './stack.js';
import { TlsRelay } from './tls-relay.js';
import type { Trust } from './tls-scene.js';
import { begin, endOf } from './transfers.js';

/** Calls of each scenario. */
const CALLS = 3;
/** Calls a second of each. */
const RATE = 20;
/** Long enough that no BYE overtakes the ACK, in ms. */
const HOLD_MS = 250;

/** Where calls of one kind go to, and the transport of both sides of them. */
export interface Route {
  host: string;
  port: number;
  /** Number that leads there. */
  number: string;
  transport: Transport;
}

/** What came of the calls of one scenario. */
export interface Played {
  result: SippResult;
  /** What the calling SIPp had to say of messages that it did not expect. */
  errors: string;
  /** Of each call, once it has ended; none where the scenario has no calls. */
  records: Awaited<ReturnType<typeof recordOf>>[];
  /** What came of the commands: hangups, or transfers once they had ended. */
  commands: { outcome?: string; state?: string }[];
}

export interface PlayOptions {
  route: Route;
  /** For TLS. */
  trust?: Trust;
  /** Call-IDs begin with it. Default the scenario's name. */
  prefix?: string;
}

/** The way of inbound calls to Retell's one gateway, over UDP. */
export async function retellRoute(): Promise<Route> {
  return { host: RETELL_HOST, port: await freePort(RETELL_HOST), number: NUMBER, transport: 'udp' };
}

/** The way of outbound calls to a carrier of its own, with one gateway at a loopback address of its own. */
export async function carrierRoute(index: number, transport: Transport = 'udp'): Promise<Route> {
  const host = `127.0.1.${index + 1}`;
  return {
    host,
    port: await freePort(host),
    number: `+141555501${String(index).padStart(2, '0')}`,
    transport,
  };
}

/** The carrier of such a route, for a stack's configuration. */
export function carrierOf({ host, port, number, transport }: Route, keys: Record<string, unknown> = {}) {
  return {
    name: `carrier${number.slice(-2)}`,
    networks: [host],
    gateways: [{ uri: `sip:${host}:${port};transport=${transport}` }],
    prefixes: [number],
    ...keys,
  };
}

/** Starts the side that is called. */
export async function startCallee(
  t: TestLike,
  callee: string,
  route: Route,
  trust?: Trust,
): Promise<SippRun> {
  const { host, port, transport } = route;
  const options = { scenario: callee, host, holdMs: HOLD_MS, timeoutS: 180 };
  if (transport !== 'tls') return startRun(t, { ...options, port, transport });
  const sippPort = await freePort(host);
  await TlsRelay.start(t, { host, sippPort, tlsPort: port, tls: await certificateOf(host, trust) });
  return startRun(t, { ...options, port: sippPort, transport: 'tcp' });
}

/** Plays some calls of a scenario whose called side has been started, and waits for their ends. */
export async function play(
  t: TestLike,
  stack: Stack,
  scenario: Scenario,
  { route, trust, prefix = scenario.name }: PlayOptions,
): Promise<Played> {
  const host = scenario.direction === 'inbound' ? CARRIER_HOST : RETELL_HOST;
  const caller = await startRun(t, {
    scenario: scenario.caller,
    host,
    number: route.number,
    calls: CALLS,
    rate: RATE,
    holdMs: scenario.held ? HOLD_MS : 0,
    callIdPrefix: prefix,
    traceErrors: true,
    ...(scenario.digest && { credentials: scenario.digest.retell }),
    ...(await transportOf(t, stack, host, route, trust)),
  });
  const numbers = scenario.callee === undefined ? [] : Array.from({ length: CALLS }, (_, i) => i + 1);
  const callIds = numbers.map((number) => `${prefix}-${number}@${host}`);
  const { command } = scenario;
  const commands = Promise.all(
    command === undefined ? [] : callIds.map((callId) => give(stack, command, callId)),
  );
  const result = await caller.result();
  return {
    result,
    errors: await caller.errors(),
    records: await Promise.all(callIds.map((callId) => recordOf(stack, callId, 'ended'))),
    commands: await commands,
  };
}

/** Starts a SIPp that ends with the test. */
export async function startRun(t: TestLike, options: SippOptions): Promise<SippRun> {
  const run = await SippRun.start(options);
  t.teardown(() => run.stop());
  return run;
}

/** How the caller speaks to the proxy. */
async function transportOf(
  t: TestLike,
  { sip, sips }: Stack,
  host: string,
  { transport }: Route,
  trust?: Trust,
): Promise<Pick<SippOptions, 'target' | 'transport' | 'port' | 'more'>> {
  if (transport !== 'tls') return { target: `${sip.host}:${sip.port}`, transport };
  const [port, tlsPort] = [await freePort(host), await freePort(host)];
  const tls = await certificateOf(host, trust);
  const relay = await TlsRelay.start(t, { host, sippPort: port, tlsPort, tls, proxy: sips });
  return { target: `${sips.host}:${sips.port}`, transport: 'tcp', port, more: ['-rsa', relay.entry] };
}

async function certificateOf(host: string, trust: Trust | undefined) {
  if (trust === undefined) throw new Error('TLS needs certificates');
  const { pem } = await trust.authority.issue({ name: host, altNames: [`IP:${host}`] });
  return { ...pem, ca: trust.authority.pem };
}

/** Commands what the scenario waits for, once the call is up. */
async function give(
  stack: Stack,
  command: 'hangup' | 'transfer',
  callId: string,
): Promise<Played['commands'][number]> {
  const { id } = await recordOf(stack, callId, 'answered');
  if (command === 'hangup') return (await stack.api.post(`/v1/calls/${id}/hangup`)).body;
  return endOf(stack, id, (await begin(stack, id)).id);
}
