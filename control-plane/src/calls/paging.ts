import type { Redis } from 'ioredis';
import type { Call } from './call.js';

export interface Page<T> {
  items: T[];
  /** Where the next page starts, null on the last one. */
  next_cursor: string | null;
}

/** Which calls a list has, and in which order. */
export interface CallList {
  /** Redis' index: ids of calls by a time in ms since 1970. */
  index: string;
  order: 'newest_first' | 'oldest_first';
  /** From this time on, in ms since 1970. */
  fromMs?: number | undefined;
  /** Before this time. */
  toMs?: number | undefined;
  wanted: (call: Call) => boolean;
}

/** A call's place in an index. */
interface Place {
  atMs: number;
  id: string;
}

/** How many records one page looks at before it hands out a cursor, whatever it has found, and how many at once. */
const SCAN_LIMIT = 5000;
const SCAN_STEP = 200;

/**
 * A page of calls. The cursor is a place in the index: calls that come in meanwhile shift nothing.
 *
 * @param read reads the records of these ids
 * @param cursor the `next_cursor` of the page before
 * @throws RangeError where the cursor is none of ours
 */
export async function pageOfCalls(
  redis: Redis,
  list: CallList,
  read: (ids: string[]) => Promise<(Call | undefined)[]>,
  limit: number,
  cursor?: string,
): Promise<Page<Call>> {
  const items: Call[] = [];
  let place = cursor === undefined ? undefined : parseCursor(cursor);
  for (let scanned = 0; scanned < SCAN_LIMIT; scanned += SCAN_STEP) {
    const step = await placesAfter(redis, list, place);
    const calls = await read(step.map(({ id }) => id));
    for (const [i, call] of calls.entries()) {
      place = step[i] as Place;
      if (call === undefined || !list.wanted(call)) continue;
      items.push(call);
      if (items.length === limit) return { items, next_cursor: formatCursor(place) };
    }
    if (step.length < SCAN_STEP) return { items, next_cursor: null };
  }
  return { items, next_cursor: place === undefined ? null : formatCursor(place) };
}

/** The next places in the list's order; calls of one moment are in the order of their ids. */
async function placesAfter(redis: Redis, list: CallList, place: Place | undefined): Promise<Place[]> {
  const { index, order, fromMs = '-inf', toMs } = list;
  const oldestFirst = order === 'oldest_first';
  const min = oldestFirst ? (place?.atMs ?? fromMs) : fromMs;
  const before = toMs === undefined ? '+inf' : `(${toMs}`;
  const max = oldestFirst ? before : (place?.atMs ?? before);
  const found: Place[] = [];
  for (let offset = 0; found.length < SCAN_STEP; offset += SCAN_STEP) {
    const range = [offset, SCAN_STEP] as const;
    const flat = oldestFirst
      ? await redis.zrangebyscore(index, min, max, 'WITHSCORES', 'LIMIT', ...range)
      : await redis.zrevrangebyscore(index, max, min, 'WITHSCORES', 'LIMIT', ...range);
    for (let i = 0; i < flat.length; i += 2) {
      const next = { id: flat[i] as string, atMs: Number(flat[i + 1]) };
      if (place === undefined || isAfter(next, place, oldestFirst)) found.push(next);
    }
    if (flat.length < SCAN_STEP * 2) break;
  }
  return found.slice(0, SCAN_STEP);
}

function isAfter(next: Place, place: Place, oldestFirst: boolean): boolean {
  if (next.atMs === place.atMs) return oldestFirst ? next.id > place.id : next.id < place.id;
  return next.atMs > place.atMs === oldestFirst;
}

function formatCursor({ atMs, id }: Place): string {
  return Buffer.from(`${atMs} ${id}`).toString('base64url');
}

function parseCursor(cursor: string): Place {
  const match = /^(\d+(?:\.\d+)?) (\S+)$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (match === null) throw new RangeError('not a cursor of this list');
  return { atMs: Number(match[1]), id: match[2] as string };
}
