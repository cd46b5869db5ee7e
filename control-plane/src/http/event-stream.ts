import { once } from 'node:events';
import type { PassThrough } from 'node:stream';
import { eventBody, type FeedItem } from '../calls/event-feed.js';

/** Who takes nothing for so long is dropped, in ms. */
const STALL_MS = 10_000;
/** How soon a client comes back, in ms. */
const RETRY_MS = 2000;

/**
 * Writes a feed of events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as
 * fast as they are taken: the next ones are read when these are gone.
 *
 * @param stallMs who takes nothing for so long is dropped, with a last word. Default 10,000
 * @returns whether the reader was dropped
 */
export async function writeEvents(
  items: AsyncIterable<FeedItem>,
  out: PassThrough,
  signal: AbortSignal,
  stallMs = STALL_MS,
): Promise<boolean> {
  return writeFrames(framesOf(items), out, signal, stallMs);
}

/** The same of events that are written out, see `frame`. */
export async function writeFrames(
  frames: AsyncIterable<string>,
  out: PassThrough,
  signal: AbortSignal,
  stallMs = STALL_MS,
): Promise<boolean> {
  out.write(`retry: ${RETRY_MS}\n\n`);
  for await (const text of frames) {
    if (out.write(text) || (await drained(out, signal, stallMs))) continue;
    if (signal.aborted) break;
    out.end(frame('dropped', { reason: `nothing was taken for ${stallMs / 1000} s` }));
    return true;
  }
  out.end();
  return false;
}

async function drained(out: PassThrough, signal: AbortSignal, stallMs: number): Promise<boolean> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), stallMs);
  try {
    await once(out, 'drain', { signal: AbortSignal.any([signal, stalled.signal]) });
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

async function* framesOf(items: AsyncIterable<FeedItem>): AsyncGenerator<string> {
  for await (const item of items) yield frameOf(item);
}

function frameOf(item: FeedItem): string {
  if (item === 'quiet') return ': quiet\n\n';
  if (item === 'gap') return frame('gap', { reason: 'events after Last-Event-ID are not kept any more' });
  return `id: ${item.event.id}\n${frame(item.event.type, eventBody(item))}`;
}

/** One server-sent event. */
export function frame(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
