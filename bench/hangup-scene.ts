import { freePort } from '../control-plane/src/cli/ports.js';
import { SippRun } from '../sipp-scenarios/sipp.js';
import { eventually } from '../test/harness/await.js';
import {
  CARRIER_HOST,
  NUMBER,
  RETELL_HOST,
  type Stack,
  type StackOptions,
  startStack,
} from '../test/harness/stack.js';
import type { Cleanup } from './cleanup.js';
import { ownGroup } from './cpu.js';
import { HeldCalls } from './held-calls.js';

/** A carrier of its own takes the calls that go on in the background: it answers them without being probed. */
const LOAD_HOST = '127.0.0.5';
const LOAD_PREFIX = '+1415556';
const LOAD_NUMBER = `${LOAD_PREFIX}0001`;
/** How long a call in the background is held, in ms. */
const HOLD_MS = 200;
/** Kamailio's default in config.yaml: thousands of calls that end within seconds need more than tests give it. */
const SHARED_MEMORY_MB = 256;
/** Calls a second while calls come up. */
const DIAL_RATE = 150;

export interface HangupScene {
  stack: Stack;
  held: HeldCalls;
  loadPort: number;
}

/** A stack between peers that hold calls, with the control plane in a process of its own. */
export async function startHangupScene(
  t: Cleanup,
  options: Pick<StackOptions, 'controlPlaneEnv'> = {},
): Promise<HangupScene> {
  const held = await HeldCalls.start(t);
  const loadPort = await freePort(LOAD_HOST);
  const gateway = (host: string, port: number) => ({
    networks: [host],
    gateways: [{ uri: `sip:${host}:${port}` }],
    probe: false,
  });
  const stack = await startStack(t, {
    gateways: [{ uri: `sip:${RETELL_HOST}:${held.retellPort}` }],
    controlPlane: 'process',
    ...options,
    config: {
      kamailio: { shared_memory_mb: SHARED_MEMORY_MB },
      carriers: [
        { name: 'acme', ...gateway(CARRIER_HOST, held.carrierPort) },
        { name: 'load', prefixes: [LOAD_PREFIX], ...gateway(LOAD_HOST, loadPort) },
      ],
    },
  });
  return { stack, held, loadPort };
}

/** Process groups of the parts, by name. */
export function partsOf({ stack }: HangupScene): Record<string, number | undefined> {
  const { kamailio, controlPlane, redis } = stack.parts;
  return { Kamailio: kamailio.pid, 'control plane': controlPlane?.pid, Redis: redis.pid, peers: ownGroup() };
}

/** Has this many calls up, in place of those of before, and known to be answered. */
export async function holdCalls({ stack, held }: HangupScene, count: number): Promise<void> {
  await held.dial({ count, rate: DIAL_RATE, number: NUMBER, ...stack.sip });
  await eventually(
    `${count} answered calls`,
    async () => {
      const filter = { state: 'answered', carrier: 'acme' };
      const { body } = await stack.api.post('/v1/hangups', { filter, dry_run: true });
      return body.matched === count;
    },
    60_000,
  );
}

/** What answers the calls in the background, until the bench ends. */
export async function startLoadCarrier(t: Cleanup, { loadPort }: HangupScene): Promise<SippRun> {
  const run = await SippRun.start({
    scenario: 'called/answer.xml',
    host: LOAD_HOST,
    port: loadPort,
    timeoutS: 3600,
  });
  t.teardown(() => run.stop());
  return run;
}

/** Calls through the same proxy, Retell's to the load carrier. */
export async function startLoad(
  t: Cleanup,
  { stack }: HangupScene,
  options: { rate: number; seconds: number },
): Promise<SippRun> {
  const { rate, seconds } = options;
  const run = await SippRun.start({
    scenario: 'retell/outbound-answered.xml',
    host: RETELL_HOST,
    target: `${stack.sip.host}:${stack.sip.port}`,
    number: LOAD_NUMBER,
    calls: rate * seconds,
    rate,
    holdMs: HOLD_MS,
    callIdPrefix: `load-${rate}-${Date.now()}`,
    timeoutS: seconds + 20,
  });
  t.teardown(() => run.stop());
  return run;
}

/** Events that the control plane has not read yet. */
export async function eventLag({ stack }: HangupScene): Promise<number> {
  const groups = (await stack.redis.xinfo('GROUPS', 'sip:events:node1')) as (string | number | null)[][];
  const fields = groups[0] ?? [];
  return Number(fields[fields.indexOf('lag') + 1] ?? 0);
}
