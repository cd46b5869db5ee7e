import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { stringify } from 'yaml';
import { freePort } from '../../control-plane/src/cli/ports.js';

import { controlPlaneProcess, kamailioProcess, redisProcess } from '../../control-plane/src/cli/processes.js';
import { parseConfig } from '../../control-plane/src/config/load.js';
import type { Config } from '../../control-plane/src/config/schema.js';
import { RpcClient } from '../../control-plane/src/kamailio/rpc-client.js';
import { createLogger } from '../../control-plane/src/log.js';
import { type ControlPlane, startControlPlane } from '../../control-plane/src/main.js';
import { ApiClient } from './api-client.js';
import { eventually } from './await.js';
import { Part } from './part.js';

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
}

/** Redis, Kamailio and the control plane on free ports, for one test. */
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
}

/**
 * Starts a stack and stops it when the test ends, however it ends: nothing is left behind.
 *
 * @throws SupervisorError where a part does not come up
 */
export async function startStack(t: TestLike, options: StackOptions): Promise<Stack> {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-test-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));

  const [sipPort, sipsPort, rpcPort, apiPort, redisPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const redisUrl = `redis://${HOST}:${redisPort}`;
  const rpcToken = randomBytes(16).toString('hex');
  const tokens = Object.fromEntries(['all', 'reader'].map((name) => [name, randomBytes(16).toString('hex')]));
  const text = stringify({
    sip: {
      listen: [HOST, ...(options.ipv6 ? ['[::1]'] : [])].flatMap((host) => [
        `udp:${host}:${sipPort}`,
        `tcp:${host}:${sipPort}`,
        ...(options.tls ? [`tls:${host}:${sipsPort}`] : []),
      ]),
      workers: 4,
      ...(options.tls && { tls: options.tls }),
      ...options.config?.sip,
    },
    retell: { gateways: options.gateways, networks: [RETELL_HOST], ...options.config?.retell },
    numbers: options.config?.numbers ?? [{ number: NUMBER }],
    carriers: options.config?.carriers ?? [
      // A carrier that only calls: nothing is sent to its gateway.
      {
        name: 'acme',
        networks: [CARRIER_HOST],
        gateways: [{ uri: `sip:${CARRIER_HOST}:${sipPort}` }],
        probe: false,
      },
    ],
    calls: { hangup_timeout_ms: 3000, ...options.config?.calls },
    api: {
      listen: `${HOST}:${apiPort}`,
      tokens: [
        { name: 'all', token: tokens.all, scopes: ['read', 'control', 'admin'] },
        { name: 'reader', token: tokens.reader, scopes: ['read'] },
      ],
    },
    redis: { url: redisUrl },
    kamailio: {
      nodes: [
        {
          name: 'node1',
          rpc_url: `http://${HOST}:${rpcPort}/RPC`,
          rpc_token: rpcToken,
          data_directory: join(directory, 'kamailio'),
        },
      ],
      shared_memory_mb: 64,
    },
    log: { level: 'warn' },
  });
  const config = parseConfig(text, {});
  const configFile = join(directory, 'config.yaml');
  await writeFile(configFile, text);

  const kamailioLog: string[] = [];
  const redisSpec = await redisProcess({ directory: join(directory, 'redis'), host: HOST, port: redisPort });
  const redisPart = await startPart(t, new Part(redisSpec, () => {}));
  const kamailioSpec = await kamailioProcess({
    config,
    node: 'node1',
    directory: join(directory, 'kamailio'),
    redisUrl,
    rpcToken,
  });
  const kamailio = await startPart(
    t,
    new Part(kamailioSpec, (line) => {
      kamailioLog.push(line);
      if (kamailioLog.length > 200) kamailioLog.shift();
    }),
  );

  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  redis.on('error', () => {});
  t.teardown(() => redis.disconnect());
  const rpc = new RpcClient({ node: 'node1', url: `http://${HOST}:${rpcPort}/RPC`, token: rpcToken });
  t.teardown(() => rpc.close());

  let controlPlane: Part | undefined;
  if (options.controlPlane === 'process') {
    const spec = controlPlaneProcess({ configFile, apiListen: config.api.listen, redisUrl, rpcToken });
    controlPlane = await startPart(t, new Part(spec, (line) => t.comment(line)));
  } else if (options.controlPlane !== 'none') {
    const inside: ControlPlane = await startControlPlane({
      config,
      configFile,
      dataDirectory: join(directory, 'kamailio'),
      redisUrl,
      rpcToken,
      log: createLogger('silent'),
    });
    t.teardown(() => inside.stop());
  }
  const api = new ApiClient(`http://${config.api.listen}`, tokens);
  // At its start the control plane has the certificates read anew, which in Kamailio 5 may break a connection.
  if (options.tls && options.controlPlane !== 'none') await configApplied(api);
  return {
    config,
    configFile,
    sip: { host: HOST, port: sipPort },
    sips: { host: HOST, port: sipsPort },
    api,
    redis,
    redisUrl,
    rpc,
    rpcToken,
    parts: { redis: redisPart, kamailio, controlPlane },
    kamailioLog,
  };
}

/** Waits until Kamailio holds the configuration. */
async function configApplied(api: ApiClient): Promise<void> {
  await eventually('a node that holds the configuration', async () =>
    /^retell_proxy_kamailio_config_applied\{.*\} 1$/m.test((await api.get('/metrics')).body),
  );
}

async function startPart(t: TestLike, part: Part): Promise<Part> {
  t.teardown(() => part.stop());
  await part.start();
  return part;
}
