import type { Config } from '../config/schema.js';

/** One entry of `numbers`. */
export type NumberSettings = Config['numbers'][number];

/** One index for each configuration that was in force: there may be 100,000 numbers, and a caller waits. */
const indices = new WeakMap<Config, ReadonlyMap<string, NumberSettings>>();

/** The settings of a number, E.164 with +; undefined where it is none of ours. */
export function settingsOf(config: Config, number: string): NumberSettings | undefined {
  let index = indices.get(config);
  if (index === undefined) {
    index = new Map(config.numbers.map((entry) => [entry.number, entry]));
    indices.set(config, index);
  }
  return index.get(number);
}

/** What Retell keeps with the call: the number's own metadata, and our id of the call where it is known. */
export function metadataOf(
  settings: NumberSettings | undefined,
  callRef: string | undefined,
): Record<string, unknown> {
  return { ...settings?.metadata, ...(callRef === undefined ? {} : { call_ref: callRef }) };
}
