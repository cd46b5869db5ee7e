import { parentPort } from 'node:worker_threads';
import { now } from './clock.js';
import { WebhookConnection } from './webhook-connection.js';
import { bodyOf, EVENTS, planOf, signedRequest, type WebhookCall } from './webhook-requests.js';
import type { SendCommand, SendResult } from './webhook-sender.js';

interface Prepared {
  requests: Buffer[];
  connections: WebhookConnection[];
  rate: number | undefined;
}

let prepared: Prepared | undefined;

async function prepare({ host, port, key, calls, webhooks, ...how }: SendCommand): Promise<Prepared> {
  const requests: Buffer[] = [];
  for (let i = 0; i < webhooks; i += 1) {
    const { call, event } = planOf(calls.length, i);
    const body = bodyOf(EVENTS[event] ?? 'call_started', calls[call] as WebhookCall);
    requests.push(await signedRequest(`${host}:${port}`, body, key));
  }
  const connections = await Promise.all(
    Array.from({ length: how.connections }, () => WebhookConnection.open(host, port)),
  );
  return { requests, connections, rate: how.rate };
}

/**
 * At a rate each is due at its own time, whatever became of those before: one that finds no connection free waits, and
 * the wait counts.
 */
function send({ requests, connections, rate }: Prepared): Promise<SendResult> {
  const statuses = new Uint16Array(requests.length);
  const latencies = new Float64Array(requests.length);
  const free = [...connections];
  const started = now();
  let next = 0;
  let left = requests.length;
  return new Promise((resolve) => {
    const sendDue = () => {
      const at = now();
      while (next < requests.length) {
        const due = rate === undefined ? at : started + (next * 1000) / rate;
        if (due > at) break;
        const connection = free.pop();
        if (connection === undefined) break;
        const index = next;
        next += 1;
        connection.send(requests[index] as Buffer, (status) => {
          statuses[index] = status;
          latencies[index] = now() - due;
          free.push(connection);
          left -= 1;
          if (left === 0) {
            clearInterval(timer);
            for (const each of connections) each.close();
            return resolve({ statuses, latencies, elapsedMs: now() - started });
          }
          sendDue();
        });
      }
    };
    const timer = setInterval(sendDue, 1);
    sendDue();
  });
}

parentPort?.on('message', async (command: SendCommand | 'send') => {
  if (command !== 'send') {
    prepared = await prepare(command);
    parentPort?.postMessage('prepared');
    return;
  }
  if (prepared === undefined) throw new Error('nothing is prepared');
  const work = prepared;
  prepared = undefined;
  const result = await send(work);
  parentPort?.postMessage(result);
});
