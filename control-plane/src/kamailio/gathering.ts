/** Events are handled as they come, up to so many in each window. */
const PROMPT_EVENTS = 100;
/** The length of a window, in ms. */
const WINDOW_MS = 100;

/**
 * How long reads of events wait for more. What comes beyond a window's prompt events waits for its end: the INVITE, the
 * ringing and the answer of one call are then mostly one write into its record, and the CPU is left for calls.
 */
export class Gathering {
  #windowEnd = 0;
  #events = 0;

  /**
   * @param events how many a read brought
   * @param nowMs of a clock that never goes back
   * @returns how long the next read waits, in ms
   */
  restMs(events: number, nowMs: number): number {
    if (nowMs >= this.#windowEnd) {
      this.#windowEnd = nowMs + WINDOW_MS;
      this.#events = 0;
    }
    this.#events += events;
    return this.#events < PROMPT_EVENTS ? 0 : this.#windowEnd - nowMs;
  }
}
