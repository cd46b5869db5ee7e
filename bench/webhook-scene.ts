import { randomBytes, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { fieldsOfEvent, type RecordFields } from '../control-plane/src/calls/record.js';
import { CallStore } from '../control-plane/src/calls/store.js';
import { freePort } from '../control-plane/src/cli/ports.js';
import { Part, startPart } from '../test/harness/part.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, type Stack, startStack } from '../test/harness/stack.js';
import type { Cleanup } from './cleanup.js';
import { ownGroup } from './cpu.js';
import { holdOnCore, keepOffCore } from './one-core.js';
import { WebhookConnection } from './webhook-connection.js';
import { bodyOf, signedRequest, type WebhookCall } from './webhook-requests.js';
import { WebhookSender } from './webhook-sender.js';

/** One that takes webhooks. */
export interface Receiver {
  host: string;
  port: number;
  pid: number;
}

export interface WebhookScene {
  stack: Stack;
  store: CallStore;
  sender: WebhookSender;
  key: string;
  ours: Receiver;
  bare: Receiver;
  /** Whether both receivers are held on one core, and everything else is off it. */
  held: boolean;
}

const HOST = '127.0.0.1';
/** Records written at once. */
const MERGE_STEP = 1000;

/** A stack with the control plane, and the bare receiver, each in a process of its own and on the same core. */
export async function startWebhookScene(t: Cleanup): Promise<WebhookScene> {
  const key = randomBytes(16).toString('hex');
  const stack = await startStack(t, {
    gateways: [{ uri: `sip:${RETELL_HOST}:${await freePort(RETELL_HOST)}` }],
    controlPlane: 'process',
    // As it is where nothing else is configured: the log is part of the work.
    config: { retell: { webhook_keys: [key] }, log: { level: 'info' } },
  });
  const { controlPlane, redis, kamailio } = stack.parts;
  if (controlPlane?.pid === undefined) throw new Error('the control plane has not started');
  const bare = await startBareReceiver(t, key);
  const pinned = await Promise.all([
    ...[controlPlane.pid, bare.pid].map(holdOnCore),
    ...[redis.pid, kamailio.pid, process.pid].map(keepOffCore),
  ]);
  return {
    ...{ stack, key, bare, held: pinned.every(Boolean) },
    store: new CallStore(stack.redis, 3600),
    sender: WebhookSender.start(t),
    ours: { host: HOST, port: Number(new URL(stack.api.url).port), pid: controlPlane.pid },
  };
}

async function startBareReceiver(t: Cleanup, key: string): Promise<Receiver> {
  const port = await freePort();
  const part = new Part(
    {
      name: 'bare receiver',
      command: process.execPath,
      args: [fileURLToPath(new URL('bare-receiver.js', import.meta.url)), HOST, String(port), key],
      ready: (signal) => takesWebhooks(port, key, signal),
    },
    (line) => t.comment(line),
  );
  await startPart(t, part);
  if (part.pid === undefined) throw new Error('the bare receiver has not started');
  return { host: HOST, port, pid: part.pid };
}

async function takesWebhooks(port: number, key: string, signal: AbortSignal): Promise<void> {
  const request = await signedRequest(`${HOST}:${port}`, bodyOf('call_started', callOf()), key);
  let connection: WebhookConnection | undefined;
  while (connection === undefined) {
    signal.throwIfAborted();
    connection = await WebhookConnection.open(HOST, port).catch(() => undefined);
  }
  const status = await new Promise<number>((resolve) => connection.send(request, resolve));
  connection.close();
  if (status !== 204) throw new Error(`it answers ${status}`);
}

/** Processes whose CPU use is told, by name. */
export function partsOf({ stack }: WebhookScene, { pid }: Receiver): Record<string, number | undefined> {
  return { receiver: pid, Redis: stack.parts.redis.pid, generator: ownGroup() };
}

function callOf(): WebhookCall {
  const endedAt = Date.now();
  const callId = `call_${randomBytes(14).toString('hex')}`;
  return {
    id: randomUUID(),
    callId,
    number: NUMBER,
    from: '+14155550123',
    startedAt: endedAt - 48_000,
    endedAt,
  };
}

/** Calls that are over, each with the record that Kamailio's events leave. */
export async function addCalls({ store }: WebhookScene, count: number): Promise<WebhookCall[]> {
  const calls = Array.from({ length: count }, callOf);
  for (let at = 0; at < count; at += MERGE_STEP) {
    await store.merge(
      calls
        .slice(at, at + MERGE_STEP)
        .map((call) => ({ id: call.id, atMs: call.startedAt, fields: recordOf(call) })),
    );
  }
  return calls;
}

function recordOf({ id, number, from, startedAt, endedAt }: WebhookCall): RecordFields {
  const leg = (host: string) => ({
    ...{ tag: id.slice(0, 13), contact: `sip:${number}@${host}:5060`, route_set: [], cseq: 1 },
    socket: `udp:${HOST}:5060`,
  });
  const [carrier, gateway] = ['acme', `sip:${RETELL_HOST}:5060`];
  const at = (ms: number) => ({ id, at: (startedAt + ms) * 1000 });
  const said = { sip_call_id: `${id}@${CARRIER_HOST}`, from_tag: id.slice(0, 13), from, to: number, number };
  const uris = { from_uri: `sip:${from}@${CARRIER_HOST}`, to_uri: `sip:${number}@${HOST}` };
  const place = { h_entry: 1234, h_id: 5678, max_duration_s: 7200 };
  return [
    {
      type: 'invite',
      ...at(0),
      direction: 'inbound',
      carrier,
      source: `${CARRIER_HOST}:5060`,
      ...said,
    } as const,
    { type: 'ringing', ...at(80), gateway, code: 180 } as const,
    {
      ...({ type: 'answered', ...at(900), carrier, gateway, ...place, ...uris } as const),
      ...{ caller: leg(CARRIER_HOST), callee: leg(RETELL_HOST) },
    },
    { type: 'ended', ...at(endedAt - startedAt), by: 'carrier', reason: undefined } as const,
  ].reduce<RecordFields>((fields, event) => Object.assign(fields, fieldsOfEvent(event, 'node1')), {});
}
