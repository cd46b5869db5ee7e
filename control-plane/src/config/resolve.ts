import type { ConfigProblem } from './errors.js';
import { indexPath, keyPath, unknownKeyPath } from './path.js';
import type { SchemaNode } from './schema.js';

/** The values of the file after the environment has been filled in. */
export interface Resolved {
  value: unknown;
  /** What the file itself says at each path whose value came from the environment. */
  written: Map<string, string>;
  /** Variables that are not set and references that cannot be read. */
  problems: ConfigProblem[];
}

/** What is known of the inside of a section that may hold anything. */
const ANYTHING: SchemaNode = { additionalProperties: true };
ANYTHING.items = ANYTHING;

/**
 * Works out what the values of the file stand for; makes a copy.
 *
 * - `${NAME}` and `${NAME:-default}` in texts (the default is for a variable that is unset or empty), `$${` for
 *   a plain `${`. This happens after YAML is parsed, so no value can change the structure of the file.
 * - A whole number, true or false that comes from the environment becomes one where the schema wants one.
 * - A known key with nothing after it counts as not written.
 *
 * Parts that the schema does not know are left alone: they are reported as such.
 */
export function resolveValues(
  data: unknown,
  schema: SchemaNode,
  env: Record<string, string | undefined>,
): Resolved {
  const written = new Map<string, string>();
  const problems: ConfigProblem[] = [];

  function walk(value: unknown, node: SchemaNode | undefined, path: string): unknown {
    if (node === undefined) {
      return value;
    }
    if (typeof value === 'string') {
      return resolveText(value, node, path);
    }
    if (Array.isArray(value)) {
      return value.map((entry, index) => walk(entry, node.items, indexPath(path, index)));
    }
    if (typeof value === 'object' && value !== null) {
      const known = node.properties ?? {};
      return Object.fromEntries(
        Object.entries(value)
          .filter(([key, entry]) => !(entry === null && Object.hasOwn(known, key)))
          .map(([key, entry]) => [
            key,
            Object.hasOwn(known, key)
              ? walk(entry, known[key], keyPath(path, key))
              : walk(entry, freeKey(node), unknownKeyPath(path, key)),
          ]),
      );
    }
    return value;
  }

  function resolveText(text: string, node: SchemaNode, path: string): unknown {
    const value = text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (all, inside: string, end: string) => {
      if (all === '$${') {
        return '${';
      }
      written.set(path, text);
      const [, name, fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inside) ?? [];
      if (name === undefined || end === '') {
        problems.push({
          path,
          message: `has a \${ that names no variable; write \${NAME}, \${NAME:-default}, or $\${ for a plain \${`,
        });
        return '';
      }
      const found = env[name];
      if (fallback !== undefined) {
        return found === undefined || found === '' ? fallback : found;
      }
      if (found === undefined) {
        problems.push({
          path,
          // Nobody should be led to write a secret into the file.
          message: `the environment variable ${name} is not set; set it${node.secret ? '' : `, or write \${${name}:-default}`}`,
        });
      }
      return found ?? '';
    });
    if (!written.has(path)) {
      return value;
    }
    if (node.type === 'integer' && /^-?\d+$/.test(value)) {
      return Number(value);
    }
    return node.type === 'boolean' && /^(true|false)$/.test(value) ? value === 'true' : value;
  }

  return { value: walk(data, schema, ''), written, problems };
}

/** The schema of a key that is not named in it. */
function freeKey({ additionalProperties }: SchemaNode): SchemaNode | undefined {
  return additionalProperties === true ? ANYTHING : additionalProperties || undefined;
}
