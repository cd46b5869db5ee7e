import Fastify from 'fastify';
import type { Test } from 'tap';
import { DUE_KINDS } from '../../../control-plane/src/calls/due/kinds.js';
import { DueWork, type DueWorkOptions } from '../../../control-plane/src/calls/due/work.js';
import { createOwnerWebhooks } from '../../../control-plane/src/composition/owner-webhooks.js';
import type { Config } from '../../../control-plane/src/config/schema.js';
import { authPlugin } from '../../../control-plane/src/http/plugins/auth.js';
import { errorsPlugin } from '../../../control-plane/src/http/plugins/errors.js';
import { webhookEndpointRoutes } from '../../../control-plane/src/http/routes/webhook-endpoints.js';
import { FAN_OUT_GROUP } from '../../../control-plane/src/owner-webhooks/fan-out.js';
import { eventually } from '../../harness/await.js';
import { ANSWERED, recordsScene } from '../records-fixture.js';
import { configWith } from '../retell-fixture.js';

export const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
export const OTHER_SECRET = `whsec_${Buffer.alloc(32, 2).toString('base64')}`;
export const TOKENS = [
  { name: 'ops', token: 'token-of-the-operators', scopes: ['read', 'control', 'admin'] },
  { name: 'reader', token: 'token-of-the-readers', scopes: ['read'] },
] as const;
const END = { ended_at: '1790000002000', ended_by: 'carrier' };
const CARRIERS = ['acme', 'other'].map((name, i) => ({
  name,
  networks: [`198.51.100.${i}`],
  gateways: [{ uri: `sip:${name}.example.com` }],
}));

export interface ReplicaOptions {
  /** Where it has another configuration than the others. */
  config?: { current: Config };
  due?: Partial<DueWorkOptions>;
  timeoutMs?: number;
  disableLeastMs?: number;
}

/** Records in a Redis of the test's own, endpoints that are told of them, and replicas that tell them. */
export async function endpointsScene(t: Test, webhooks: Record<string, unknown>[] = []) {
  const { redis, store, merge } = await recordsScene(t);
  const configOf = (endpoints: Record<string, unknown>[]) =>
    configWith({
      carriers: CARRIERS,
      webhooks: endpoints.map((endpoint) => ({ secrets: [SECRET], ...endpoint })),
    });
  const config = { current: configOf(webhooks) };
  const observed = {
    settled: [] as string[],
    disabled: new Map<string, boolean>() as ReadonlyMap<string, boolean>,
    warnings: [] as string[],
  };
  let replicas = 0;
  /** A control plane, as far as webhooks go, on connections of its own. */
  const replica = ({ due: dueOptions, ...options }: ReplicaOptions = {}) => {
    const [commands, stream] = [redis.duplicate(), redis.duplicate()];
    t.teardown(() => {
      commands.disconnect();
      stream.disconnect();
    });
    replicas += 1;
    const warn = (detail: Record<string, unknown>, message: string) =>
      void observed.warnings.push(`${message} ${JSON.stringify(detail)}`);
    const parts = createOwnerWebhooks({
      config,
      redis: commands,
      stream,
      consumer: `replica-${replicas}`,
      store,
      due: { apply: (changes) => due.apply(changes) },
      observer: {
        deliveryTried: () => {},
        deliverySettled: (endpoint, outcome) => void observed.settled.push(`${endpoint} ${outcome}`),
        endpointsSeen: (disabled) => {
          observed.disabled = disabled;
        },
      },
      version: '0.0.0',
      warn,
      ...options,
    });
    const idle = async () => {};
    const due = new DueWork({
      redis: commands,
      handlers: {
        ...(Object.fromEntries(
          DUE_KINDS.map((kind) => [kind, idle]),
        ) as unknown as DueWorkOptions['handlers']),
        ...parts.handlers,
      },
      warn,
      pollMs: 5,
      policy: { firstMs: 20, largestMs: 200, tries: 5, jitter: 0 },
      ...dueOptions,
    });
    let stopped: Promise<unknown> | undefined;
    const stop = () => {
      if (stopped === undefined) {
        stopped = Promise.all([parts.fanOut.stop(), parts.sender.close(), due.stop()]);
        // Its last read would block for a while.
        stream.disconnect();
      }
      return stopped;
    };
    t.teardown(stop);
    const start = async () => {
      due.start();
      parts.fanOut.start();
      const wanted = config.current.webhooks.map(({ name }) => name).sort();
      await eventually('the endpoints are taken note of', async () => {
        const known = (await redis.smembers('webhook-endpoints')).sort();
        const [group] = (await redis.xinfo('GROUPS', 'calls:events').catch(() => [])) as unknown[];
        return known.join() === wanted.join() && (wanted.length === 0 || group !== undefined);
      });
    };
    return { ...parts, due, start, stop };
  };
  /** A call that has come and ended: `call.created`, `call.answered` and `call.ended`. @returns its id */
  const endedCall = async (carrier = 'acme') => {
    const id = await merge({ ...ANSWERED, carrier });
    await merge(END, id);
    return id;
  };
  /** The id of the newest event. */
  const newestEvent = async () => (await redis.xrevrange('calls:events', '+', '-', 'COUNT', 1))[0]?.[0] ?? '';
  /** How many events the group has not acknowledged. */
  const unacknowledged = async () =>
    Number(((await redis.xpending('calls:events', FAN_OUT_GROUP)) as unknown[])[0]);
  const nothingDue = () =>
    eventually('nothing is due', async () => (await redis.zcard('calls:due:webhook_delivery')) === 0);
  /** Puts other endpoints into the configuration, as a reload does. */
  const configure = (endpoints: Record<string, unknown>[]) => {
    config.current = configOf(endpoints);
  };
  return {
    redis,
    configOf,
    configure,
    observed,
    replica,
    endedCall,
    newestEvent,
    unacknowledged,
    nothingDue,
  };
}

/** The routes of the endpoints of a replica. */
export async function endpointRoutes(t: Test, { endpoints }: ReturnType<Scene['replica']>) {
  const app = Fastify();
  t.teardown(() => app.close());
  await app.register(errorsPlugin);
  await app.register(authPlugin, { tokens: TOKENS });
  await app.register(webhookEndpointRoutes, { endpoints });
  return async (method: 'GET' | 'POST', path = '', token: string = TOKENS[0].token) => {
    const headers = { authorization: `Bearer ${token}` };
    const reply = await app.inject({ method, url: `/v1/webhooks/endpoints${path}`, headers });
    return { status: reply.statusCode, text: reply.body, body: reply.json() };
  };
}

type Scene = Awaited<ReturnType<typeof endpointsScene>>;
