import { once } from 'node:events';
import { request, WebSocket } from 'undici';
import { freePort } from '../control-plane/src/cli/ports.js';
import { eventually } from '../test/harness/await.js';

/** Memory of a Node.js process once its garbage is collected, in bytes. */
export interface HeapUse {
  /** Everything that it holds on to: V8's heap, and what is outside of it on its behalf. */
  heapBytes: number;
  rssBytes: number;
}

/** Asks a Node.js process of its own for its memory, through V8's inspector. */
export class Inspector {
  /** What the process has to have in its environment. */
  readonly env: Record<string, string>;
  readonly #port: number;

  private constructor(port: number) {
    this.#port = port;
    // Where it listens is not said in the log.
    this.env = { NODE_OPTIONS: `--inspect=127.0.0.1:${port} --inspect-publish-uid=http` };
  }

  static async create(): Promise<Inspector> {
    return new Inspector(await freePort());
  }

  /** @throws Error where the process is not there */
  async heap(): Promise<HeapUse> {
    const socket = new WebSocket(await eventually('the inspector', () => this.#url()));
    await once(socket, 'open');
    try {
      // What one collection frees may free more in the next.
      for (let n = 0; n < 2; n += 1) await ask(socket, 'HeapProfiler.collectGarbage');
      const { result } = await ask(socket, 'Runtime.evaluate', {
        expression: 'JSON.stringify(process.memoryUsage())',
      });
      const { heapUsed, external, rss } = JSON.parse((result as { value: string }).value);
      return { heapBytes: heapUsed + external, rssBytes: rss };
    } finally {
      socket.close();
    }
  }

  async #url(): Promise<string | undefined> {
    const { body } = await request(`http://127.0.0.1:${this.#port}/json/list`);
    const [target] = (await body.json()) as { webSocketDebuggerUrl: string }[];
    return target?.webSocketDebuggerUrl;
  }
}

/** One command at a time (Chrome DevTools Protocol). */
async function ask(socket: WebSocket, method: string, params = {}): Promise<Record<string, unknown>> {
  const answered = new Promise<Record<string, unknown>>((resolve, reject) => {
    socket.addEventListener(
      'message',
      ({ data }) => {
        const { result, error } = JSON.parse(String(data));
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result);
      },
      { once: true },
    );
  });
  socket.send(JSON.stringify({ id: 1, method, params }));
  return answered;
}
