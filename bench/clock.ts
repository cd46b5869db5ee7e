/** Milliseconds with fractions on a clock that never jumps and that all threads of the process share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
