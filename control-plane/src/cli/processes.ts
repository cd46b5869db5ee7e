import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import type { Config } from '../config/schema.js';
import { writeDataFiles } from '../kamailio/data-files.js';
import { renderNodeFile } from '../kamailio/node-file.js';
import { RpcClient } from '../kamailio/rpc-client.js';
import { connectRedis } from '../redis.js';
import { ROOT } from './paths.js';
import { NICENESS } from './precedence.js';
import type { ProcessSpec } from './process.js';

/** Pause between two looks at a part that is coming up, in ms. */
const POLL_MS = 25;
/** Shared memory is for dialogs and transactions; what one worker needs for a message is far less, in MiB. */
const PACKAGE_MEMORY_MB = 16;

/** SIP messages that the simulated Retell keeps for ladders. */
const SIMULATOR_TRACE = 10_000;
/** Calls at once that the simulated Retell takes: load by hand should not meet Retell's default of 20. */
const SIMULATOR_CONCURRENCY = 10_000;

/** Redis first reads its file, some 10 s for a gigabyte: who ends it meanwhile has it begin anew. */
const REDIS_READY_MS = 600_000;

/**
 * Redis for one machine: every write is handed to the log before it is answered, so that a killed Redis comes
 * back with all of them.
 */
export async function redisProcess(options: {
  directory: string;
  host: string;
  port: number;
}): Promise<ProcessSpec> {
  const { directory, host, port } = options;
  await mkdir(directory, { recursive: true });
  return {
    name: 'redis',
    command: 'redis-server',
    args: [
      ...['--bind', host, '--port', String(port), '--dir', directory],
      ...['--loglevel', 'warning', '--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''],
      // To write the file anew takes a CPU for seconds, which others lack meanwhile, and each page that changes is copied:
      // not for each 64 MB of a young one, not each time it has doubled, and not compressed, which takes twice as long and,
      // as what is written is smaller, is done twice as often.
      ...['--auto-aof-rewrite-min-size', '512mb', '--auto-aof-rewrite-percentage', '300'],
      ...['--rdbcompression', 'no'],
      // A call's record is one hash of some 40 fields: kept packed it takes a third of the memory.
      ...['--hash-max-listpack-value', '1024'],
    ],
    niceness: NICENESS.redis,
    readyTimeoutMs: REDIS_READY_MS,
    ready: async (signal) => {
      const redis = connectRedis(`redis://${host}:${port}`, () => {}, 1000);
      try {
        await poll(signal, async () => {
          if (redis.status === 'wait') await redis.connect();
          await redis.ping();
        });
      } finally {
        redis.disconnect();
      }
    },
  };
}

export interface KamailioProcessOptions {
  config: Config;
  /** One of `kamailio.nodes`. */
  node: string;
  /** For the node's own file and its data files. */
  directory: string;
  redisUrl: string;
  rpcToken: string;
  /** The program; default the environment variable KAMAILIO, or `kamailio`. */
  command?: string | undefined;
}

/** One Kamailio node with its files rendered anew from the configuration. */
export async function kamailioProcess(options: KamailioProcessOptions): Promise<ProcessSpec> {
  const { config, node, directory, redisUrl, rpcToken } = options;
  await writeDataFiles(config, directory);
  const file = join(directory, 'node.cfg');
  const mainFile = join(ROOT, 'kamailio', 'kamailio.cfg');
  await writeFile(file, renderNodeFile(config, { node, redisUrl, dataDirectory: directory, mainFile }));
  const url = config.kamailio.nodes.find(({ name }) => name === node)?.rpc_url ?? '';
  return {
    name: 'kamailio',
    command: options.command ?? process.env.KAMAILIO ?? 'kamailio',
    args: [
      ...['-DD', '-E', '-f', file, '-w', directory, '-Y', directory],
      ...['-x', 'tlsf', '-X', 'tlsf', '-m', String(config.kamailio.shared_memory_mb)],
      ...['-M', String(PACKAGE_MEMORY_MB)],
    ],
    niceness: NICENESS.kamailio,
    cwd: directory,
    env: { KAMAILIO_RPC_TOKEN: rpcToken, REDIS_PASSWORD: decodeURIComponent(new URL(redisUrl).password) },
    ready: async (signal) => {
      const rpc = new RpcClient({
        node,
        url,
        token: rpcToken,
        breaker: { failures: Number.POSITIVE_INFINITY },
      });
      try {
        await poll(signal, () => rpc.call('core.version'));
      } finally {
        await rpc.close();
      }
    },
  };
}

/** The control plane as a process of its own: `retell-proxy serve`. */
export function controlPlaneProcess(options: {
  configFile: string;
  apiListen: string;
  redisUrl: string;
  rpcToken: string;
  env?: Record<string, string>;
}): ProcessSpec {
  return {
    name: 'control-plane',
    command: process.execPath,
    args: [fileURLToPath(new URL('main.js', import.meta.url)), 'serve'],
    env: {
      ...options.env,
      CONFIG_FILE: options.configFile,
      REDIS_URL: options.redisUrl,
      KAMAILIO_RPC_TOKEN: options.rpcToken,
    },
    ready: (signal) => poll(signal, () => answers(`http://${options.apiListen}/healthz`)),
  };
}

/** The simulated Retell of the demo, on SIP and HTTP. */
export function simulatorProcess(options: {
  host: string;
  sipPort: number;
  httpPort: number;
  apiKey: string;
  /** Where it sends the webhooks of its calls. */
  webhookUrl: string;
  /** Where it sends the INVITEs of the calls that it is asked for. */
  terminationUri: string;
}): ProcessSpec {
  const { host, sipPort, httpPort, apiKey, webhookUrl, terminationUri } = options;
  return {
    name: 'retell-simulator',
    command: process.execPath,
    args: [
      join(ROOT, 'dist/test/retell-simulator/main.js'),
      ...['--host', host, '--sip-port', String(sipPort), '--http-port', String(httpPort)],
      ...['--trace', String(SIMULATOR_TRACE), '--concurrency-limit', String(SIMULATOR_CONCURRENCY)],
      ...['--webhook-url', webhookUrl, '--termination-uri', terminationUri],
    ],
    env: { RETELL_SIMULATOR_API_KEY: apiKey },
    ready: (signal) => poll(signal, () => answers(`http://${host}:${httpPort}/simulator/calls`)),
  };
}

/** Calls `probe` until it succeeds; gives up when the signal says that nobody waits any more. */
async function poll(signal: AbortSignal, probe: () => Promise<unknown>): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      await probe();
      return;
    } catch {
      await delay(POLL_MS);
    }
  }
}

async function answers(url: string): Promise<void> {
  const { statusCode, body } = await request(url, { headersTimeout: 1000, bodyTimeout: 1000 });
  await body.dump();
  if (statusCode >= 500) throw new Error(`HTTP ${statusCode}`);
}
