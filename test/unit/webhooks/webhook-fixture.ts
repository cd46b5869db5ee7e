import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { sign } from 'retell-sdk';
import type { DueKind } from '../../../control-plane/src/calls/due/kinds.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { ActiveConfig } from '../../../control-plane/src/config/active.js';
import { errorsPlugin } from '../../../control-plane/src/http/plugins/errors.js';
import { type WebhookOutcome, webhookRoutes } from '../../../control-plane/src/http/routes/webhooks.js';
import { CallFinder } from '../../../control-plane/src/retell/call-finder.js';
import { CallWebhook } from '../../../control-plane/src/retell/call-webhook.js';
import { InboundCorrelation } from '../../../control-plane/src/retell/correlation.js';
import { WebhookStore } from '../../../control-plane/src/retell/webhook-store.js';
import { WebhookWorker } from '../../../control-plane/src/retell/webhook-worker.js';
import { eventually } from '../../harness/await.js';
import type { TestLike } from '../../harness/stack.js';
import { API_KEY, type ConfigSections, configWith, startRedis, TRUNK } from '../retell-fixture.js';

export const CALLER = '+14155550123';

/** The webhook routes on a Redis of the test's own, and what they told. */
export async function webhookScene(t: TestLike, sections: ConfigSections = {}) {
  const { url, part } = await startRedis(t);
  const redis = new Redis(url, { enableOfflineQueue: false, maxRetriesPerRequest: 1, lazyConnect: true });
  redis.on('error', () => {});
  await redis.connect();
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  const config = new ActiveConfig(configWith(sections));
  const correlated: string[] = [];
  const outcomes: WebhookOutcome[] = [];
  const warnings: unknown[] = [];
  const correlation = new InboundCorrelation({
    store,
    correlated: (how) => correlated.push(how),
    warn: (detail, message) => warnings.push({ ...detail, message }),
  });
  t.teardown(() => correlation.stop());
  const app = Fastify();
  await app.register(errorsPlugin);
  const scheduled: [kind: DueKind, id: string, atMs: number][] = [];
  const callWebhook = new CallWebhook({
    config,
    store,
    due: {
      apply: async (pieces) => {
        scheduled.push(
          ...pieces.map(({ kind, id, atMs = 0 }) => [kind, id, atMs] as (typeof scheduled)[number]),
        );
      },
      hasten: async (...work) => void scheduled.push(work),
    },
    finder: new CallFinder(store),
    correlated: (how) => correlated.push(how),
  });
  const webhooks = new WebhookStore(redis);
  const streams = new Redis(url, { maxRetriesPerRequest: null });
  streams.on('error', () => {});
  t.teardown(() => streams.disconnect());
  /** What became of each webhook that was taken. */
  const handled: string[] = [];
  /** Webhooks that were put off. */
  const putOff: string[] = [];
  const worker = new WebhookWorker({
    redis: streams,
    consumer: 'test',
    store: webhooks,
    callWebhook,
    due: { apply: async (pieces) => void putOff.push(...pieces.map(({ id }) => id)) },
    handled: (event, outcome) => handled.push(`${event} ${outcome}`),
    warn: (detail, message) => warnings.push({ ...detail, message }),
  });
  worker.start();
  t.teardown(() => worker.stop());
  await app.register(webhookRoutes, {
    config,
    correlation,
    webhooks,
    webhookDone: (outcome) => outcomes.push(outcome),
  });
  t.teardown(() => app.close());

  /** Sends a body signed with this key, and resolves with the answer. */
  const post = async (body: unknown, key = API_KEY, path = '/webhooks/retell/inbound') => {
    const payload = JSON.stringify(body);
    const reply = await app.inject({
      method: 'POST',
      url: path,
      payload,
      headers: { 'content-type': 'application/json', 'x-retell-signature': await sign(payload, key) },
    });
    return { status: reply.statusCode, body: reply.body === '' ? undefined : reply.json() };
  };
  /** The webhook of a call to the trunk number, with what the test sets. */
  const ask = (inbound: Record<string, unknown> = {}, key?: string) =>
    post(
      {
        event: 'call_inbound',
        event_timestamp: Date.now(),
        call_inbound: { agent_id: 'agent_bound', from_number: CALLER, to_number: TRUNK, ...inbound },
      },
      key,
    );
  /** The webhook of something that happened to a call. */
  const tell = async (event: string, told?: Record<string, unknown>, key?: string) => {
    const body = { event, ...(told && { call: { call_type: 'phone_call', ...told } }) };
    const before = handled.length;
    const reply = await post(body, key, '/webhooks/retell');
    if (reply.status === 204) await eventually('it is handled', () => handled.length > before);
    return reply;
  };
  /** A call that rings, as its events have it. */
  const call = async (fields: Record<string, string> = {}, atMs = Date.now()): Promise<string> => {
    const id = randomUUID();
    const record = { direction: 'inbound', number: TRUNK, from: CALLER, created_at: String(atMs), ...fields };
    await store.merge([{ id, atMs, fields: record }]);
    return id;
  };
  const recordOf = async (id: string) => {
    const record = await store.get(id);
    if (record === undefined) throw new Error(`no record of ${id}`);
    return record;
  };
  return {
    redis,
    part,
    store,
    config,
    correlated,
    outcomes,
    warnings,
    scheduled,
    handled,
    putOff,
    worker,
    webhooks,
    post,
    ask,
    tell,
    call,
    recordOf,
  };
}
