import { request } from 'undici';

export interface ApiReply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of every shape
  body: any;
}

/** A client of the API as a user would write one, for tests. */
export class ApiClient {
  /** @param tokens the configured tokens by name; requests use `all` unless they say another */
  constructor(
    readonly url: string,
    readonly tokens: Readonly<Record<string, string>>,
  ) {}

  get(path: string, token = 'all'): Promise<ApiReply> {
    return this.#send('GET', path, undefined, token);
  }

  post(path: string, body?: unknown, token = 'all', headers: Record<string, string> = {}): Promise<ApiReply> {
    return this.#send('POST', path, body, token, headers);
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    token: string,
    headers: Record<string, string> = {},
  ): Promise<ApiReply> {
    const secret = this.tokens[token];
    const reply = await request(this.url + path, {
      method,
      headers: {
        ...headers,
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      headersTimeout: 20_000,
      bodyTimeout: 20_000,
    });
    const text = await reply.body.text();
    const json = /json/.test(String(reply.headers['content-type']));
    return { status: reply.statusCode, headers: reply.headers, body: json ? JSON.parse(text) : text };
  }
}
