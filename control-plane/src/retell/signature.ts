import { createHmac, timingSafeEqual } from 'node:crypto';

/** The header X-Retell-Signature, read. */
export interface Signature {
  /** When it was made, in ms since 1970. */
  at: number;
  /** HMAC-SHA256 of the body and the time. */
  digest: Buffer;
}

/** How far its time may be off, in ms (retell.md 5.3). */
const WINDOW_MS = 300_000;

/** @returns undefined where it is none */
export function parseSignature(header: string): Signature | undefined {
  const [, time, digest = ''] = /^v=(\d+),d=([0-9a-f]{64})$/i.exec(header) ?? [];
  const at = Number(time);
  return Number.isSafeInteger(at) ? { at, digest: Buffer.from(digest, 'hex') } : undefined;
}

/** Whether its time is too far off, either way. */
export function isStale({ at }: Signature): boolean {
  return Math.abs(Date.now() - at) > WINDOW_MS;
}

/**
 * Whether the body was signed so with this key: the same answer as that of retell-sdk's `verify`, which imports the key
 * for each body and goes through a thread pool. That was nearly a third of the work of a webhook
 * (docs/operations/webhooks.md).
 */
export function isSignedWith(body: string, key: string, { at, digest }: Signature): boolean {
  return timingSafeEqual(createHmac('sha256', key).update(body).update(String(at)).digest(), digest);
}
