/** A text is not what its key wants; the message says why and what to write, without the text itself. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** What `parse` makes of the text; nothing where it refuses it. */
export function readable<T>(parse: (text: string) => T, text: string): T | undefined {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof Refusal) {
      return undefined;
    }
    throw error;
  }
}
