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

/** Turns a JSON pointer (RFC 6901) to a place that the schema knows into a path. */
export function pathOfPointer(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .reduce(
      (path, segment) => (/^\d+$/.test(segment) ? indexPath(path, Number(segment)) : keyPath(path, segment)),
      '',
    );
}

/** A text in the configuration and where it stands. */
export interface Located {
  path: string;
  value: string;
}

/**
 * All texts that `pattern` leads to.
 *
 * The data may be malformed: what is not there, or is not text, is left out.
 */
export function collect(data: unknown, pattern: string): Located[] {
  let places: { path: string; value: unknown }[] = [{ path: '', value: data }];
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
  return places.filter((place): place is Located => typeof place.value === 'string');
}
