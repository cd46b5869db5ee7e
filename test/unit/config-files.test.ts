import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { ConfigError } from '../../control-plane/src/config/errors.js';
import { checkFiles } from '../../control-plane/src/config/files.js';
import { loadConfig } from '../../control-plane/src/config/load.js';
import { makeAuthority, makeSelfSigned } from '../harness/certificates.js';
import { env, load, minimal } from '../harness/configurations.js';

const directory = await mkdtemp(join(tmpdir(), 'config-files-test-'));
t.teardown(() => rm(directory, { recursive: true }));
const authority = await makeAuthority(directory, 'Test CA');
const ours = await authority.issue({ name: 'sip.example.com' });
const other = await makeSelfSigned(directory, { name: 'other.example.com' });
const good = { certificate: ours.certificate, private_key: ours.key, ca: authority.certificate };

/** A file with this text. */
async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

/** A configuration whose section sip has this tls. */
function withTls(tls: Record<string, unknown>): Record<string, unknown> {
  return { sip: { listen: ['udp:0.0.0.0:5060', 'tls:0.0.0.0:5061'], tls } };
}

/** What is wrong with the files of `tls`, as lines, without the paths of this machine. */
async function fileProblems(tls: Record<string, unknown>): Promise<string[]> {
  const path = await file('config.yaml', stringify(minimal(withTls(tls))));
  try {
    await loadConfig(path, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(directory, '').split('\n');
    throw error;
  }
  return [];
}

t.test('a certificate with its key and its root is right', async (t) => {
  t.same(await fileProblems(good), []);
  t.same(await checkFiles(load(withTls(good))), []);
});

t.test('a chain with our certificate first is right', async (t) => {
  const chain = await file('chain.pem', `Subject: ours\n${ours.pem.cert}\n${authority.pem}`);
  t.same(await fileProblems({ ...good, certificate: chain }), []);
});

t.test('a relative path starts at the working directory', async (t) => {
  t.same(await fileProblems({ ...good, certificate: relative(process.cwd(), ours.certificate) }), []);
  t.same(await fileProblems({ ...good, certificate: 'nowhere.pem' }), [
    `sip.tls.certificate: "nowhere.pem" does not exist; check the path, which starts at ${process.cwd()}`,
  ]);
});

t.test('without a section tls there is nothing to read', async (t) => {
  t.same(await checkFiles(load()), []);
});

t.test('each file that cannot be used is named with its key and its fix', async (t) => {
  const garbage = await file('garbage.pem', 'not PEM at all');
  const broken = await file(
    'broken.pem',
    `${authority.pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
  );
  const label = 'ENCRYPTED PRIVATE KEY';
  const passphrase = await file('passphrase.pem', `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`);
  const cases: [name: string, tls: Record<string, unknown>, line: string][] = [
    [
      'a file that is not there',
      { ca: join(directory, 'nowhere.pem') },
      'sip.tls.ca: "/nowhere.pem" does not exist; check the path',
    ],
    [
      'a path through a file',
      { ca: join(garbage, 'ca.pem') },
      'sip.tls.ca: "/garbage.pem/ca.pem" does not exist; check the path',
    ],
    ['a directory', { ca: directory }, 'sip.tls.ca: "" is a directory; give the path of a file'],
    [
      'a certificate file without one',
      { certificate: garbage },
      'sip.tls.certificate: "/garbage.pem" holds no certificate; give a PEM file, with BEGIN CERTIFICATE in it',
    ],
    [
      'a certificate that is broken',
      { ca: broken },
      'sip.tls.ca: "/broken.pem" holds a certificate that is broken, number 2; write the file anew',
    ],
    [
      'a key file without one, whose path is not shown',
      { private_key: ours.certificate },
      'sip.tls.private_key: the file holds no private key that can be read; give a PEM file with a key and no passphrase',
    ],
    [
      'a key with a passphrase',
      { private_key: passphrase },
      'sip.tls.private_key: the file holds a key with a passphrase; take it off with openssl pkey -in OLD -out NEW',
    ],
    [
      'the key of another certificate',
      { private_key: other.key },
      'sip.tls.private_key: is not the key of the first certificate in sip.tls.certificate; give the one that it was made with, or put our own certificate first there',
    ],
  ];
  for (const [name, tls, line] of cases) {
    t.test(name, async (t) => t.same(await fileProblems({ ...good, ...tls }), [line]));
  }
});

t.test(
  'a file that this user may not read',
  { skip: process.getuid?.() === 0 && 'root reads all' },
  async (t) => {
    const path = await file('secret.pem', authority.pem);
    await chmod(path, 0);
    t.same(await fileProblems({ ...good, ca: path }), [
      'sip.tls.ca: "/secret.pem" may not be read by this user; change its owner or mode',
    ]);
  },
);

t.test('files are checked together with everything else, except those whose key is wrong', async (t) => {
  const path = await file(
    'config.yaml',
    stringify({
      ...minimal(withTls({ ...good, certificate: `\${NOPE}`, ca: '/nowhere.pem' })),
      log: { level: 'loud' },
    }),
  );
  await t.rejects(loadConfig(path, env), {
    message: [
      `sip.tls.certificate: the environment variable NOPE is not set; set it, or write \${NOPE:-default}`,
      'log.level: "loud" is not known here; write one of trace, debug, info, warn, error, fatal',
      'sip.tls.ca: "/nowhere.pem" does not exist; check the path',
    ].join('\n'),
  });
});

t.test('a path from the environment is shown as the file writes it', async (t) => {
  const path = await file('config.yaml', stringify(minimal(withTls({ ...good, ca: `\${CA}` }))));
  await t.rejects(loadConfig(path, { ...env, CA: '/nowhere.pem' }), {
    message: `sip.tls.ca: "\${CA}" does not exist; check the path`,
  });
});
