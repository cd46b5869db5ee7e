import type { Redis, Result } from 'ioredis';
import { Repeating } from '../repeating.js';
import type { DetailRecordObserver, DetailRecords } from './detail-records.js';
import { DETAIL_RECORDS_DUE } from './merge-script.js';

export interface DetailRecordWriterOptions {
  /** A connection for commands that fail where Redis is away. */
  redis: Redis;
  detailRecords: DetailRecords;
  /** Told of each that was written: of all replicas one is told of a version. */
  written: DetailRecordObserver;
  /** Told of trouble: nothing is lost, it is tried again. */
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Pause between two looks where nothing is due, in ms. Default 200. */
  pollMs?: number;
}

/** Calls whose records are written in one go: few, so that others who wait for Redis do not wait long. */
const STEP = 20;
/** Calls that are taken at once: their steps wait for Redis together, as each of its answers comes late where it is busy. */
const MOST = 5 * STEP;
/** Who took some and died leaves them to others after so long, in ms. */
const LEASE_MS = 10_000;
const RETRY_MS = 1000;

/** Hands out what is due: nobody else gets it before the lease is over. KEYS: due; ARGV: lease in ms, how many. */
const CLAIM = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pieces = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
local leased = {}
for i, piece in ipairs(pieces) do leased[i * 2 - 1], leased[i * 2] = now + ARGV[1], piece end
if #pieces > 0 then redis.call('ZADD', KEYS[1], unpack(leased)) end
return pieces
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    claimDetailRecords(due: string, leaseMs: number, most: number): Result<string[], Context>;
  }
}

/**
 * Writes the call detail records that are due, many in a few round trips: there may be thousands a second. Every replica
 * does; what one has taken and not written is written by another.
 */
export class DetailRecordWriter {
  readonly #o: Required<DetailRecordWriterOptions>;
  readonly #repeating = new Repeating(() => this.#step());

  constructor(options: DetailRecordWriterOptions) {
    this.#o = { pollMs: 200, ...options };
    options.redis.defineCommand('claimDetailRecords', { numberOfKeys: 1, lua: CLAIM });
  }

  start(): void {
    this.#repeating.start();
  }

  stop(): Promise<void> {
    return this.#repeating.stop();
  }

  /** @returns the pause before the next step, in ms */
  async #step(): Promise<number> {
    try {
      return (await this.#writeDue()) < MOST ? this.#o.pollMs : 0;
    } catch (err) {
      this.#o.warn({ err }, 'call detail records not written, trying again');
      return RETRY_MS;
    }
  }

  /** @returns how many pieces were done */
  async #writeDue(): Promise<number> {
    const { redis, detailRecords, written } = this.#o;
    const pieces = await redis.claimDetailRecords(DETAIL_RECORDS_DUE, LEASE_MS, MOST);
    if (pieces.length === 0) return 0;
    // A piece is the call's id and a number that tells it from others of the call.
    const ids = [...new Set(pieces.map((piece) => piece.slice(0, piece.lastIndexOf('/'))))];
    const steps: Promise<void>[] = [];
    for (let at = 0; at < ids.length; at += STEP) {
      steps.push(detailRecords.write(ids.slice(at, at + STEP), written));
    }
    await Promise.all(steps);
    await redis.zrem(DETAIL_RECORDS_DUE, ...pieces);
    return pieces.length;
  }
}
