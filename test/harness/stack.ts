import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../control-plane/src/cli/ports.js';

import { controlPlaneProcess, redisProcess } from '../../control-plane/src/cli/processes.js';
import { parseConfig } from '../../control-plane/src/config/load.js';
import type { Config } from '../../control-plane/src/config/schema.js';
import type { RpcClient } from '../../control-plane/src/kamailio/rpc-client.js';
import { createLogger } from '../../control-plane/src/log.js';
import { type ControlPlane, startControlPlane } from '../../control-plane/src/main.js';
import { ApiClient } from './api-client.js';
import { eventually } from './await.js';
import { Part, startPart } from './part.js';
import { renderConfig } from './stack-config.js';
import { type NodePlace, placeNode, type StackNode, startNode } from './stack-node.js';

/** What the harness needs of a tap test. */
export interface TestLike {
  teardown(fn: () => unknown): void;
  comment(...args: unknown[]): void;
}

/** Loopback addresses of the two sides: Kamailio tells them apart by their source. */
export const CARRIER_HOST = '127.0.0.2';
export const RETELL_HOST = '127.0.0.3';
export const NUMBER = '+14155550100';
const HOST = '127.0.0.1';

/** Parts of a configuration file. */
export interface ConfigSections {
  sip?: Record<string, unknown>;
  retell?: Record<string, unknown>;
  calls?: Record<string, unknown>;
  numbers?: Record<string, unknown>[];
  carriers?: Record<string, unknown>[];
  transfers?: Record<string, unknown>;
  capture?: Record<string, unknown>;
  traces?: Record<string, unknown>;
  webhooks?: Record<string, unknown>[];
  kamailio?: Record<string, unknown>;
  log?: Record<string, unknown>;
}

export interface StackOptions {
  /** SIP URIs of Retell's gateways. */
  gateways: { uri: string; weight?: number; priority?: number }[];
  /** Merged into the configuration, section by section; lists (numbers, carriers) replace the default. */
  config?: ConfigSections;
  /** The section sip.tls: with it Kamailio takes SIP over TLS too. */
  tls?: Record<string, unknown>;
  /** Whether Kamailio takes SIP on ::1 too, with the same ports. */
  ipv6?: boolean;
  /** Whether the control plane runs in this process (default), in one of its own, or not at all. */
  controlPlane?: 'inside' | 'process' | 'none';
  /** Added to the environment of control planes in processes of their own. */
  controlPlaneEnv?: Record<string, string>;
  /** How many Kamailio nodes, named node1 and so on. Default 1. */
  nodes?: number;
  /** How many control planes on the same Redis; those after the first run in processes of their own. Default 1. */
  replicas?: number;
}

/** Redis, Kamailio and the control plane on free ports, for one test. With several nodes `sip` and so on are node1's. */
export interface Stack {
  config: Config;
  /** The file that it came from, which a test may change and have reloaded. */
  configFile: string;
  /** Where Kamailio takes SIP over UDP and TCP. */
  sip: { host: string; port: number };
  /** Where it takes SIP over TLS, if it does. */
  sips: { host: string; port: number };
  api: ApiClient;
  redis: Redis;
  redisUrl: string;
  rpc: RpcClient;
  rpcToken: string;
  parts: { redis: Part; kamailio: Part; controlPlane: Part | undefined };
  /** Kamailio's last lines of log. */
  kamailioLog: string[];
  nodes: [StackNode, ...StackNode[]];
  /** Of every replica, `api` first. */
  apis: [ApiClient, ...ApiClient[]];
}

/**
 * Starts a stack and stops it when the test ends, however it ends: nothing is left behind.
 *
 * @throws SupervisorError where a part does not come up
 */
export async function startStack(t: TestLike, options: StackOptions): Promise<Stack> {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-test-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));

  const places: [NodePlace, ...NodePlace[]] = [await placeNode(0, directory)];
  while (places.length < (options.nodes ?? 1)) places.push(await placeNode(places.length, directory));
  const redisPort = await freePort();
  const redisUrl = `redis://${HOST}:${redisPort}`;
  const rpcToken = randomBytes(16).toString('hex');
  const tokens = Object.fromEntries(['all', 'reader'].map((name) => [name, randomBytes(16).toString('hex')]));
  const writeConfig = async (name: string) => {
    const apiListen = `${HOST}:${await freePort()}`;
    const text = renderConfig(options, { places, apiListen, redisUrl, rpcToken, tokens });
    const configFile = join(directory, name);
    await writeFile(configFile, text);
    return { config: parseConfig(text, {}), configFile, apiListen };
  };
  const first = await writeConfig('config.yaml');
  const { config, configFile } = first;

  const redisSpec = await redisProcess({ directory: join(directory, 'redis'), host: HOST, port: redisPort });
  const redisPart = await startPart(t, new Part(redisSpec, () => {}));
  const node1 = await startNode(t, places[0], { config, redisUrl, rpcToken });
  const nodes: Stack['nodes'] = [node1];
  for (const place of places.slice(1)) nodes.push(await startNode(t, place, { config, redisUrl, rpcToken }));

  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  redis.on('error', () => {});
  t.teardown(() => redis.disconnect());

  const startProcess = async ({ configFile, apiListen }: typeof first) => {
    const env = options.controlPlaneEnv ?? {};
    const spec = controlPlaneProcess({ configFile, apiListen, redisUrl, rpcToken, env });
    return startPart(t, new Part(spec, (line) => t.comment(line)));
  };
  let controlPlane: Part | undefined;
  if (options.controlPlane === 'process') {
    controlPlane = await startProcess(first);
  } else if (options.controlPlane !== 'none') {
    const inside: ControlPlane = await startControlPlane({
      config,
      configFile,
      dataDirectory: places[0].directory,
      redisUrl,
      rpcToken,
      log: createLogger('silent'),
    });
    t.teardown(() => inside.stop());
  }
  const api = new ApiClient(`http://${first.apiListen}`, tokens);
  const apis: Stack['apis'] = [api];
  while (apis.length < (options.replicas ?? 1)) {
    const replica = await writeConfig(`config${apis.length + 1}.yaml`);
    await startProcess(replica);
    apis.push(new ApiClient(`http://${replica.apiListen}`, tokens));
  }
  // At its start the control plane has the certificates read anew, which in Kamailio 5 may break a connection.
  if (options.tls && options.controlPlane !== 'none') await configApplied(api);
  return {
    config,
    configFile,
    sip: node1.sip,
    sips: node1.sips,
    api,
    redis,
    redisUrl,
    rpc: node1.rpc,
    rpcToken,
    parts: { redis: redisPart, kamailio: node1.part, controlPlane },
    kamailioLog: node1.log,
    nodes,
    apis,
  };
}

/** Waits until Kamailio holds the configuration. */
async function configApplied(api: ApiClient): Promise<void> {
  await eventually('a node that holds the configuration', async () =>
    /^retell_proxy_kamailio_config_applied\{.*\} 1$/m.test((await api.get('/metrics')).body),
  );
}
