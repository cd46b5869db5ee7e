import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { loadConfig, parseConfig } from '../../control-plane/src/config/load.js';
import { configNode, type SchemaNode } from '../../control-plane/src/config/schema.js';
import { load, problemsOf } from '../harness/configurations.js';

t.test('config.example.yaml', async (t) => {
  t.test('loads', async (t) => {
    const config = await loadConfig(new URL('config.example.yaml', root).pathname, env);
    t.equal(config.api.tokens[0]?.token, env.API_TOKEN);
    t.equal(config.kamailio.nodes[0]?.rpc_token, env.KAMAILIO_RPC_TOKEN);
  });

  t.test('has every key, and the defaults where it shows them', async (t) => {
    const text = await readFile(new URL('config.example.yaml', root), 'utf8');
    for (const { path } of leaves(ConfigSchema)) {
      const key = /(\w+)(\[\])*$/.exec(path)?.[1] ?? '';
      t.match(text, new RegExp(`^[ #-]*${key}:`, 'm'), path);
    }
    const config = parseConfig(text, env);
    const { calls, log, retell } = load();
    t.same(config.calls, calls);
    t.same(config.log, log);
    t.same(config.retell.networks, retell.networks);
  });
});

interface Leaf {
  path: string;
  node: SchemaNode;
  required: boolean;
}

/** Every key that holds a value or a list, sections left out; `[]` stands for the entries of a list. */
function leaves(node: SchemaNode, path = '', required = true): Leaf[] {
  if (node.properties) {
    return Object.entries(node.properties).flatMap(([key, part]) =>
      leaves(part, path === '' ? key : `${path}.${key}`, node.required?.includes(key) ?? false),
    );
  }
  return [{ path, node, required }, ...(node.items?.properties ? leaves(node.items, `${path}[]`) : [])];
}

t.test('every key of the schema says what it is', async (t) => {
  for (const { path, node } of leaves(ConfigSchema)) {
    t.ok(node.description, `${path} has a description`);
    t.ok(
      node.type !== 'integer' || (node.unit && node.default !== undefined),
      `${path} has a unit and a default`,
    );
  }
});

t.test('docs/reference/config.md has a row for every key, with its type, unit and default', async (t) => {
  const page = await readFile(new URL('docs/reference/config.md', root), 'utf8');
  const rows = new Map(
    page
      .split('\n')
      .filter((line) => /^\| `[a-z]/.test(line))
      .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
      .map(([, key = '', ...cells]) => [key.replaceAll('`', ''), cells]),
  );
  for (const { path, node, required } of leaves(ConfigSchema)) {
    const [type = '', unit, byDefault] = rows.get(path) ?? [];
    const absent = required ? 'required' : 'none';
    const expected =
      node.default_text ?? (node.default === undefined ? absent : `\`${flatten(node.default)}\``);
    t.equal(byDefault, expected, `${path}: default`);
    t.equal(unit, node.unit ?? '', `${path}: unit`);
    for (const limit of [node.minimum, node.maximum, ...(node.enum ?? [])]) {
      t.ok(limit === undefined || type.includes(String(limit)), `${path}: ${limit} in the type`);
    }
  }
  t.same(
    [...rows.keys()].sort(),
    leaves(ConfigSchema)
      .map(({ path }) => path)
      .sort(),
    'and no other rows',
  );
});

/** A default as the page writes it. */
function flatten(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(flatten).join(', ')}]`;
  }
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([key, part]) => `${key}: ${flatten(part)}`)
      .join(', ')}}`;
  }
  return String(value);
}

t.test('docs/reference/config.md shows errors as they really look', async (t) => {
  const page = await readFile(new URL('docs/reference/config.md', root), 'utf8');
  const [, file = '', output = ''] =
    /```yaml\n([^`]*)```\n\nIt is answered with\n\n```text\n([^`]*)```/.exec(page) ?? [];
  t.equal(problemsOf(file, {}).length, 6);
  t.throws(() => parseConfig(file, {}), { message: output.trimEnd() });
});
