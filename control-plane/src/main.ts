import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { CallFigures } from './calls/call-figures.js';
import { CallChanges } from './calls/changes.js';
import { DetailRecords } from './calls/detail-records.js';
import { endByDeadline } from './calls/due/deadline.js';
import { DueWork } from './calls/due/work.js';
import { Erasure } from './calls/erasure.js';
import { EventFeed } from './calls/event-feed.js';
import { Hangup } from './calls/hangup/hangup.js';
import type { HangupOutcome } from './calls/hangup/outcome.js';
import { OpenRecords } from './calls/open-records.js';
import { CallStore } from './calls/store.js';
import { TransferTracker } from './calls/transfer/tracker.js';
import { createEvents, EVENTS_TIMEOUT_MS } from './composition/events.js';
import { createHangupJobs } from './composition/hangup-jobs.js';
import { createOrigination } from './composition/origination.js';
import { createOwnerWebhooks } from './composition/owner-webhooks.js';
import { createReadings } from './composition/readings.js';
import { createReconciler } from './composition/reconciler.js';
import { createRecords } from './composition/records.js';
import { createRetellWebhooks } from './composition/retell-webhooks.js';
import { createTraces } from './composition/traces.js';
import { createTransfers } from './composition/transfers.js';
import { ActiveConfig } from './config/active.js';
import { parseHostPort } from './config/addresses.js';
import { loadConfig } from './config/load.js';
import type { Config } from './config/schema.js';
import { buildApp } from './http/app.js';
import { Snapshots } from './http/status/snapshot.js';
import { EventBacklog } from './kamailio/event-backlog.js';
import { KamailioNode } from './kamailio/node.js';
import { RoutingTables } from './kamailio/routing-tables.js';
import { RpcClient } from './kamailio/rpc-client.js';
import { Metrics } from './metrics/metrics.js';
import { connectPatientRedis, connectRedis } from './redis.js';
import { AgentFunctions } from './retell/agent-functions.js';
import { RetellApi } from './retell/api.js';
import { Reaper } from './retell/reaper.js';
import { Carriers } from './routing/carriers.js';
import { Decisions } from './routing/decisions.js';
import { Drains } from './routing/drains.js';
import { LimitDrift } from './routing/drift.js';
import { ExpectedCalls } from './routing/expected-calls.js';
import { Register } from './routing/register.js';
import { Reload, type ReloadResult } from './routing/reload.js';
import { RetellSlots } from './routing/slots.js';

export interface ControlPlaneOptions {
  config: Config;
  /** The file that it was read from, to read it again at a reload. */
  configFile: string;
  /** Where Kamailio's data files are, for nodes whose `data_directory` is not configured. */
  dataDirectory: string;
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
  /** Puts the configuration file in force anew. @throws ConfigError */
  reload(): Promise<ReloadResult>;
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
    const questions = await opened(connectPatientRedis(redisUrl, warn), stack);

    const active = new ActiveConfig(config);
    const nodes = new Map<string, KamailioNode>();
    const tables = new Map<string, RoutingTables>();
    const version = await packageVersion();
    const consumer = `${hostname()}-${process.pid}`;
    const metrics = new Metrics({ version, carriers: () => active.current.carriers });
    for (const node of config.kamailio.nodes) {
      const rpc = new RpcClient({
        node: node.name,
        url: node.rpc_url,
        token: node.rpc_token ?? options.rpcToken,
        observe: (method, outcome, seconds) => metrics.kamailio.rpcDone(node.name, method, outcome, seconds),
      });
      stack.push(() => rpc.close());
      nodes.set(node.name, new KamailioNode(rpc));
      tables.set(node.name, new RoutingTables(rpc));
    }

    const retentionS = config.calls.retention_days * 86_400;
    const store = new CallStore(redis, retentionS);
    const detailRecords = new DetailRecords(redis, store, retentionS);
    const tracker = new TransferTracker(store, metrics.transfers);
    const expected = new ExpectedCalls({ nodes: tables, store, warn });
    const reader = createEvents({
      config: active,
      stream: await opened(connectPatientRedis(redisUrl, warn), stack),
      writes: await opened(connectRedis(redisUrl, warn, EVENTS_TIMEOUT_MS), stack),
      retentionS,
      nodes: [...nodes.keys()],
      consumer,
      store,
      tracker,
      expected,
      due: { apply: (pieces) => due.apply(pieces) },
      metrics,
      warn,
    });
    const changes = new CallChanges(subscriber);
    const hangup = new Hangup({
      store,
      changes,
      nodes,
      timeoutMs: config.calls.hangup_timeout_ms,
    });
    const hangupDone = (outcome: HangupOutcome | 'refused', seconds: number) =>
      metrics.hangupDone(outcome, seconds);
    const { jobs: hangupJobs, worker: hangupWorker } = createHangupJobs({
      redis,
      hangup,
      hangupDone,
      jobEnded: (outcome) => metrics.hangupJobDone(outcome),
      log,
    });

    const retell = new RetellApi({
      config: active,
      observe: (endpoint, outcome, seconds) => metrics.retellRequestDone(endpoint, outcome, seconds),
    });
    const register = new Register({ config: active, api: retell, store, observer: metrics, warn });
    const decisions = new Decisions({
      redis: questions,
      nodes,
      consumer,
      register,
      observer: metrics,
      warn,
    });
    const retellWebhooks = createRetellWebhooks({
      config: active,
      redis,
      stream: await opened(connectPatientRedis(redisUrl, warn), stack),
      consumer,
      store,
      due: { apply: (pieces) => due.apply(pieces), hasten: (...piece) => due.hasten(...piece) },
      metrics,
      warn,
    });
    const reaper = new Reaper({
      config: active,
      api: retell,
      store,
      hangups: hangup,
      observer: metrics,
      warn,
    });
    const backlog = new EventBacklog(redis);
    const { origination, unplaced } = createOrigination({
      config: active,
      redis,
      nodes,
      store,
      due: {
        schedule: (kind, id, atMs) => due.schedule(kind, id, atMs),
        forget: (kind, id) => due.forget(kind, id),
      },
      expected,
      backlog,
      retell,
      metrics: metrics.origination,
      warn,
    });
    const { transfers, handlers: transferWork } = createTransfers({
      config: active,
      store,
      changes,
      nodes,
      tracker,
      due: { apply: (pieces) => due.apply(pieces) },
      hangups: hangup,
      backlog,
      retell,
      metrics,
    });
    const ownerWebhooks = createOwnerWebhooks({
      config: active,
      redis,
      stream: await opened(connectPatientRedis(redisUrl, warn), stack),
      consumer,
      store,
      due: { apply: (pieces) => due.apply(pieces) },
      observer: metrics.deliveries,
      version,
      warn,
    });
    const due = new DueWork({
      redis,
      handlers: {
        ...transferWork,
        ...ownerWebhooks.handlers,
        ...retellWebhooks.handlers,
        max_duration: (id) => endByDeadline(hangup, id),
        missing_bye: (id) => hangup.sendMissingByes(id),
        retell_lingers: async (id) => void (await reaper.checkRetell(id)),
        dialog_lingers: async (id) => void (await reaper.checkHere(id)),
        created_call: (id, last) => unplaced.look(id, last),
      },
      warn,
      tried: (kind, outcome) => metrics.dueWorkTried(kind, outcome),
      overdue: (pieces) => metrics.dueWorkOverdue(pieces),
    });

    const drains = new Drains({
      config: active,
      redis,
      nodes: tables,
      observer: { drainsNotApplied: (node, err) => warn({ err, node }, 'drains not applied, trying again') },
    });
    const slots = new RetellSlots({
      config: active,
      nodes: tables,
      getConcurrency: () => retell.getConcurrency(),
      observer: {
        concurrencyRead: (reading) => metrics.concurrencyRead(reading),
        concurrencyFailed: (err) => {
          metrics.concurrencyFailed();
          warn({ err }, "Retell's concurrency could not be read");
        },
        slotsNotSet: (node, err) => warn({ err, node }, "Retell's slots not set"),
      },
    });
    const openRecords = new OpenRecords(redis);
    const drift = new LimitDrift({ config: active, records: openRecords, nodes: tables, observer: metrics });
    const reconciler = createReconciler({
      config: active,
      redis,
      nodes,
      store,
      records: openRecords,
      due,
      retell,
      reaper,
      replica: consumer,
      observer: metrics.reconciliation,
      zombies: metrics,
      warn,
    });
    const reload = new Reload({
      config: active,
      load: () => loadConfig(options.configFile),
      nodes: tables,
      drains,
      dataDirectory: (name) =>
        config.kamailio.nodes.find((node) => node.name === name)?.data_directory ?? options.dataDirectory,
      observer: {
        reloadDone: (outcome) => metrics.reloadDone(outcome),
        nodeApplied: (node) => {
          metrics.kamailio.applied(node.name, node.applied);
          if (!node.applied) warn({ ...node }, 'the node does not hold the configuration, trying again');
        },
      },
    });

    const checks = new Map([
      ['redis', async () => void (await redis.ping())],
      ...[...nodes].map(
        ([name, node]) => [`kamailio:${name}`, async () => void (await node.version())] as const,
      ),
    ]);
    const carriers = new Carriers({ config: active, nodes: tables, drains, slots });
    const figures = new CallFigures(redis, store);
    const app = await buildApp({
      config: active,
      carriers,
      snapshots: new Snapshots({ figures, carriers, reconciler, checks }),
      drains,
      reload,
      reconciler,
      feed: new EventFeed(redis, store),
      eventStreams: (open) => metrics.records.eventStreams(open),
      eventStreamDropped: () => metrics.records.eventStreamDropped(),
      detailRecords,
      erasure: new Erasure(redis),
      correlation: retellWebhooks.correlation,
      webhooks: retellWebhooks.webhooks,
      endpoints: ownerWebhooks.endpoints,
      functions: new AgentFunctions({
        config: active,
        store,
        finder: retellWebhooks.finder,
        transfers,
        hangup,
      }),
      functionDone: (name, outcome) => metrics.transfers.functionDone(name, outcome),
      transfers,
      origination,
      callCreated: (outcome) => metrics.origination.callCreated(outcome),
      webhookDone: (outcome, seconds) => metrics.webhookDone(outcome, seconds),
      logger: log,
      tokens: config.api.tokens,
      trustedProxies: config.api.trusted_proxies,
      version,
      store,
      hangup,
      hangupDone,
      hangupJobs,
      metrics,
      checks,
    });

    stack.push(() => retellWebhooks.correlation.stop());
    stack.push(() => ownerWebhooks.sender.close());
    const traces = await createTraces({
      config,
      version,
      spansDone: (outcome, spans) => metrics.traces.spansDone(outcome, spans),
    });
    if (traces) stack.push(() => traces.stop());
    const records = createRecords({
      config,
      redis,
      store,
      detailRecords,
      webhooks: retellWebhooks.webhooks,
      backlog,
      nodes: [...nodes.keys()],
      metrics,
      ended: (call) => traces?.ended(call),
      warn,
    });
    const readings = createReadings({ config: active, redis, nodes, tables, metrics });
    for (const part of [
      ...readings,
      due,
      ...records,
      reader,
      ownerWebhooks.fanOut,
      retellWebhooks.worker,
      decisions,
      reload,
      drains,
      slots,
      drift,
      hangupWorker,
      reconciler,
    ]) {
      part.start();
      stack.push(async () => part.stop());
    }
    // Its answers are not waited for once it stops: what they were for falls back.
    stack.push(async () => retell.close());
    stack.push(() => app.close());
    const url = await listen(app, config.api.listen);
    return { url, reload: () => reload.run(), stop };
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

async function packageVersion(): Promise<string> {
  const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
