import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PATIENCE_MS } from './await.js';
import { Mailbox } from './mailbox.js';

export interface ReceivedWebhook {
  readonly headers: IncomingHttpHeaders;
  readonly raw: string;
  readonly event: string;
  readonly call: Record<string, unknown>;
  /** The whole payload. */
  readonly payload: Record<string, unknown>;
}

/** An HTTP server that takes webhooks and hands them out in the order in which they came. */
export class WebhookSink {
  readonly url: string;
  readonly received: ReceivedWebhook[] = [];
  /** Statuses for the next requests, then 204. */
  readonly statuses: number[] = [];
  /** What a 200 answers with, as JSON; without it the answer is 204. */
  answer: object | undefined;
  readonly #mailbox = new Mailbox<ReceivedWebhook>({
    summarise: ({ event, call }) => `${event} ${String(call.call_id)}`,
    keep: true,
    consume: true,
  });
  readonly #stop: () => Promise<void>;

  private constructor(url: string, stop: () => Promise<void>) {
    this.url = url;
    this.#stop = stop;
  }

  static async start(): Promise<WebhookSink> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const status = sink.#take(request.headers, Buffer.concat(chunks).toString());
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(status === 200 ? JSON.stringify(sink.answer) : undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const sink = new WebhookSink(`http://127.0.0.1:${port}/`, async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return sink;
  }

  /** The next webhook of this event that was not taken yet. @throws Error after 5 s. */
  next(event: string): Promise<ReceivedWebhook> {
    return this.#mailbox.take((webhook) => webhook.event === event, `webhook ${event}`, PATIENCE_MS);
  }

  async stop(): Promise<void> {
    await this.#stop();
    this.#mailbox.close('the sink was stopped');
  }

  #take(headers: IncomingHttpHeaders, raw: string): number {
    const payload = JSON.parse(raw) as Record<string, unknown>;
    const call = (payload.call ?? payload.call_inbound ?? {}) as Record<string, unknown>;
    const webhook = { headers, raw, event: String(payload.event), call, payload };
    this.received.push(webhook);
    this.#mailbox.push(webhook);
    return this.statuses.shift() ?? (this.answer ? 200 : 204);
  }
}
