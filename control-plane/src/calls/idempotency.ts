import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

/** What a client's key stands for. */
export interface KeyedRequest {
  /** Our id of the call that it made. */
  id: string;
  /** Of the request's body. */
  digest: string;
}

/** How long a key is known, in s. Records are kept longer. */
const KEPT_S = 86_400;

/** The keys by which clients may repeat a request without doing it twice, those of each API token apart. */
export class IdempotencyKeys {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** What the key stands for; undefined where it is free. @throws where Redis does not answer */
  async find(token: string, key: string): Promise<KeyedRequest | undefined> {
    const text = await this.#redis.get(nameOf(token, key));
    return text === null ? undefined : (JSON.parse(text) as KeyedRequest);
  }

  /** Takes the key, unless it is taken. @returns what it stands for now @throws where Redis does not answer */
  async take(token: string, key: string, request: KeyedRequest): Promise<KeyedRequest> {
    const taken = await this.#redis.set(nameOf(token, key), JSON.stringify(request), 'EX', KEPT_S, 'NX');
    if (taken === 'OK') return request;
    // It has expired since then.
    return (await this.find(token, key)) ?? this.take(token, key, request);
  }
}

/** The digest of a request's body as it was parsed. */
export function digestOf(body: unknown): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('base64url');
}

function nameOf(token: string, key: string): string {
  return `idempotency:${token}:${key}`;
}
