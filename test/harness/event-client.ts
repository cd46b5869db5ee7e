import { request } from 'undici';

/** One server-sent event as it came. */
export interface ReceivedEvent {
  id: string | undefined;
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into events of every shape
  data: any;
}

/**
 * Reads server-sent events as a browser would (https://html.spec.whatwg.org/multipage/server-sent-events.html), for
 * tests.
 *
 * @param options `signal` cuts the connection too
 * @param wanted is asked after each event; the connection is cut where it says no
 */
export async function readEvents(
  url: string,
  options: { token: string; after?: string | undefined; signal?: AbortSignal },
  wanted: (event: ReceivedEvent) => boolean,
): Promise<void> {
  const cut = new AbortController();
  const signal = options.signal === undefined ? cut.signal : AbortSignal.any([cut.signal, options.signal]);
  const reply = await request(url, {
    headers: {
      authorization: `Bearer ${options.token}`,
      accept: 'text/event-stream',
      ...(options.after !== undefined && { 'last-event-id': options.after }),
    },
    bodyTimeout: 30_000,
    signal,
  });
  if (reply.statusCode !== 200) throw new Error(`events: ${reply.statusCode} ${await reply.body.text()}`);
  let text = '';
  try {
    for await (const chunk of reply.body.setEncoding('utf8')) {
      text += chunk;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const event = eventOf(text.slice(0, end));
        text = text.slice(end + 2);
        if (event !== undefined && !wanted(event)) return cut.abort();
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** @returns undefined for a comment or a setting */
function eventOf(frame: string): ReceivedEvent | undefined {
  const fields = new Map(
    frame.split('\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  const event = fields.get('event');
  if (event === undefined) return undefined;
  return { id: fields.get('id'), event, data: JSON.parse(fields.get('data') ?? 'null') };
}
