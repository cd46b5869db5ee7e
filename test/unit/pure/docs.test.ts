import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../../control-plane/src/cli/paths.js';
import { PROBLEMS } from '../../../control-plane/src/http/problems.js';
import { Metrics } from '../../../control-plane/src/metrics/metrics.js';

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function filesIn(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

/** First cell of each row of the tables, without backticks, to the cells after it. */
function rowsOf(page: string): Map<string, string[]> {
  const rows = page.split('\n').filter((line) => line.startsWith('|'));
  return new Map(
    rows.map((row) => {
      const [first = '', ...others] = row
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim());
      return [first.replaceAll('`', ''), others];
    }),
  );
}

/** The targets of the relative links of a page, code left out. */
function relativeLinks(page: string): string[] {
  const text = page.replace(/^```.*?^```/gms, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): Set<string> {
  const text = page.replace(/^```.*?^```/gms, '');
  return new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

t.test('errors.md has a row for every code of the API, with its status, and for no other', async (t) => {
  const rows = rowsOf(read('docs/reference/errors.md'));
  for (const [code, { status }] of Object.entries(PROBLEMS)) {
    t.equal(rows.get(code)?.[0], String(status), code);
  }
  const documented = [...rows].filter(
    ([name, [status]]) => /^[a-z_]+$/.test(name) && /^\d{3}$/.test(status ?? ''),
  );
  t.same(documented.map(([code]) => code).sort(), Object.keys(PROBLEMS).sort());
});

t.test('metrics.md has a row for every metric of ours, with its type, and for no other', async (t) => {
  const { registry } = new Metrics({ version: '0.0.0', carriers: () => [] });
  const rows = rowsOf(read('docs/reference/metrics.md'));
  const ours = registry.getMetricsAsArray().filter(({ name }) => name.startsWith('retell_proxy_'));
  t.not(ours.length, 0);
  for (const { name, type } of ours) t.equal(rows.get(name)?.[0], String(type), name);
  t.same(
    [...rows.keys()].filter((name) => name.startsWith('retell_proxy_')).sort(),
    ours.map(({ name }) => name).sort(),
  );
});

t.test('events.md names every event that Kamailio publishes', async (t) => {
  const page = read('docs/reference/events.md');
  const types = new Set(
    filesIn('kamailio', '.cfg').flatMap((file) =>
      [...read(file).matchAll(/\\"type\\":\\"(\w+)\\"/g)].map(([, type = '']) => type),
    ),
  );
  t.not(types.size, 0);
  for (const type of types) t.match(page, `\`${type}\``, type);
});

t.test('kamailio.md has a row for every definition, with its default', async (t) => {
  const rows = rowsOf(read('docs/reference/kamailio.md'));
  const definitions = [...read('kamailio/definitions.cfg').matchAll(/^#!trydef (\w+) (\S+)/gm)];
  t.not(definitions.length, 0);
  // Of several the last one is the default; those above it are for some circumstance, which the row tells.
  const defaults = new Map(definitions.map(([, name = '', value]) => [name, value]));
  for (const [name, value] of defaults) t.equal(rows.get(name)?.[0], `\`${value}\``, name);
});

t.test('no definition stands within a string, where Kamailio would not fill it in', async (t) => {
  const definitions = [...read('kamailio/definitions.cfg').matchAll(/^#!trydef (\w+)/gm)];
  const strings = filesIn('kamailio', '.cfg').flatMap((file) =>
    read(file)
      .replace(/^\s*#.*$/gm, '')
      .match(/"(?:[^"\\\n]|\\.)*"/g),
  );
  for (const [, name = ''] of definitions)
    t.notOk(
      strings.find((text) => new RegExp(`\\b${name}\\b`).test(text ?? '')),
      name,
    );
});

for (const page of ['README.md', ...filesIn('docs', '.md')]) {
  t.test(`every relative link of ${page} leads somewhere`, async (t) => {
    for (const link of relativeLinks(read(page))) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      t.ok(existsSync(join(ROOT, target)), link);
      if (anchor !== undefined) t.ok(anchorsOf(read(target)).has(anchor), link);
    }
  });
}
