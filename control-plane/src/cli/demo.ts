import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { SippRun } from '../../../sipp-scenarios/sipp.js';
import { parseSipListen } from '../config/addresses.js';
import { loadConfig } from '../config/load.js';
import { demoRetell } from './demo-settings.js';
import { drawLadder, type LadderMessage } from './ladder.js';
import { varDirectory } from './paths.js';

/** The longest wait for anything that the demo waits for, in ms. */
const WAIT_MS = 10_000;
/** How long the caller and the agent are left to talk, in ms. */
const TALK_MS = 500;

/**
 * `npm run demo`: places a call through the running demo, shows its record, hangs it up through the API and
 * draws what each side saw.
 *
 * @throws Error with one line where no demo runs, or where something goes otherwise than told
 */
export async function demo({ configFile }: { configFile: string }): Promise<void> {
  const token = await readToken();
  const config = await loadConfig(configFile, { ...process.env, API_TOKEN: token });
  const api = new Api(`http://${config.api.listen}`, token);
  const number = config.numbers[0]?.number ?? '';
  const { host, port } = parseSipListen(config.sip.listen[0] ?? '');
  await api.get('/v1/calls?limit=1');

  say(`The carrier (SIPp) dials ${number}.`);
  const callIdPrefix = `demo-${process.pid}-${Date.now()}`;
  const carrier = await SippRun.start({
    scenario: 'carrier/inbound-until-bye.xml',
    host: '127.0.0.1',
    target: `${host}:${port}`,
    number,
    callIdPrefix,
    trace: true,
    timeoutS: 30,
  });
  try {
    const call = await awaitAnswer(api, `${callIdPrefix}-1@127.0.0.1`);
    say('\nRetell has answered. The record, GET /v1/calls/{id}:');
    say(JSON.stringify(call, null, 2));
    await delay(TALK_MS);

    say(`\nThe call is hung up, POST /v1/calls/${call.id}/hangup:`);
    say(JSON.stringify(await api.post(`/v1/calls/${call.id}/hangup`, { reason: 'demo' }), null, 2));
    const { successful } = await carrier.result();
    if (successful !== 1) throw new Error('the carrier saw something else than one call that was hung up');
    const ended = await api.get<{ state: string; ended_by: string }>(`/v1/calls/${call.id}`);
    say(`\nIt is ${ended.state} now, ended by ${ended.ended_by}. What each side saw:\n`);
    for (const line of drawLadder(await messagesOf(carrier, call.sip_call_id))) say(line);
  } finally {
    await carrier.stop();
  }
}

interface CallView {
  id: string;
  state: string;
  sip_call_id: string;
}

async function awaitAnswer(api: Api, sipCallId: string): Promise<CallView> {
  const deadline = Date.now() + WAIT_MS;
  while (Date.now() < deadline) {
    const { items } = await api.get<{ items: CallView[] }>(
      `/v1/calls?sip_call_id=${encodeURIComponent(sipCallId)}`,
    );
    if (items[0]?.state === 'answered') return items[0];
    if (items[0]?.state === 'ended')
      throw new Error(`the call ended unanswered: GET /v1/calls/${items[0].id} says why`);
    await delay(50);
  }
  throw new Error(`the call was not answered within ${WAIT_MS / 1000} s`);
}

async function messagesOf(carrier: SippRun, sipCallId: string): Promise<LadderMessage[]> {
  const { host, httpPort } = demoRetell();
  const { body } = await request(
    `http://${host}:${httpPort}/simulator/trace/${encodeURIComponent(sipCallId)}`,
    {
      headersTimeout: WAIT_MS,
    },
  );
  const { items } = (await body.json()) as {
    items: { at: number; direction: 'in' | 'out'; first_line: string; cseq: string }[];
  };
  return [
    ...(await carrier.messages()).map((message) => ({ ...message, side: 'carrier' as const })),
    ...items.map(({ first_line, ...message }) => ({
      ...message,
      firstLine: first_line,
      side: 'retell' as const,
    })),
  ];
}

async function readToken(): Promise<string> {
  const file = join(varDirectory(), 'api-token');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch {
    throw new Error(`no demo has run here (${file} is missing): start one with npm start`);
  }
}

class Api {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  get<T>(path: string): Promise<T> {
    return this.#send('GET', path);
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.#send('POST', path, JSON.stringify(body));
  }

  async #send<T>(method: 'GET' | 'POST', path: string, body: string | null = null): Promise<T> {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' };
    const reply = await request(this.#url + path, { method, headers, body, headersTimeout: WAIT_MS }).catch(
      (error) => {
        throw new Error(`no demo answers at ${this.#url} (${error.message}): start one with npm start`);
      },
    );
    const text = await reply.body.text();
    if (reply.statusCode >= 300) throw new Error(`${method} ${path} answers ${reply.statusCode}: ${text}`);
    return JSON.parse(text) as T;
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
