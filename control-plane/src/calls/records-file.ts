import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Redis } from 'ioredis';
import { Repeating } from '../repeating.js';
import { BEFORE_ALL, writtenAt } from '../stream-entries.js';
import { DETAIL_RECORDS } from './detail-records.js';
import { iso } from './iso.js';

export interface RecordsFileOptions {
  redis: Redis;
  directory: string;
  /** How many days a file is kept. */
  fileDays: number;
  /** Told of trouble: nothing is lost, it is tried again. */
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Pause between two looks for new records, in ms. Default 1,000. */
  pollMs?: number;
}

const FILE = /^records-(\d{4}-\d{2}-\d{2})\.jsonl$/;
const STEP = 500;
const RETRY_MS = 5000;
const DAY_MS = 86_400_000;
/** How much of a file's end is read for its last line, in bytes: more than any line has. */
const TAIL_LENGTH = 1024 * 1024;

/** One entry of the stream of detail records. */
interface Entry {
  id: string;
  call: string;
  /** Undefined where the call's data was erased. */
  line: string | undefined;
}

/**
 * Copies the stream of call detail records into a file for each day. The last line tells how far it has come: after a
 * crash nothing is missing and nothing is there twice.
 */
export class RecordsFile {
  readonly #o: Required<RecordsFileOptions>;
  readonly #repeating = new Repeating(() => this.#step());
  /** The entry that was written last; undefined where it has to be looked up. */
  #place: string | undefined;

  constructor(options: RecordsFileOptions) {
    this.#o = { pollMs: 1000, ...options };
  }

  start(): void {
    this.#repeating.start();
  }

  stop(): Promise<void> {
    return this.#repeating.stop();
  }

  /** @returns the pause before the next step, in ms */
  async #step(): Promise<number> {
    const { pollMs, warn, directory } = this.#o;
    try {
      this.#place ??= await this.#findPlace();
      const entries = await this.#read(this.#place);
      await this.#write(entries);
      this.#place = entries.at(-1)?.id ?? this.#place;
      return entries.length < STEP ? pollMs : 0;
    } catch (err) {
      warn({ err, directory }, 'call detail records not written to their files, trying again');
      // A part of them may be written.
      this.#place = undefined;
      return RETRY_MS;
    }
  }

  async #read(place: string): Promise<Entry[]> {
    const entries = await this.#o.redis.xrange(DETAIL_RECORDS, `(${place}`, '+', 'COUNT', STEP);
    return entries.map(([id, [, call = '', , version = '', , record]]) => ({
      id,
      call,
      line: record === undefined ? undefined : `{"entry":"${id}","version":${version},"record":${record}}\n`,
    }));
  }

  async #write(entries: readonly Entry[]): Promise<void> {
    const days = new Map<string, string>();
    for (const { id, line } of entries) {
      const day = dayOf(writtenAt(id));
      if (line !== undefined) days.set(day, (days.get(day) ?? '') + line);
    }
    for (const [day, lines] of days) {
      const file = await open(this.#path(day), 'a', 0o640);
      try {
        await file.appendFile(lines);
        await file.datasync();
      } finally {
        await file.close();
      }
    }
    if (days.size > 0) await this.#removeOld();
    const erased = new Set(entries.flatMap(({ call, line }) => (line === undefined ? [call] : [])));
    if (erased.size > 0) await this.#erase(erased);
  }

  /** The entry of the last line, after what a crash has left of a line that was not whole is cut off. */
  async #findPlace(): Promise<string> {
    await mkdir(this.#o.directory, { recursive: true, mode: 0o750 });
    for (const day of (await this.#days()).reverse()) {
      const entry = await lastEntryOf(this.#path(day));
      if (entry !== undefined) return entry;
    }
    return BEFORE_ALL;
  }

  /** Writes the files anew without the records of these calls. */
  async #erase(calls: ReadonlySet<string>): Promise<void> {
    for (const day of await this.#days()) {
      const path = this.#path(day);
      const kept = await open(`${path}.new`, 'w', 0o640);
      try {
        for await (const line of createInterface({ input: createReadStream(path) })) {
          const { record } = JSON.parse(line) as { record: { id: string } };
          if (!calls.has(record.id)) await kept.appendFile(`${line}\n`);
        }
        await kept.datasync();
      } finally {
        await kept.close();
      }
      await rename(`${path}.new`, path);
    }
  }

  async #removeOld(): Promise<void> {
    const oldest = dayOf(Date.now() - this.#o.fileDays * DAY_MS);
    for (const day of await this.#days()) if (day < oldest) await rm(this.#path(day));
  }

  /** The days that have a file, the oldest first. */
  async #days(): Promise<string[]> {
    const names = await readdir(this.#o.directory);
    return names.flatMap((name) => FILE.exec(name)?.[1] ?? []).sort();
  }

  #path(day: string): string {
    return join(this.#o.directory, `records-${day}.jsonl`);
  }
}

async function lastEntryOf(path: string): Promise<string | undefined> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - TAIL_LENGTH);
    const { buffer } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    const end = buffer.lastIndexOf('\n') + 1;
    if (start + end < size) await file.truncate(start + end);
    const last = buffer
      .subarray(0, Math.max(0, end - 1))
      .toString()
      .split('\n')
      .at(-1);
    return last ? (JSON.parse(last) as { entry: string }).entry : undefined;
  } finally {
    await file.close();
  }
}

/** The day of a time in ms since 1970, UTC, as a file's name has it. */
function dayOf(ms: number): string {
  return iso(ms).slice(0, 10);
}
