import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { freePort } from '../../control-plane/src/cli/ports.js';
import type { RunReport } from '../../sipp-scenarios/load/report.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, startStack } from '../harness/stack.js';

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `npm run load` without npm. */
function load(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const file = join(ROOT, 'dist/sipp-scenarios/load/main.js');
    execFile(process.execPath, [file, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'retell-proxy-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function reportIn(file: string): Promise<RunReport> {
  return JSON.parse(await readFile(file, 'utf8'));
}

const SHORT = ['--rate', '20', '--duration', '3', '--warm-up', '1', '--pairs', '1', '--hold', '300ms'];

t.test('a run starts what it needs, and all that it placed was answered and recorded', async (t) => {
  const folder = await temporaryFolder(t);
  const [json, html] = [join(folder, 'load.json'), join(folder, 'load.html')];
  const { code, stdout, stderr } = await load(...SHORT, '--json', json, '--html', html);
  t.equal(code, 0, stderr);
  const { totals, settled, steady, samples, problems, machine } = await reportIn(json);
  t.ok(totals.placed >= 40, `${totals.placed} calls`);
  t.match(totals, { completed: totals.placed, failed: 0, unfinished: 0 });
  t.match(settled, { calls: totals.placed, records: totals.placed, dialogsLeft: 0 });
  t.same(problems, []);
  t.ok(steady.attempts > 0 && steady.srdMs !== null, 'the steady window has its figures');
  t.ok(machine.kamailio);
  for (const part of ['Kamailio', 'control plane', 'Redis', 'SIPp caller', 'SIPp callee']) {
    t.ok(
      samples.some(({ parts }) => (parts[part]?.rssBytes ?? 0) > 0),
      `${part} is watched`,
    );
  }
  t.ok(samples.some(({ proxy, redis }) => proxy !== null && redis !== null));
  t.match(stdout, new RegExp(`\\| ${totals.placed} of ${totals.placed}`));
  t.match(stdout, /Result: fine\./);
  t.match(await readFile(html, 'utf8'), /<svg[\s\S]*Session request delay/);
});

t.test('a mix plays every scenario on its own number, and commands what waits for that', async (t) => {
  const folder = await temporaryFolder(t);
  const [file, json] = [join(folder, 'mix.yaml'), join(folder, 'load.json')];
  await writeFile(
    file,
    `calls:
  - { scenario: inbound-answered, share: 1, length: { mean_s: 0.5, distribution: exponential } }
  - { scenario: inbound-busy, share: 1 }
  - { scenario: inbound-cancelled, share: 1 }
  - { scenario: inbound-api-hangs-up, share: 1 }
  - { scenario: outbound-answered, share: 1 }
`,
  );
  const { code, stderr } = await load(...SHORT, '--mix', file, '--json', json);
  t.equal(code, 0, stderr);
  const { entries, totals, settled, commands } = await reportIn(json);
  t.equal(entries.length, 5);
  for (const { scenario, placed, completed } of entries) {
    t.ok(placed > 0, scenario);
    t.equal(completed, placed, scenario);
  }
  t.match(settled, { records: totals.placed, dialogsLeft: 0 });
  t.equal(commands?.taken, entries.find(({ scenario }) => scenario === 'inbound-api-hangs-up')?.placed);
});

t.test('a stack that runs already is called, and calls that it refuses make the run fail', async (t) => {
  const port = await freePort(RETELL_HOST);
  const { sip, api } = await startStack(t, { gateways: [{ uri: `sip:${RETELL_HOST}:${port}` }] });
  const folder = await temporaryFolder(t);
  const json = join(folder, 'load.json');
  const target = [
    ...SHORT,
    ...['--target', `${sip.host}:${sip.port}`, '--caller-address', CARRIER_HOST],
    ...['--callee-listen', `${RETELL_HOST}:${port}`, '--api', api.url, '--token', api.tokens.reader ?? ''],
    ...['--json', json],
  ];
  const fine = await load(...target, '--number', NUMBER);
  t.equal(fine.code, 0, fine.stderr);
  t.notMatch(fine.stdout, api.tokens.reader ?? '', 'the token stays secret');
  const { totals, settled } = await reportIn(json);
  t.match(settled, { records: totals.placed, dialogsLeft: 0 });

  const refused = await load(...target, '--number', '+14155550177', '--max-srd-p99', '0ms');
  t.equal(refused.code, 1, refused.stderr);
  const report = await reportIn(json);
  t.equal(report.totals.failed, report.totals.placed);
  t.equal(report.settled.records, report.totals.placed, 'those have their records too');
  t.match(report.problems, [/^100 % of the calls failed/, /SRD/]);
  t.match(refused.stdout, /NOT fine/);
});

t.test('bad usage is told with the option and what to write, and is exit code 2', async (t) => {
  const bad: [args: string[], message: RegExp][] = [
    [['--rate', 'fast'], /--rate .*a number over 0/],
    [['--scenario', 'nope'], /--scenario .*there are inbound, outbound/],
    [['--callee-listen', '127.0.0.1:5080'], /--callee-listen is for a stack that runs already/],
    [['--mix', '/does/not/exist.yaml'], /exist\.yaml cannot be read/],
    [['--chaos', '--duration', '10'], /--chaos needs a --duration or --soak of at least/],
    [['--find-max', '--soak', '1m'], /--find-max and --soak are two runs/],
  ];
  const ran = await Promise.all(bad.map(([args]) => load(...args)));
  for (const [i, [args, message]] of bad.entries()) {
    t.equal(ran[i]?.code, 2, args.join(' '));
    t.match(ran[i]?.stderr, message);
  }
});

t.test('the scenarios are listed', async (t) => {
  const { code, stdout } = await load('--list');
  t.equal(code, 0);
  t.match(stdout, /^inbound-answered +a carrier calls/m);
});
