/**
 * The time of an event or a question, in microseconds since 1970. Kamailio writes `seconds:microseconds`, two whole
 * numbers: to pad the second one costs it more than the rest of the time does.
 *
 * @returns undefined where it is no time
 */
export function microsOf(text: string): number | undefined {
  const match = /^(\d+):(\d{1,6})$/.exec(text);
  return match === null ? undefined : Number(match[1]) * 1_000_000 + Number(match[2]);
}
