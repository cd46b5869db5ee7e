import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { TestLike } from './stack.js';

export interface ReceivedDelivery {
  /** When it came, in ms since 1970. */
  readonly at: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: string;
  // biome-ignore lint/suspicious/noExplicitAny: the tests say what they expect of it
  readonly body: any;
}

export type SinkAnswer = number | { status: number; location: string };

/** An HTTP server that takes webhooks as a system of the owner's does. */
export class DeliverySink {
  readonly received: ReceivedDelivery[] = [];
  /** Says how the next one is answered, by default with 204. */
  answer: (delivery: ReceivedDelivery) => SinkAnswer | Promise<SinkAnswer> = () => 204;
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  static async start(t: TestLike): Promise<DeliverySink> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const raw = Buffer.concat(chunks).toString();
      const { headers, url: path = '' } = request;
      const delivery = { at: Date.now(), path, headers, raw, body: JSON.parse(raw) };
      sink.received.push(delivery);
      const answer = await sink.answer(delivery);
      const { status, ...others } = typeof answer === 'number' ? { status: answer } : answer;
      response.writeHead(status, others).end('what it says does not matter');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const sink = new DeliverySink(`http://127.0.0.1:${port}/hooks`);
    t.teardown(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return sink;
  }

  /** Types of events that came, in their order. */
  get types(): string[] {
    return this.received.map(({ body }) => body.type);
  }
}

/** Whether a receiver that has this secret takes it. */
export function isSignedWith(secret: string, { raw, headers }: ReceivedDelivery): boolean {
  try {
    new Webhook(secret).verify(raw, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}
