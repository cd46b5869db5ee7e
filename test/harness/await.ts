import { setTimeout as delay } from 'node:timers/promises';

/** How long tests wait for what has to come, in ms: what comes ends the wait, and a machine may be slow. */
export const PATIENCE_MS = 30_000;
/** How long a hangup waits for both sides, in ms: they answer, but a machine may be slow. */
export const HANGUP_TIMEOUT_MS = 10_000;
/** The same where a side never answers and a test sits it out, in ms: the other side may be slow all the same. */
export const SILENCE_MS = 3000;
/** Pause between two looks, in ms. */
const POLL_MS = 20;

/**
 * Looks again and again until `probe` gives something other than undefined, null or false. A number would be something
 * whatever it is, so it is not taken: say which one is awaited.
 *
 * @param what what is awaited, for the error
 * @param timeoutMs longest wait, in ms
 * @throws Error that says what was awaited, and the last error of the probe
 */
export async function eventually<T extends object | string | true>(
  what: string,
  probe: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  timeoutMs = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let trouble = '';
  for (;;) {
    try {
      const found = await probe();
      if (found !== undefined && found !== null && found !== false) return found;
    } catch (error) {
      trouble = `; last error: ${error instanceof Error ? error.message : error}`;
    }
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}${trouble}`);
    await delay(POLL_MS);
  }
}
