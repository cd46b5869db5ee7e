import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { CallChanges } from '../../../control-plane/src/calls/changes.js';
import { EventHandler } from '../../../control-plane/src/calls/event-handler.js';
import { Hangup } from '../../../control-plane/src/calls/hangup/hangup.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import type { ByeEvent } from '../../../control-plane/src/kamailio/events.js';
import { type HangupStart, KamailioNode } from '../../../control-plane/src/kamailio/node.js';
import { establish, recordOf, type Scene, startScene } from '../../harness/scene.js';
import { SILENT } from '../../harness/silent-observer.js';

/** A node that ends no dialog and only tells of it: Kamailio's races, forced. */
class ToldNode extends KamailioNode {
  byes = 0;

  constructor(
    node: KamailioNode,
    readonly told: () => Promise<void>,
  ) {
    super(node.rpc);
  }

  override async hangUp(): Promise<HangupStart> {
    await this.told();
    return { state: 4, action: 'bye' };
  }

  override async sendBye(...args: Parameters<KamailioNode['sendBye']>): Promise<void> {
    this.byes += 1;
    await super.sendBye(...args);
  }
}

/** A hangup on a node that only tells what the given function makes of the call: its events, in its time. */
function forcedHangup(t: Test, { stack }: Scene, told: (handler: EventHandler) => Promise<void>) {
  const redis = new Redis(stack.redisUrl);
  const subscriber = new Redis(stack.redisUrl);
  t.teardown(() => redis.disconnect());
  t.teardown(() => subscriber.disconnect());
  const store = new CallStore(redis, 3600);
  const handler = new EventHandler(store, SILENT);
  const node = new ToldNode(new KamailioNode(stack.rpc), () => told(handler));
  const changes = new CallChanges(subscriber);
  return {
    node,
    store,
    hangup: new Hangup({ store, changes, nodes: new Map([['node1', node]]), timeoutMs: 3000 }),
  };
}

/** The events of a BYE that a leg got and answered. */
function byeTo(leg: { callId: string; localTag: string }, other: { localTag: string }): ByeEvent[] {
  const bye = {
    at: Date.now() * 1000,
    sip_call_id: leg.callId,
    from_tag: other.localTag,
    to_tag: leg.localTag,
  };
  return [
    { ...bye, type: 'bye_sent', code: undefined },
    { ...bye, type: 'bye_answered', code: 200 },
  ];
}

t.test('a leg whose BYE Kamailio lost gets one from the record, once', async (t) => {
  const scene = await startScene(t);
  const { caller, callee, record } = await establish(scene);
  const { node, hangup } = forcedHangup(t, scene, async (handler) => {
    const ended = {
      type: 'ended' as const,
      at: Date.now() * 1000,
      id: record.id,
      by: 'api',
      reason: undefined,
    };
    await handler.handle('node1', [...byeTo(caller, callee), ended]);
  });
  const result = await hangup.hangup(record.id, { by: 'test', reason: 'maintenance' });
  t.equal(result.outcome, 'ended');
  t.match(result.legs, [
    { leg: 'carrier', status: 200 },
    { leg: 'retell', method: 'BYE', status: 200 },
  ]);
  t.equal(node.byes, 1);
  const { message } = await callee.next('BYE');
  t.equal(message.toTag, callee.localTag);
  t.equal(message.get('from')?.match(/tag=/g)?.length, 1, 'one tag in From');
  t.equal(message.fromTag, caller.localTag);
  t.equal(message.cseq, 1001);
  t.match(message.get('reason'), 'text="maintenance"');
  t.equal(scene.retell.count('BYE'), 1);
});

t.test('a call whose end Kamailio never tells is ended by the answers to its BYEs', async (t) => {
  const scene = await startScene(t);
  const { caller, callee, record } = await establish(scene);
  const { store, hangup } = forcedHangup(t, scene, async (handler) => {
    await handler.handle('node1', [...byeTo(caller, callee), ...byeTo(callee, caller)]);
  });
  t.equal((await hangup.hangup(record.id, { by: 'test' })).outcome, 'ended');
  t.equal((await store.get(record.id))?.ended_by, 'api');
  t.equal(await scene.stack.redis.zcard('calls:open'), 0);
});

t.test('both legs can be sent a BYE from the record after a restart of Kamailio', async (t) => {
  const scene = await startScene(t, { transport: 'tcp' });
  const { stack } = scene;
  const { caller, callee, record } = await establish(scene);
  const store = new CallStore(stack.redis, 3600);
  const call = await store.get(record.id);
  if (call?.dialog === undefined) throw new Error('the record has no dialog');
  await stack.parts.kamailio.kill();
  await stack.parts.kamailio.start();
  const node = new KamailioNode(stack.rpc);
  const { from_uri, to_uri } = call.dialog;
  const from = { ...call.dialog.caller, uri: from_uri };
  const to = { ...call.dialog.callee, uri: to_uri };
  await node.sendBye(caller.callId, from, to);
  await node.sendBye(caller.callId, to, from);
  t.equal((await caller.next('BYE')).status, 200);
  t.equal((await callee.next('BYE')).status, 200);
});

t.test('a BYE that passes after a restart of Kamailio ends the record', async (t) => {
  const scene = await startScene(t);
  const { caller, callee } = await establish(scene);
  await scene.stack.parts.kamailio.kill();
  await scene.stack.parts.kamailio.start();
  t.equal((await callee.bye()).status, 200);
  t.equal((await caller.next('BYE')).status, 200);
  const record = await recordOf(scene.stack, caller.callId, 'ended');
  t.equal(record.ended_by, 'retell');
});
