import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../../control-plane/src/cli/paths.js';
import { loadConfig, parseConfig } from '../../../control-plane/src/config/load.js';
import { configNode, type SchemaNode } from '../../../control-plane/src/config/schema.js';
import { load, problemsOf, WEBHOOK_SECRET } from '../../harness/configurations.js';

const PRESETS = join(ROOT, 'presets');

/** A value for every variable that the text wants. */
function placeholders(text: string): Record<string, string> {
  const names = [...text.matchAll(/\$\{([A-Za-z_]\w*)\}/g)].map(([, name = '']) => name);
  const value = (name: string) =>
    name.endsWith('_WEBHOOK_SECRET') ? WEBHOOK_SECRET : `placeholder-for-${name}`;
  return Object.fromEntries(names.map((name) => [name, value(name)]));
}

async function read(path: string): Promise<string> {
  return readFile(join(ROOT, path), 'utf8');
}

for (const file of readdirSync(PRESETS)) {
  t.test(`presets/${file} is right`, async (t) => {
    const path = join(PRESETS, file);
    const config = await loadConfig(path, placeholders(await readFile(path, 'utf8')));
    t.equal(`${config.carriers[0]?.name}.yaml`, file);
    t.not(config.carriers[0]?.prefixes.length, 0, 'it takes outbound calls');
    t.ok(config.retell.digest, "Retell's calls are challenged");
  });
}

t.test('config.demo.yaml is right', async (t) => {
  const config = await loadConfig(join(ROOT, 'config.demo.yaml'), { API_TOKEN: 'placeholder-for-token' });
  t.equal(config.carriers[0]?.gateways[0]?.uri, 'sip:127.0.0.1:5070');
});

t.test('config.example.yaml', async (t) => {
  t.test('is right', async (t) => {
    const text = await read('config.example.yaml');
    const config = await loadConfig(join(ROOT, 'config.example.yaml'), placeholders(text));
    t.equal(config.api.tokens[0]?.token, 'placeholder-for-API_TOKEN');
    t.equal(config.kamailio.nodes[0]?.rpc_token, 'placeholder-for-KAMAILIO_RPC_TOKEN');
  });

  t.test('is right with all that is commented out, too', async (t) => {
    const lines = (await read('config.example.yaml')).split('\n');
    const begin = lines.indexOf('sip:');
    // What is commented out is a key or an entry of a list; sentences end otherwise.
    const text = lines
      .slice(begin)
      .map((line) => line.replace(/^( *)# (?=( *)(- (udp|tls):|[a-z_]+:( |$)))/, '$1'))
      .join('\n');
    const config = parseConfig(text, placeholders(text));
    t.equal(config.sip.listen.length, 4);
    t.ok(config.sip.tls && config.redis && config.calls.limits && config.carriers[0]?.register);
  });

  t.test('has every key, and the defaults where it shows them', async (t) => {
    const text = await read('config.example.yaml');
    for (const { path } of leaves(configNode)) {
      const key = /(\w+)(\[\])*$/.exec(path)?.[1] ?? '';
      t.match(text, new RegExp(`^[ #-]*${key}:`, 'm'), path);
    }
    const config = parseConfig(text, placeholders(text));
    const { calls, log, retell } = load();
    t.same(config.calls, calls);
    t.same(config.log, log);
    const { api_key, digest, gateways, ...shown } = config.retell;
    const { gateways: _, ...defaults } = retell;
    t.same(shown, defaults);
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
  for (const { path, node, required } of leaves(configNode)) {
    t.ok(node.description, `${path} has a description`);
    t.ok(
      node.type !== 'integer' || (node.unit && (node.default !== undefined || !required)),
      `${path} has a unit, and a default if it needs one`,
    );
  }
});

t.test('docs/reference/config.md has a row for every key, with its type, unit and default', async (t) => {
  const page = await read('docs/reference/config.md');
  const rows = new Map(
    page
      .split('\n')
      .filter((line) => /^\| `[a-z]/.test(line))
      .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
      .map(([, key = '', ...cells]) => [key.replaceAll('`', ''), cells]),
  );
  for (const { path, node, required } of leaves(configNode)) {
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
    leaves(configNode)
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
  const page = await read('docs/reference/config.md');
  const [, file = '', output = ''] =
    /```yaml\n([^`]*)```\n\nIt is answered with\n\n```text\n([^`]*)```/.exec(page) ?? [];
  t.equal(problemsOf(file, {}).length, 8);
  t.throws(() => parseConfig(file, {}), { message: output.trimEnd() });
});
