import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { readEvents } from '../../test/harness/event-client.js';

/** Where commands are given. */
export interface CommandApi {
  url: string;
  /** A token with the scopes `read` and `control`. */
  token: string;
  /** Events behind this one count; without it those from now on. */
  after?: string;
}

/** What became of the commands. */
export interface CommandFigures {
  /** Answered 2xx. */
  taken: number;
  /** Other answers, by status and code. */
  refused: Record<string, number>;
}

/** Number that calls are transferred to. */
const TRANSFER_TO = '+14155550199';

/** Hangs up or transfers calls as soon as they are answered, where their scenario waits for that. */
export class Commands {
  readonly figures: CommandFigures = { taken: 0, refused: {} };
  readonly #api: CommandApi;
  readonly #commandOf: (sipCallId: string) => 'hangup' | 'transfer' | undefined;
  readonly #over = new AbortController();

  constructor(api: CommandApi, commandOf: (sipCallId: string) => 'hangup' | 'transfer' | undefined) {
    this.#api = api;
    this.#commandOf = commandOf;
    void this.#follow();
  }

  /** Gives no further commands. */
  stop(): void {
    this.#over.abort();
  }

  /** A stream that breaks off is opened again where it ended. */
  async #follow(): Promise<void> {
    const { url, token } = this.#api;
    let { after } = this.#api;
    const { signal } = this.#over;
    while (!signal.aborted) {
      const read = readEvents(
        `${url}/v1/events?type=call.answered`,
        { token, after, signal },
        ({ id, data }) => {
          after = id ?? after;
          const { id: callId, sip_call_id } = data.data.call ?? {};
          const command = sip_call_id === undefined ? undefined : this.#commandOf(sip_call_id);
          if (command !== undefined) void this.#give(command, callId);
          return true;
        },
      );
      await read.catch(() => delay(500, undefined, { ref: false }));
    }
  }

  async #give(command: 'hangup' | 'transfer', callId: string): Promise<void> {
    const path = command === 'hangup' ? 'hangup' : 'transfers';
    const what = await request(`${this.#api.url}/v1/calls/${callId}/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#api.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(command === 'hangup' ? {} : { to: TRANSFER_TO }),
    })
      .then(async ({ statusCode, body }) => {
        const text = await body.text();
        return statusCode < 300
          ? undefined
          : `${statusCode} ${/"code":"(\w+)"/.exec(text)?.[1] ?? ''}`.trim();
      })
      .catch((error: Error) => error.message);
    if (what === undefined) this.figures.taken += 1;
    else this.figures.refused[what] = (this.figures.refused[what] ?? 0) + 1;
  }
}
