import type { ErrorObject } from 'ajv';
import { stringify } from 'yaml';
import type { ConfigProblem } from './errors.js';
import { formatFault } from './formats.js';
import { keyPath, pathOfPointer, unknownKeyPath } from './path.js';
import type { SchemaNode } from './schema.js';

/**
 * Shows a value in a message.
 *
 * What came from the environment is shown as the file writes it, and user and query parts of addresses not at
 * all: either may hold a secret.
 */
export type Show = (path: string, value: unknown) => string;

/** Makes the function that shows values; `written` holds what the file says where the environment was used. */
export function showWith(written: Map<string, string>): Show {
  return (path, value) => {
    const plain = written.get(path) ?? value;
    if (typeof plain !== 'string') {
      return typeof plain === 'object' ? kindOf(plain) : String(plain);
    }
    const safe = plain.replace(/^([a-z]+:(?:\/\/)?)?.*@/is, '$1***@').replace(/\?.*/s, '?***');
    return JSON.stringify(safe.length > 100 ? `${safe.slice(0, 100)}…` : safe);
  };
}

/** Puts what the validator found (with `verbose`) into the words of an operator. */
export function describeViolation(error: ErrorObject, show: Show): ConfigProblem {
  const node = error.parentSchema as SchemaNode;
  const path = pathOfPointer(error.instancePath);
  switch (error.keyword) {
    case 'required': {
      const key: string = error.params.missingProperty;
      return {
        path: keyPath(path, key),
        message: `is missing; add it, like ${key}: ${flow(exampleOf(node.properties?.[key]))}`,
      };
    }
    case 'additionalProperties': {
      const key: string = error.params.additionalProperty;
      return {
        path: unknownKeyPath(path, key),
        message: unknownKey(key, Object.keys(node.properties ?? {})),
      };
    }
    default: {
      const message = wrongValue(error, node, node.secret ? 'this value' : show(path, error.data));
      return { path, message: path === '' ? `the file ${message}` : message };
    }
  }
}

function wrongValue(error: ErrorObject, node: SchemaNode, shown: string): string {
  const { data } = error;
  if (node.enum) {
    const near = typeof data === 'string' ? nearest(data, node.enum.map(String)) : undefined;
    return `${shown} is not known here; write ${near ?? listOf(node.enum)}`;
  }
  if (node.type === 'integer') {
    return `${shown} is not a whole number from ${node.minimum} to ${node.maximum} (${node.unit}); write it like ${exampleOf(node)}`;
  }
  switch (error.keyword) {
    case 'format':
      return `${shown} ${formatFault(error.params.format, data as string)}`;
    case 'minItems':
      return `is an empty list; give at least one, like ${flow(exampleOf(node))}`;
    case 'maxItems':
      return `has ${(data as unknown[]).length} entries; at most ${node.maxItems} are allowed`;
    case 'maxProperties':
      return `has ${Object.keys(data as object).length} keys; at most ${error.params.limit} are allowed`;
    case 'minimum':
    case 'maximum':
      return `${shown} is out of range; write a whole number from ${node.minimum} to ${node.maximum}`;
    case 'uniqueItems':
      return 'names one entry twice; leave one out';
    default:
      return wrongType(data, node, shown);
  }
}

/** What a value of each type of JSON Schema is to an operator. */
const KINDS: Record<string, string> = {
  string: 'text',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section with keys',
};

function wrongType(data: unknown, node: SchemaNode, shown: string): string {
  const quotable = typeof data === 'number' || typeof data === 'boolean';
  if (node.type === 'string' && quotable) {
    return `${shown} is ${kindOf(data)}, not text; put it in quotes${node.secret ? '' : `, like ${flow(quotedText(data, node))}`}`;
  }
  const wanted = [node.type ?? []].flat().map((type) => KINDS[type]);
  return `is ${kindOf(data)}, not ${wanted.join(' or ')}; write it like ${flow(exampleOf(node))}`;
}

/** The text that was meant: YAML reads +14155550100 without quotes as a number and drops the +. */
function quotedText(data: number | boolean, node: SchemaNode): unknown {
  const { format } = node;
  if (format === undefined) {
    return String(data);
  }
  return (
    [String(data), `+${data}`].find((text) => formatFault(format, text) === undefined) ?? exampleOf(node)
  );
}

function unknownKey(key: string, known: string[]): string {
  if (known.includes(key.split(':')[0] ?? '')) {
    return 'is not a known key; put a space after the colon';
  }
  const near = nearest(key, known);
  return near === undefined
    ? `is not a known key; leave it out (known here: ${known.join(', ')})`
    : `is not a known key; did you mean ${near}?`;
}

function kindOf(value: unknown): string {
  if (value === null) {
    return 'empty';
  }
  if (Array.isArray(value)) {
    return 'a list';
  }
  return (
    { object: 'a section with keys', string: 'text', number: 'a number' }[typeof value as string] ??
    'true or false'
  );
}

/** A valid value for the key: its example, its default, or one made of its required parts. */
function exampleOf(node: SchemaNode | undefined): unknown {
  if (node?.examples) {
    return node.examples[0];
  }
  if (node?.items && !hasEntries(node.default)) {
    return [exampleOf(node.items)];
  }
  if (node?.properties) {
    const parts = Object.entries(node.properties).filter(
      ([key, part]) => node.required?.includes(key) && part.default === undefined,
    );
    // A section in which everything has a default shows its first key.
    const shown = parts.length > 0 ? parts : Object.entries(node.properties).slice(0, 1);
    return Object.fromEntries(shown.map(([key, part]) => [key, exampleOf(part)]));
  }
  return node?.default;
}

function hasEntries(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/** A value as YAML on one line. */
function flow(value: unknown): string {
  return stringify(value, {
    collectionStyle: 'flow',
    flowCollectionPadding: false,
    defaultStringType: 'QUOTE_DOUBLE',
    defaultKeyType: 'PLAIN',
    lineWidth: 0,
  })
    .trim()
    .replace(/\s*\n\s*/g, ' ');
}

function listOf(values: unknown[]): string {
  return values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;
}

/** The known word that `text` is most likely a misspelling of. */
function nearest(text: string, known: string[]): string | undefined {
  // Longer than any key: not worth comparing, and the comparison takes length times length.
  if (text.length > 64) {
    return undefined;
  }
  const [best] = known
    .map((word) => ({ word, distance: distance(text.toLowerCase(), word) }))
    .sort((a, b) => a.distance - b.distance);
  if (best !== undefined && best.distance <= 1 + Math.floor(best.word.length / 4)) {
    return best.word;
  }
  return text.length >= 3 ? known.find((word) => word.startsWith(text)) : undefined;
}

/** Levenshtein's distance: the least number of letters to add, drop or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const change = (row[j] ?? 0) + (letter === b[j] ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
