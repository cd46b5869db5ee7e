import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { WebSocket } from 'undici';
import type { TestLike } from './stack.js';

const BROWSER = 'chromium';

/** Why there is no browser to test with, or false. */
export const noBrowser =
  spawnSync(BROWSER, ['--version']).status !== 0 && `no ${BROWSER} is installed: apt-get install chromium`;

/** A page in headless Chromium, driven by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/). */
export class BrowserPage {
  readonly #socket: WebSocket;
  readonly #session: string;
  readonly #waiting: Map<number, PromiseWithResolver>;
  readonly #next: () => number;

  private constructor(
    socket: WebSocket,
    session: string,
    waiting: Map<number, PromiseWithResolver>,
    next: () => number,
  ) {
    this.#socket = socket;
    this.#session = session;
    this.#waiting = waiting;
    this.#next = next;
  }

  /** Opens a page that answers a server's question for a password with this one. It is gone when the test ends. */
  static async open(t: TestLike, password: string): Promise<BrowserPage> {
    const profile = await mkdtemp(join(tmpdir(), 'retell-proxy-browser-'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
    const browser = spawn(
      BROWSER,
      [...flags, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    const gone = new Promise((resolve) => browser.once('exit', resolve));
    t.teardown(async () => {
      browser.kill('SIGKILL');
      await gone;
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    });
    const socket = new WebSocket(await debuggerOf(browser));
    t.teardown(() => socket.close());
    await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
    const waiting = new Map<number, PromiseWithResolver>();
    let last = 0;
    const next = () => ++last;
    const root = new BrowserPage(socket, '', waiting, next);
    let page = root;
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data));
      waiting.get(message.id)?.(message);
      if (message.method === 'Fetch.requestPaused')
        void page.send('Fetch.continueRequest', { requestId: message.params.requestId });
      if (message.method === 'Fetch.authRequired')
        void page.send('Fetch.continueWithAuth', {
          requestId: message.params.requestId,
          authChallengeResponse: { response: 'ProvideCredentials', username: 'anybody', password },
        });
    });
    const { targetId } = await root.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await root.send('Target.attachToTarget', { targetId, flatten: true });
    page = new BrowserPage(socket, sessionId, waiting, next);
    await page.send('Fetch.enable', { handleAuthRequests: true });
    return page;
  }

  /** Sends a command of the protocol. @throws Error with what it answers */
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  async send(method: string, params: Record<string, unknown> = {}): Promise<any> {
    const id = this.#next();
    const answer = await new Promise<{ result?: unknown; error?: { message: string } }>((resolve) => {
      this.#waiting.set(id, resolve);
      const session = this.#session === '' ? {} : { sessionId: this.#session };
      this.#socket.send(JSON.stringify({ id, method, params, ...session }));
    });
    this.#waiting.delete(id);
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  async goto(url: string): Promise<void> {
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
  }

  /** The value of an expression in the page. */
  // biome-ignore lint/suspicious/noExplicitAny: values of every shape
  async value(expression: string): Promise<any> {
    return (await this.send('Runtime.evaluate', { expression, returnByValue: true })).result.value;
  }

  async resize(width: number, height: number): Promise<void> {
    const mobile = width < 600;
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile });
  }
}

type PromiseWithResolver = (answer: { result?: unknown; error?: { message: string } }) => void;

async function debuggerOf(browser: ChildProcess): Promise<string> {
  if (browser.stderr === null) throw new Error('the browser has no output');
  for await (const line of createInterface({ input: browser.stderr })) {
    const [, url] = /^DevTools listening on (ws:\S+)/.exec(line) ?? [];
    if (url !== undefined) {
      browser.stderr.resume();
      return url;
    }
  }
  throw new Error('the browser ended at its start');
}
