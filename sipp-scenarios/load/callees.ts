import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { freePort } from '../../control-plane/src/cli/ports.js';
import type { TestLike } from '../../test/harness/stack.js';
import type { Scenario } from '../scenarios.js';
import { type SippOptions, SippRun } from '../sipp.js';
import { calledByNumber } from './called-by-number.js';
import { type Address, type Placement, SIPP_TIMEOUT_S } from './pairs.js';
import { type Entry, meanHoldMs } from './traffic.js';

/** One that takes calls. It can be killed, and started again at the same place. */
export interface Callee extends Address {
  run: SippRun;
  restart: () => Promise<void>;
}

/** Who takes the calls; none of a direction that has no calls. */
export type Callees = Record<Scenario['direction'], Callee[]>;

const SCENARIOS = join(ROOT, 'sipp-scenarios');

/** Starts the sides that take calls. */
export async function startCallees(
  t: TestLike,
  placement: Placement,
  entries: readonly Entry[],
): Promise<Callees> {
  const of = async (direction: Scenario['direction']) => {
    const own = entries.filter(({ scenario }) => scenario.direction === direction && scenario.callee);
    const [first] = own;
    if (first === undefined) return [];
    const options: Omit<SippOptions, 'host' | 'port'> = {
      scenario: own.length === 1 ? (first.scenario.callee ?? '') : await scenarioOf(t, own),
      holdMs: meanHoldMs(first),
      transport: placement.transport,
      timeoutS: SIPP_TIMEOUT_S,
      ...(first.scenario.digest !== undefined && { credentials: first.scenario.digest.carrier }),
    };
    return Promise.all(
      Array.from({ length: placement.gateways }, async (_, pair) => {
        const { host, port = await freePort(host) } = placement.callee(pair, direction);
        return startCallee(t, { ...options, host, port });
      }),
    );
  };
  return { inbound: await of('inbound'), outbound: await of('outbound') };
}

async function startCallee(t: TestLike, options: SippOptions & Address): Promise<Callee> {
  const callee: Callee = {
    ...{ host: options.host, port: options.port },
    run: await SippRun.start(options),
    restart: async () => {
      await callee.run.stop();
      callee.run = await SippRun.start(options);
    },
  };
  t.teardown(() => callee.run.stop());
  return callee;
}

/** Writes one scenario of several. @returns its path as SippRun takes it */
async function scenarioOf(t: TestLike, entries: readonly Entry[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-load-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const played = entries.map(async (entry) => ({
    number: entry.number,
    xml: await readFile(join(SCENARIOS, entry.scenario.callee ?? ''), 'utf8'),
    holdMs: meanHoldMs(entry),
  }));
  const file = join(directory, 'called.xml');
  await writeFile(file, calledByNumber(await Promise.all(played)));
  return relative(SCENARIOS, file);
}
