import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { demoRetell } from './demo-settings.js';
import { varDirectory } from './paths.js';

/** The longest wait for an answer, in ms. */
const WAIT_MS = 10_000;

export interface CallView {
  id: string;
  state: string;
  ended_by: string | null;
  sip_call_id: string;
  explanation: string | null;
  retell_call_id: string | null;
  timeline: { type: string }[];
}

export interface TransferView {
  id: string;
  state: string;
}

/** The API of a running demo, and the knobs of its simulated Retell. */
export class DemoApi {
  readonly config: Config;
  readonly #url: string;
  readonly #token: string;

  private constructor(config: Config, token: string) {
    this.config = config;
    this.#url = `http://${config.api.listen}`;
    this.#token = token;
  }

  /** @throws Error with one line where no demo runs */
  static async connect(configFile: string): Promise<DemoApi> {
    const token = await readToken();
    const api = new DemoApi(await loadConfig(configFile, { ...process.env, API_TOKEN: token }), token);
    await api.get('/v1/calls?limit=1');
    return api;
  }

  get<T>(path: string): Promise<T> {
    return this.#send('GET', this.#url + path);
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.#send('POST', this.#url + path, body);
  }

  /** Has the simulated agent of a call call a custom function of ours. */
  callFunction(
    retellCallId: string,
    name: string,
    args: Record<string, unknown>,
  ): Promise<{ status: number; body: string }> {
    const url = `${this.#url}/functions/${name}`;
    return this.#send('POST', `${retellUrl()}/calls/${retellCallId}/function`, { url, name, args });
  }

  /** The SIP messages of a call that the simulated Retell has seen. */
  async seenByRetell(
    sipCallId: string,
  ): Promise<{ at: number; direction: 'in' | 'out'; first_line: string; cseq: string }[]> {
    const url = `${retellUrl()}/trace/${encodeURIComponent(sipCallId)}`;
    const { items } = await this.#send<{ items: Awaited<ReturnType<DemoApi['seenByRetell']>> }>('GET', url);
    return items;
  }

  async #send<T>(method: 'GET' | 'POST', url: string, body?: unknown): Promise<T> {
    const reply = await request(url, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
      headersTimeout: WAIT_MS,
    }).catch((error) => {
      throw new Error(`no demo answers at ${this.#url} (${error.message}): start one with npm start`);
    });
    const text = await reply.body.text();
    if (reply.statusCode >= 300) {
      throw new Error(`${method} ${new URL(url).pathname} answers ${reply.statusCode}: ${text}`);
    }
    return JSON.parse(text) as T;
  }
}

function retellUrl(): string {
  const { host, httpPort } = demoRetell();
  return `http://${host}:${httpPort}/simulator`;
}

async function readToken(): Promise<string> {
  const file = join(varDirectory(), 'api-token');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch {
    throw new Error(`no demo has run here (${file} is missing): start one with npm start`);
  }
}
