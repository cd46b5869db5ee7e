import type { Redis } from 'ioredis';

/** What the id of an entry looks like: ms since 1970, and a number among those of one ms. */
export const ENTRY_ID = /^\d{1,15}-\d{1,10}$/;

/** The id before that of every entry. */
export const BEFORE_ALL = '0-0';

/** When an entry was written, in ms since 1970. */
export function writtenAt(id: string): number {
  return partsOf(id)[0];
}

/** Whether the entry with the first id came before that with the second. */
export function isEarlier(first: string, second: string): boolean {
  const [a, b] = [partsOf(first), partsOf(second)];
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

/** The id that comes right after this one. */
export function successorOf(id: string): string {
  const [ms, sequence] = partsOf(id);
  return `${ms}-${sequence + 1}`;
}

/** Redis' list of names and values, one after the other, such as the fields of an entry. */
export function fieldsOf<Value>(list: readonly Value[]): Map<string, Value> {
  const fields = new Map<string, Value>();
  for (let i = 0; i < list.length; i += 2) fields.set(String(list[i]), list[i + 1] as Value);
  return fields;
}

/** What Redis tells of a stream (XINFO STREAM); undefined where nothing was written to it yet. */
export async function streamInfo(redis: Redis, key: string): Promise<Map<string, unknown> | undefined> {
  const info = await unlessMissing(redis.xinfo('STREAM', key));
  return info && fieldsOf(info);
}

/** What Redis tells of a consumer group (XINFO GROUPS); undefined where there is none. */
export async function groupInfo(
  redis: Redis,
  key: string,
  group: string,
): Promise<Map<string, unknown> | undefined> {
  const groups = (await unlessMissing(redis.xinfo('GROUPS', key))) ?? [];
  return groups.map((entry) => fieldsOf(entry as unknown[])).find((fields) => fields.get('name') === group);
}

async function unlessMissing(answer: Promise<unknown>): Promise<unknown[] | undefined> {
  try {
    return (await answer) as unknown[];
  } catch (error) {
    if (error instanceof Error && error.message.includes('no such key')) return undefined;
    throw error;
  }
}

function partsOf(id: string): [ms: number, sequence: number] {
  const [ms = 0, sequence = 0] = id.split('-').map(Number);
  return [ms, sequence];
}
