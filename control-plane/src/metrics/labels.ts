/** Statuses that callers, carriers and Retell mean different things by; others are told by their class. */
const TOLD_APART = new Set([
  200, 403, 404, 408, 480, 486, 487, 488, 500, 502, 503, 504, 600, 603, 604, 607, 608,
]);

/** The label `code` of a final response; `none` where there was none, or it is no status of a final one. */
export function codeLabel(status: number | null | undefined): string {
  if (status === null || status === undefined) return 'none';
  if (TOLD_APART.has(status)) return String(status);
  // Any 2xx answers a call.
  return status >= 200 && status < 300 ? '200' : classLabel(status);
}

/** `3xx` to `6xx`; `none` for what is no refusal. */
export function classLabel(status: number): string {
  const digit = Math.floor(status / 100);
  return digit >= 3 && digit <= 6 ? `${digit}xx` : 'none';
}

/** The names that the label `carrier` may have. */
export class CarrierLabels {
  readonly #configured: () => readonly { name: string }[];

  /** @param configured the carriers in force */
  constructor(configured: () => readonly { name: string }[]) {
    this.#configured = configured;
  }

  /** A configured carrier's name or `retell`; empty for none; `other` for one that is not configured (any more). */
  of(carrier: string | null | undefined): string {
    if (carrier === null || carrier === undefined || carrier === '') return '';
    const isKnown = carrier === 'retell' || this.#configured().some(({ name }) => name === carrier);
    return isKnown ? carrier : 'other';
  }
}
