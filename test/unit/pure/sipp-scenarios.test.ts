import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../../../control-plane/src/cli/paths.js';
import { SCENARIOS, scenarioNamed } from '../../../sipp-scenarios/scenarios.js';

const FOLDER = 'sipp-scenarios';
const files = readdirSync(join(ROOT, FOLDER), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.xml'))
  .sort();
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
/** Options of SIPp that the head comments use; each has a value. */
const OPTIONS = ['-sf', '-i', '-p', '-s', '-d', '-m', '-au', '-ap'];

/** The command line in the head comment of a file: its options, and what is left. */
function commandOf(file: string): { options: Map<string, string>; rest: string[] } {
  const comment = /<!--(.*?)-->/s.exec(read(join(FOLDER, file)))?.[1] ?? '';
  const [command = ''] = /^ {2}sipp .*$/m.exec(comment) ?? [];
  const words = command.trim().split(' ').slice(1);
  const options = new Map<string, string>();
  while (words[0]?.startsWith('-')) options.set(words.shift() ?? '', words.shift() ?? '');
  return { options, rest: words };
}

t.test('the command line in the head of each file plays that file', async (t) => {
  for (const file of files) {
    const { options, rest } = commandOf(file);
    t.same(
      [...options.keys()].filter((name) => !OPTIONS.includes(name)),
      [],
      `${file}: options`,
    );
    t.equal(options.get('-sf'), join(FOLDER, file), `${file}: -sf`);
    const calls = SCENARIOS.some(({ caller }) => caller === file);
    t.equal(rest.length, calls ? 1 : 0, `${file}: a target, if it calls`);
    t.equal(options.has('-p'), !calls, `${file}: a port, if it is called`);
    t.equal(options.has('-d'), read(join(FOLDER, file)).includes('<pause/>'), `${file}: -d, if it pauses`);
  }
});

t.test('no file names a transport: SIPp fills in its own', async (t) => {
  for (const file of files) t.notMatch(read(join(FOLDER, file)), /SIP\/2\.0\/[A-Z]|transport=[a-z]/i, file);
});

t.test('a called side answers the probes of the proxy', async (t) => {
  for (const file of new Set(SCENARIOS.flatMap(({ callee = [] }) => callee))) {
    t.match(read(join(FOLDER, file)), '<recv request="OPTIONS" optional="true" next="probed"/>', file);
  }
});

t.test('the table of scenarios has every file, and no name twice', async (t) => {
  t.same([...new Set(SCENARIOS.flatMap(({ caller, callee = [] }) => [caller, callee].flat()))].sort(), files);
  t.equal(new Set(SCENARIOS.map(({ name }) => name)).size, SCENARIOS.length);
  for (const { name, caller, callee = '', held } of SCENARIOS) {
    const pauses = [caller, callee].some(
      (file) => file !== '' && read(join(FOLDER, file)).includes('<pause/>'),
    );
    t.ok(pauses || !held, `${name} pauses where it is held`);
  }
});

t.test('scenarios.md lists every scenario with its files and its status', async (t) => {
  const rows = [...read('docs/guides/scenarios.md').matchAll(/^\| `([a-z0-9-]+)` +\|(.*)\|$/gm)];
  t.same(
    rows.map(([, name]) => name),
    SCENARIOS.map(({ name }) => name),
  );
  for (const [, name = '', cells = ''] of rows) {
    const { caller, callee, status, command } = scenarioNamed(name);
    const [, calling = '', called = '', final = ''] = cells.split('|').map((cell) => cell.trim());
    t.same(
      [calling, called, final],
      [`\`${caller}\``, callee === undefined ? '' : `\`${callee}\``, String(status)],
      name,
    );
    t.equal(/API/.test(cells), command !== undefined, `${name}: whether the API has to act`);
  }
});

t.test('a scenario is found by its name, and by the short one', async (t) => {
  t.equal(scenarioNamed('inbound').name, 'inbound-answered');
  t.equal(scenarioNamed('outbound').name, 'outbound-answered');
  t.equal(scenarioNamed('inbound-busy').status, 486);
  t.throws(
    () => scenarioNamed('nothing'),
    /no scenario is named nothing; there are inbound, outbound, inbound-answered,/,
  );
});
