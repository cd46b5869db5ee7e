/**
 * Paths as an operator reads them: `carriers[0].networks[1]`.
 *
 * A pattern is such a path with `[]` for every entry of a list: `carriers[].networks[]`.
 */

/** The path of a key that the schema knows, in the section at `path`. */
export function keyPath(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/**
 * The path of any other key of the section at `path`.
 *
 * Such a key may be a secret in the wrong place (`{token:abc}` without the space is one key), so what does not
 * look like a key is cut short.
 */
export function unknownKeyPath(path: string, key: string): string {
  if (/^[A-Za-z_-]{1,32}$/.test(key)) {
    return keyPath(path, key);
  }
  const start = /^[A-Za-z_-]{0,16}/.exec(key)?.[0] ?? '';
  return `${path}["${start}…"]`;
}

/** The path of an entry (from 0) of the list at `path`. */
export function indexPath(path: string, index: number): string {
  return `${path}[${index}]`;
}

/** The path of the list that an entry stands in. */
export function listOf(path: string): string {
  return path.replace(/\[\d+\]$/, '');
}

/** Turns a JSON pointer (RFC 6901) to a place where the schema has something to say into a path. */
export function pathOfPointer(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .reduce(
      (path, segment) =>
        /^\d+$/.test(segment) ? indexPath(path, Number(segment)) : unknownKeyPath(path, segment),
      '',
    );
}

/** A value in the configuration and where it stands. */
export interface Place {
  path: string;
  value: unknown;
}

/** A text in the configuration and where it stands. */
export interface Located extends Place {
  value: string;
}

/** All texts that `pattern` leads to; the data may be malformed: what is not text is left out. */
export function collect(data: unknown, pattern: string): Located[] {
  return collectPlaces(data, pattern).filter((place): place is Located => typeof place.value === 'string');
}

/** All values that `pattern` leads to; the data may be malformed: what is not there is left out. */
export function collectPlaces(data: unknown, pattern: string): Place[] {
  let places: Place[] = [{ path: '', value: data }];
  for (const step of pattern.match(/\[\]|\w+/g) ?? []) {
    places = places.flatMap(({ path, value }) => {
      if (step === '[]') {
        return Array.isArray(value)
          ? value.map((entry, index) => ({ path: indexPath(path, index), value: entry }))
          : [];
      }
      return typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? [{ path: keyPath(path, step), value: (value as Record<string, unknown>)[step] }]
        : [];
    });
  }
  return places;
}
