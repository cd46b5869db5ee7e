import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { TestLike } from '../test/harness/stack.js';

/** One register-phone-call, on the clock of clock.ts. */
export interface ApiRequest {
  /** The proxy's id of the call, from the request's metadata. */
  id: string;
  /** When its headers were there. */
  arrived: number;
  /** When the answer was handed to the system. */
  answered: number;
}

/** Retell's REST API in a thread of its own, so that it and the peers do not wait for each other. */
export class RetellApiServer {
  readonly url: string;
  /** By the proxy's id of the call. */
  readonly requests = new Map<string, ApiRequest>();

  private constructor(url: string, worker: Worker) {
    this.url = url;
    worker.on('message', (request: ApiRequest) => this.requests.set(request.id, request));
  }

  /** @param delayMs how long Retell thinks about each request */
  static async start(t: TestLike, options: { host: string; delayMs: number }): Promise<RetellApiServer> {
    const worker = new Worker(new URL('./retell-api-worker.js', import.meta.url), { workerData: options });
    t.teardown(() => worker.terminate());
    const [{ port }] = (await once(worker, 'message')) as [{ port: number }];
    return new RetellApiServer(`http://${options.host}:${port}`, worker);
  }
}
