import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { now } from './clock.js';
import type { ApiRequest } from './retell-api.js';

/** Answers register-phone-call as Retell does, and tells when each request came and when its answer was sent. */
const { host, delayMs } = workerData as { host: string; delayMs: number };

const server = createServer((request, response) => {
  const arrived = now();
  // What else the control plane asks has no answer here, and no place in the figures.
  if (!request.url?.includes('register-phone-call')) {
    response.writeHead(404).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { metadata } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    response.on('finish', () => {
      parentPort?.postMessage({ id: metadata.call_ref, arrived, answered: now() } satisfies ApiRequest);
    });
    const answer = () => {
      response.writeHead(201, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({ call_id: `call_${randomBytes(14).toString('hex')}`, call_status: 'registered' }),
      );
    };
    if (delayMs > 0) setTimeout(answer, delayMs);
    else answer();
  });
});
server.listen(0, host, () => {
  parentPort?.postMessage({ port: (server.address() as AddressInfo).port });
});
