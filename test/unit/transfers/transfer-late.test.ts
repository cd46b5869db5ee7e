import { Redis } from 'ioredis';
import t from 'tap';
import { EventHandler } from '../../../control-plane/src/calls/event-handler.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { TransferTracker } from '../../../control-plane/src/calls/transfer/tracker.js';
import { type TransferRequest, transferFields } from '../../../control-plane/src/calls/transfer/transfer.js';
import { UnfinishedTransfers } from '../../../control-plane/src/calls/transfer/unfinished.js';
import { ActiveConfig } from '../../../control-plane/src/config/active.js';
import { EventBacklog } from '../../../control-plane/src/kamailio/event-backlog.js';
import { streamOf } from '../../../control-plane/src/kamailio/event-reader.js';
import { KamailioNode } from '../../../control-plane/src/kamailio/node.js';
import { RpcClient } from '../../../control-plane/src/kamailio/rpc-client.js';
import { createGroups, GROUP } from '../../../control-plane/src/stream-consumer.js';
import { eventually } from '../../harness/await.js';
import { SILENT } from '../../harness/silent-observer.js';
import { configWith, startRedis } from '../retell-fixture.js';

const STREAM = streamOf('node1');
const TIMEOUT_S = 12;

t.test(
  'a transfer whose time is over ends as the carrier told, though the node answers no more',
  async (t) => {
    const { url } = await startRedis(t);
    const redis = new Redis(url);
    t.teardown(() => redis.disconnect());
    const store = new CallStore(redis, 3600);
    const rpc = new RpcClient({ node: 'node1', url: 'http://127.0.0.1:1/RPC', token: 'secret' });
    t.teardown(() => rpc.close());
    const ended: string[] = [];
    const tracker = new TransferTracker(store, {
      transferEnded: (_source, outcome) => ended.push(outcome),
    });
    const unfinished = new UnfinishedTransfers({
      config: new ActiveConfig(configWith()),
      store,
      nodes: new Map([['node1', new KamailioNode(rpc)]]),
      tracker,
      due: { apply: async () => {} },
      backlog: new EventBacklog(redis),
    });
    const requestedAt = Date.now() - TIMEOUT_S * 1000;
    const request: TransferRequest = {
      source: 'api',
      by: 'ops',
      to: '+14155550199',
      refer_to: 'sip:+14155550199@198.51.100.10',
      on_failure: 'resume',
      requested_at: requestedAt,
      timeout_s: TIMEOUT_S,
      warnings: [],
    };
    const fields = { direction: 'inbound', node: 'node1', answered_at: String(requestedAt - 1000) };
    await store.merge([
      { id: 'call', atMs: requestedAt, fields: { ...fields, ...transferFields.requested('one', request) } },
    ]);
    // The carrier told in time; a control plane that was killed then has its word in hand.
    const entry = (await redis.xadd(STREAM, '*', 'events', 'not read here')) as string;
    await createGroups(redis, [STREAM]);
    await redis.xreadgroup('GROUP', GROUP, 'killed', 'STREAMS', STREAM, '>');
    const late = unfinished.endLate('call', 'one');
    // It has asked in vain what the node still has to tell, and looks at what Redis has.
    await eventually('a look at the stream', async () =>
      (await redis.info('commandstats')).includes('cmdstat_xpending'),
    );
    const handler = new EventHandler(store, SILENT);
    const at = (requestedAt + 500) * 1000;
    await handler.handle('node1', [
      { type: 'refer_notified', id: 'call', at, transfer: 'one', code: 200, subscription: 'terminated' },
    ]);
    await redis.xack(STREAM, GROUP, entry);
    await late;
    t.same(ended, ['succeeded']);
    t.same((await store.get('call'))?.transfers[0]?.end?.status, 200);
  },
);
