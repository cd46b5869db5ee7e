import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { acme, minimal, number, secret } from '../harness/configurations.js';

const directory = await mkdtemp(join(tmpdir(), 'config-check-test-'));
t.teardown(() => rm(directory, { recursive: true }));

interface Result {
  code: number | string | null | undefined;
  stdout: string;
  stderr: string;
}

/** Runs the command in the directory of the tests. */
function check(args: string[], env: Record<string, string> = {}): Promise<Result> {
  const program = join(ROOT, 'dist/control-plane/src/cli/main.js');
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, 'config-check', ...args],
      { cwd: directory, env: { PATH: process.env.PATH, API_TOKEN: secret, ...env } },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
}

async function configuration(name: string, sections: Record<string, unknown>): Promise<string> {
  await writeFile(join(directory, name), stringify(minimal(sections)));
  return name;
}

t.test('a right configuration: one line that says what it holds, exit code 0', async (t) => {
  const file = await configuration('right.yaml', { numbers: [number({})], carriers: [acme({})] });
  t.same(await check([file]), {
    code: 0,
    stdout:
      'right.yaml is right: 1 carrier, 1 number, 1 Retell gateway, 2 SIP sockets, 1 node, 1 API token\n',
    stderr: '',
  });
});

t.test('a wrong configuration: a line for each problem, files included, exit code 2', async (t) => {
  const file = await configuration('wrong.yaml', {
    sip: {
      listen: ['udp:0.0.0.0:5060', 'tls:0.0.0.0:5061'],
      tls: { certificate: '/nowhere/cert.pem', private_key: '/nowhere/key.pem', ca: '/nowhere/ca.pem' },
    },
    carriers: [acme({ gateways: undefined, prefixes: ['1'] })],
  });
  t.same(await check([file]), {
    code: 2,
    stdout: '',
    stderr: [
      'carriers[0].gateways: is missing; add it, like gateways: [{uri: "sip:198.51.100.10"}]',
      'carriers[0].prefixes[0]: "1" is not a prefix; write + and up to 15 digits, in quotes, like "+1", or "+" alone for every number',
      'sip.tls.certificate: "/nowhere/cert.pem" does not exist; check the path',
      'sip.tls.private_key: the file does not exist; check the path',
      'sip.tls.ca: "/nowhere/ca.pem" does not exist; check the path',
      '',
    ].join('\n'),
  });
});

t.test('without an argument it is the file that CONFIG_FILE names, else config.yaml', async (t) => {
  await configuration('named.yaml', {});
  t.match(await check([], { CONFIG_FILE: 'named.yaml' }), { code: 0, stdout: /^named\.yaml is right: / });
  t.match(await check([]), { code: 1, stderr: 'there is no config.yaml here, and CONFIG_FILE is not set\n' });
  await configuration('config.yaml', {});
  t.match(await check([]), { code: 0, stdout: /^config\.yaml is right: / });
});

t.test('a file that is not there: exit code 2', async (t) => {
  t.match(await check(['nowhere.yaml']), {
    code: 2,
    stderr: /^there is no configuration file nowhere\.yaml; /,
  });
});
