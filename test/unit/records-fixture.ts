import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { DetailRecords } from '../../control-plane/src/calls/detail-records.js';
import { Erasure } from '../../control-plane/src/calls/erasure.js';
import { EventFeed } from '../../control-plane/src/calls/event-feed.js';
import { DETAIL_RECORDS_DUE } from '../../control-plane/src/calls/merge-script.js';
import { CallStore } from '../../control-plane/src/calls/store.js';
import { authPlugin } from '../../control-plane/src/http/plugins/auth.js';
import { errorsPlugin } from '../../control-plane/src/http/plugins/errors.js';
import { detailRecordRoutes } from '../../control-plane/src/http/routes/detail-records.js';
import { erasureRoutes } from '../../control-plane/src/http/routes/erasure.js';
import { eventRoutes } from '../../control-plane/src/http/routes/events.js';
import type { TestLike } from '../harness/stack.js';
import { startRedis } from './retell-fixture.js';

export const TOKEN = 'token-of-the-readers';
const RETENTION_S = 3600;

/** Records in a Redis of the test's own, and the routes that show them. */
export async function recordsScene(t: TestLike) {
  const { url: redisUrl } = await startRedis(t);
  const redis = new Redis(redisUrl);
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, RETENTION_S);
  const detailRecords = new DetailRecords(redis, store, RETENTION_S);
  const app = Fastify({ ajv: { customOptions: { coerceTypes: 'array' } } });
  t.teardown(() => app.close());
  await app.register(errorsPlugin);
  await app.register(authPlugin, { tokens: [{ name: 'reader', token: TOKEN, scopes: ['read', 'admin'] }] });
  await app.register(detailRecordRoutes, { detailRecords });
  await app.register(eventRoutes, {
    feed: new EventFeed(redis, store),
    eventStreams: () => {},
    eventStreamDropped: () => {},
  });
  await app.register(erasureRoutes, { store, erasure: new Erasure(redis) });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const send = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const authorization = `Bearer ${TOKEN}`;
    const reply = await fetch(url + path, { method, headers: { authorization, ...headers } });
    return { status: reply.status, type: reply.headers.get('content-type'), text: await reply.text() };
  };
  const get = (path: string, headers?: Record<string, string>) => send('GET', path, headers);
  /** Adds a call, or more of it, to the records. */
  const merge = async (fields: Record<string, string>, id: string = randomUUID()) => {
    await store.merge([{ id, atMs: Date.now(), fields }]);
    return id;
  };
  /** Writes what is due of detail records, as if it were later. @returns the versions written */
  const writeDue = async () => {
    const pieces = await redis.zrange(DETAIL_RECORDS_DUE, '0', '-1');
    await redis.del(DETAIL_RECORDS_DUE);
    const versions: number[] = [];
    const ids = pieces.map((piece) => piece.split('/')[0] as string);
    await detailRecords.write(ids, (version) => versions.push(version));
    return versions;
  };
  return { redis, store, detailRecords, url, send, get, merge, writeDue };
}

export const ANSWERED = {
  direction: 'inbound',
  carrier: 'acme',
  node: 'node1',
  number: '+14155550100',
  from: '+14155550123',
  to: '+14155550100',
  sip_call_id: 'call@192.0.2.1',
  created_at: '1790000000000',
  answered_at: '1790000001000',
  sip_status: '200',
};
