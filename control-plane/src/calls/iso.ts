/** A time in ms since 1970 as the API shows it: ISO 8601, UTC, with milliseconds. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** The same of a time that may not have come yet. */
export function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : iso(ms);
}
