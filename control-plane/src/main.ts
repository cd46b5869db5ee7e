import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { CallChanges } from './calls/changes.js';
import { EventHandler } from './calls/event-handler.js';
import { Hangup } from './calls/hangup.js';
import { CallStore } from './calls/store.js';
import { parseHostPort } from './config/addresses.js';
import type { Config } from './config/schema.js';
import { buildApp } from './http/app.js';
import { EventReader } from './kamailio/event-reader.js';
import { KamailioNode } from './kamailio/node.js';
import { RpcClient } from './kamailio/rpc-client.js';
import { Metrics, type NodeStatistics } from './metrics/metrics.js';
import { connectPatientRedis, connectRedis } from './redis.js';

/** How often index entries of expired records are forgotten, in ms. */
const TRIM_INTERVAL_MS = 60_000;

export interface ControlPlaneOptions {
  config: Config;
  /** Redis, which `redis.url` may leave to the environment. */
  redisUrl: string;
  /** Bearer token of nodes whose `rpc_token` is not configured. */
  rpcToken: string;
  log: Logger;
}

/** A control plane that runs. */
export interface ControlPlane {
  /** Where the API listens, e.g. http://127.0.0.1:8080. */
  url: string;
  /** Lets requests in hand finish, stops reading events and closes every connection. */
  stop(): Promise<void>;
}

/**
 * The composition root: builds every part once, starts them in order, and stops them in reverse.
 *
 * @throws where Redis does not answer or the API's port is taken
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { config, redisUrl, log } = options;
  const warn = (detail: Record<string, unknown>, message: string) => log.warn(detail, message);
  const stack: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const close of stack.splice(0).reverse()) await close();
  };
  try {
    const redis = await opened(connectRedis(redisUrl, warn), stack);
    const subscriber = await opened(connectPatientRedis(redisUrl, warn), stack);
    const streams = await opened(connectPatientRedis(redisUrl, warn), stack);

    const nodes = new Map<string, KamailioNode>();
    const version = await packageVersion();
    const metrics = new Metrics({ version, nodeStatistics: () => statisticsOf(nodes) });
    for (const node of config.kamailio.nodes) {
      const rpc = new RpcClient({
        node: node.name,
        url: node.rpc_url,
        token: node.rpc_token ?? options.rpcToken,
        observe: (method, outcome, seconds) => metrics.rpcDone(node.name, method, outcome, seconds),
      });
      stack.push(() => rpc.close());
      nodes.set(node.name, new KamailioNode(rpc));
    }

    const store = new CallStore(redis, config.calls.retention_days * 86_400);
    const handler = new EventHandler(store, metrics);
    const reader = new EventReader({
      redis: streams,
      nodes: [...nodes.keys()],
      consumer: `${hostname()}-${process.pid}`,
      handle: (node, events) => handler.handle(node, events),
      warn,
      unreadable: () => metrics.eventsUnreadable(),
    });
    const hangup = new Hangup({
      store,
      changes: new CallChanges(subscriber),
      nodes,
      timeoutMs: config.calls.hangup_timeout_ms,
    });
    const app = await buildApp({
      logger: log,
      tokens: config.api.tokens,
      version,
      store,
      hangup,
      hangupDone: (outcome, seconds) => metrics.hangupDone(outcome, seconds),
      metrics,
      checks: new Map([
        ['redis', async () => void (await redis.ping())],
        ...[...nodes].map(
          ([name, node]) => [`kamailio:${name}`, async () => void (await node.version())] as const,
        ),
      ]),
    });

    reader.start();
    stack.push(() => reader.stop());
    const trimming = setInterval(() => {
      store.trim(Date.now()).catch((err) => warn({ err }, 'expired records not trimmed'));
    }, TRIM_INTERVAL_MS);
    stack.push(async () => clearInterval(trimming));
    stack.push(() => app.close());
    const url = await listen(app, config.api.listen);
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function opened(redis: Redis, stack: (() => Promise<unknown>)[]): Promise<Redis> {
  stack.push(async () => redis.disconnect());
  await redis.connect();
  return redis;
}

async function listen(app: FastifyInstance, address: string): Promise<string> {
  const { host, port } = parseHostPort(address);
  return app.listen({ host, port });
}

/** What every node tells of itself; undefined for one that does not answer. */
async function statisticsOf(
  nodes: ReadonlyMap<string, KamailioNode>,
): Promise<Map<string, NodeStatistics | undefined>> {
  const entries = [...nodes].map(async ([name, node]) => {
    try {
      const statistics = await node.statistics(['dialog:', 'shmem:', 'script:']);
      statistics.set('queue.events', await node.queuedEvents());
      return [name, statistics] as const;
    } catch {
      // Shown as kamailio_up 0; each failed RPC is counted by its own metric.
      return [name, undefined] as const;
    }
  });
  return new Map(await Promise.all(entries));
}

async function packageVersion(): Promise<string> {
  const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
