import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { redisProcess } from '../../control-plane/src/cli/processes.js';
import { parseConfig } from '../../control-plane/src/config/load.js';
import type { Config } from '../../control-plane/src/config/schema.js';
import { Part } from '../harness/part.js';
import type { TestLike } from '../harness/stack.js';
import { RetellSimulator, type SimulatorOptions } from '../retell-simulator/simulator.js';

export const API_KEY = 'key_test_0123456789';
export const REGISTERED = '+14155550101';
export const TRUNK = '+14155550100';

/** A configuration in force that a test can change. */
export interface Active {
  current: Config;
}

export interface ConfigSections {
  retell?: Record<string, unknown>;
  numbers?: Record<string, unknown>[];
  carriers?: Record<string, unknown>[];
  webhooks?: Record<string, unknown>[];
}

/** A whole configuration with one number of each method, and what the test sets. */
export function configWith({ retell, numbers, carriers, webhooks }: ConfigSections = {}): Config {
  const text = stringify({
    sip: { listen: ['udp:127.0.0.1:5060'] },
    retell: { api_key: API_KEY, gateways: [{ uri: 'sip:203.0.113.5' }], ...retell },
    numbers: numbers ?? [
      { number: REGISTERED, method: 'register', agent_id: 'agent_one' },
      { number: TRUNK },
    ],
    carriers: carriers ?? [
      { name: 'acme', networks: ['198.51.100.0/24'], gateways: [{ uri: 'sip:198.51.100.10' }] },
    ],
    webhooks: webhooks ?? [],
    api: {
      listen: '127.0.0.1:8080',
      tokens: [{ name: 'ops', token: 'token-0123456789abcdef', scopes: ['read'] }],
    },
  });
  return parseConfig(text, {});
}

/** A simulated Retell that stops when the test ends. */
export async function startRetell(t: TestLike, options: SimulatorOptions = {}): Promise<RetellSimulator> {
  const simulator = await RetellSimulator.start({ apiKey: API_KEY, ...options });
  t.teardown(() => simulator.stop());
  return simulator;
}

/** A Redis of the test's own. @param args what its command line says besides */
export async function startRedis(
  t: TestLike,
  args: readonly string[] = [],
): Promise<{ url: string; part: Part }> {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-test-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const port = await freePort();
  const spec = await redisProcess({ directory, host: '127.0.0.1', port });
  const part = new Part({ ...spec, args: [...spec.args, ...args] }, () => {});
  t.teardown(() => part.stop());
  await part.start();
  return { url: `redis://127.0.0.1:${port}`, part };
}
