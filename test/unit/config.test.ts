import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { ConfigError, type ConfigProblem } from '../../control-plane/src/config/errors.js';
import { loadConfig, parseConfig } from '../../control-plane/src/config/load.js';
import { type Config, ConfigSchema, type SchemaNode } from '../../control-plane/src/config/schema.js';

const root = new URL('../../../', import.meta.url);
const secret = 'canary-0123456789abcdef';
const env = { API_TOKEN: secret, KAMAILIO_RPC_TOKEN: 'rpc-0123456789abcdef' };

// Texts with ${NAME} in them, as the file has them.
const tokenReference = `\${API_TOKEN}`;

/** The least that a configuration needs, with sections replaced or added. */
function minimal(sections: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    sip: { listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060'] },
    retell: { gateways: [{ uri: 'sip:sip.retellai.com' }] },
    api: { tokens: [{ name: 'ops', token: tokenReference, scopes: ['read'] }] },
    ...sections,
  };
}

function load(sections: Record<string, unknown> = {}, variables: Record<string, string> = env): Config {
  return parseConfig(stringify(minimal(sections)), variables);
}

function problemsOf(text: string, variables: Record<string, string> = env): ConfigProblem[] {
  try {
    parseConfig(text, variables);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

/** The problems of the least configuration with `sections`, as lines. */
function lines(sections: Record<string, unknown>, variables: Record<string, string> = env): string[] {
  return problemsOf(stringify(minimal(sections)), variables).map(
    ({ path, message }) => `${path}: ${message}`,
  );
}

/** A carrier with these networks. */
function carrier(name: string, ...networks: string[]): Record<string, unknown> {
  return { name, networks };
}

function api(overrides: Record<string, unknown>): Record<string, unknown> {
  return { tokens: [{ name: 'ops', token: tokenReference, scopes: ['read'] }], ...overrides };
}

function token(overrides: Record<string, unknown>): Record<string, unknown> {
  return { api: api({ tokens: [{ name: 'ops', token: tokenReference, scopes: ['read'], ...overrides }] }) };
}

t.test('defaults', async (t) => {
  t.test('fill in every key that may be left out', async (t) => {
    const { sip, ...config } = load();
    t.same(config, {
      retell: {
        gateways: [{ uri: 'sip:sip.retellai.com', weight: 1, priority: 1 }],
        networks: [
          '18.98.16.120/30',
          '3.42.144.0/23',
          '153.57.128.0/18',
          '143.223.88.0/21',
          '161.115.160.0/19',
        ],
      },
      numbers: [],
      carriers: [],
      calls: { max_duration_s: 7200, ring_timeout_s: 120, hangup_timeout_ms: 5000, retention_days: 7 },
      api: { listen: '127.0.0.1:8080', tokens: [{ name: 'ops', token: secret, scopes: ['read'] }] },
      kamailio: {
        nodes: [{ name: 'node1', rpc_url: 'http://127.0.0.1:8088/RPC' }],
        shared_memory_mb: 256,
      },
      log: { level: 'info' },
    });
    t.ok(sip.workers >= 4 && sip.workers <= 32, 'the number of workers follows the machine, within bounds');
  });

  t.test('leave what the file says alone', async (t) => {
    const config = load({ calls: { ring_timeout_s: 30 }, log: { level: 'debug' } });
    t.equal(config.calls.ring_timeout_s, 30);
    t.equal(config.calls.max_duration_s, 7200);
    t.equal(config.log.level, 'debug');
  });

  t.test('take the place of a key with nothing after it', async (t) => {
    const config = load({ calls: null, log: { level: null }, redis: null });
    t.equal(config.calls.max_duration_s, 7200);
    t.equal(config.log.level, 'info');
    t.notOk('redis' in config, 'a section that is optional as a whole stays away');
  });

  t.test('are not shared between two configurations', async (t) => {
    load().kamailio.nodes.pop();
    t.equal(load().kamailio.nodes.length, 1);
  });
});

t.test('environment', async (t) => {
  t.test('variables are filled in, alone and inside a text', async (t) => {
    const config = load(
      { redis: { url: `redis://:\${PASSWORD}@\${HOST:-127.0.0.1}:6379` } },
      { ...env, PASSWORD: 'pw' },
    );
    t.equal(config.redis?.url, 'redis://:pw@127.0.0.1:6379');
  });

  t.test('a default holds for a variable that is unset or empty', async (t) => {
    const sections = { api: api({ listen: `\${LISTEN:-127.0.0.1:9000}` }) };
    t.equal(load(sections).api.listen, '127.0.0.1:9000');
    t.equal(load(sections, { ...env, LISTEN: '' }).api.listen, '127.0.0.1:9000');
    t.equal(load(sections, { ...env, LISTEN: '[::1]:9001' }).api.listen, '[::1]:9001');
  });

  t.test('a whole number may come from a variable', async (t) => {
    const sections = { calls: { ring_timeout_s: `\${RING}` } };
    t.equal(load(sections, { ...env, RING: '45' }).calls.ring_timeout_s, 45);
    t.match(lines(sections, { ...env, RING: '45s' }), [/^calls\.ring_timeout_s: .* is not a whole number/]);
    t.match(lines({ calls: { ring_timeout_s: '45' } }), [
      /^calls\.ring_timeout_s: "45" is not a whole number/,
    ]);
  });

  t.test('a value cannot add YAML', async (t) => {
    const found = lines({ log: { level: `\${LEVEL}` } }, { ...env, LEVEL: 'info\ncarriers: []' });
    t.match(found, [/^log\.level: /]);
  });

  t.test('a value is not searched for further variables', async (t) => {
    const config = load(
      { redis: { url: `redis://:\${PASSWORD}@127.0.0.1` } },
      { ...env, PASSWORD: `\${API_TOKEN}` },
    );
    t.notMatch(config.redis?.url, secret);
  });

  t.test('$${ stands for a plain ${', async (t) => {
    t.same(lines({ log: { level: `$\${API_TOKEN}` } }), [
      `log.level: "\${API_TOKEN}" is not known here; write one of trace, debug, info, warn, error, fatal`,
    ]);
  });

  t.test('every missing variable is named with the key that wants it, and once', async (t) => {
    t.same(lines({ log: { level: `\${LEVEL}` } }, {}), [
      'api.tokens[0].token: the environment variable API_TOKEN is not set; set it',
      `log.level: the environment variable LEVEL is not set; set it, or write \${LEVEL:-default}`,
    ]);
  });

  t.test('two keys that want one missing variable are not also called the same', async (t) => {
    const tokens = ['a', 'b'].map((name) => ({ name, token: `\${NOPE}`, scopes: ['read'] }));
    t.match(lines({ api: { tokens } }), [/NOPE is not set/, /NOPE is not set/]);
  });

  for (const text of [`\${`, `\${}`, `\${1ST}`, `\${NAME-default}`, `\${NAME`]) {
    t.test(`${text} is refused`, async (t) => {
      t.match(lines({ sip: { listen: ['udp:0.0.0.0:5060'], advertise: text } }), [
        /^sip\.advertise: has a \$\{ that names no variable; write \$\{NAME\}, \$\{NAME:-default\}, or \$\$\{/,
      ]);
    });
  }
});

t.test('the file itself', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'config-test-'));
  t.teardown(() => rm(directory, { recursive: true }));

  t.test('is read', async (t) => {
    const file = join(directory, 'config.yaml');
    await writeFile(file, stringify(minimal()));
    t.equal((await loadConfig(file, env)).api.listen, '127.0.0.1:8080');
  });

  t.test('missing', async (t) => {
    await t.rejects(loadConfig(join(directory, 'nowhere.yaml'), env), {
      name: 'ConfigError',
      message:
        /^there is no configuration file .*nowhere\.yaml; copy config\.example\.yaml there or set CONFIG_FILE$/,
    });
  });

  t.test('a directory', async (t) => {
    await t.rejects(loadConfig(directory, env), { name: 'ConfigError', message: /is a directory; give/ });
  });

  t.test('empty: every section that has to be there is named, with what to write', async (t) => {
    const problems = problemsOf('# nothing yet\n');
    t.same(
      problems.map(({ path }) => path),
      ['sip', 'retell', 'api'],
    );
    t.equal(
      problems[0]?.message,
      'is missing; add it, like sip: {listen: ["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"]}',
    );
    const sections = problems.map(({ message }) => message.replace(/^is missing; add it, like /, ''));
    t.doesNotThrow(() => parseConfig(sections.join('\n'), env), 'what the messages say to write is enough');
  });

  t.test('not a mapping', async (t) => {
    t.match(problemsOf('- a\n- b\n'), [
      { path: '', message: /^the file is a list, not a section with keys; / },
    ]);
  });

  const broken: [string, string, RegExp][] = [
    ['a bracket that is not closed', 'log:\n  level: [info\n', /^line 3, column 1: not valid YAML/],
    [
      'a variable without quotes in braces',
      `log: {level: \${X}}\n`,
      /^line 1, column 15: .*\$\{NAME\} needs quotes/,
    ],
    ['a tab', 'log:\n\tlevel: info\n', /^line 2, column 1: a tab as indentation; use spaces$/],
    [
      'a key that is there twice',
      'log: {}\nlog: {}\n',
      /^line 2, column 1: this key is in its section twice/,
    ],
    ['an alias', 'sip: &all [*all]\n', /^line 1, column 12: aliases \(\*name\) are not supported/],
    ['a tag', 'sip: !ENV x\n', /^line 1, column 6: YAML tags \(!name\) are not supported/],
    ['a second document', 'log: {}\n---\nlog: {}\n', /^line 2, column 1: a second document begins here/],
    ['a character that wants quotes', 'log: {level: @x}\n', /^line 1, column 14: .*put the value in quotes$/],
    ['an escape that is none', 'log: {level: "a\\q"}\n', /^line 1, column 16: unknown \\ escape/],
    ['brackets without end', '['.repeat(20_000), /nested too deeply; close/],
  ];
  for (const [name, text, message] of broken) {
    t.test(`${name}: line, column and what to do`, async (t) => {
      t.match(problemsOf(text)[0], { path: '', message });
    });
  }
});

/** Sections that have one problem, and its line. */
const single: [name: string, sections: Record<string, unknown>, line: string][] = [
  [
    'an unknown key that is close to a known one',
    { calls: { ring_timeout: 5 } },
    'calls.ring_timeout: is not a known key; did you mean ring_timeout_s?',
  ],
  [
    'an unknown key that is close to none',
    { log: { colour: 'green' } },
    'log.colour: is not a known key; leave it out (known here: level)',
  ],
  [
    'a colon without a space',
    { log: { 'level:info': null } },
    'log["level…"]: is not a known key; put a space after the colon',
  ],
  [
    'text where a list belongs',
    { sip: { listen: 'udp:0.0.0.0:5060' } },
    'sip.listen: is text, not a list; write it like ["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"]',
  ],
  [
    'a list where a section belongs',
    { log: [] },
    'log: is a list, not a section with keys; write it like {level: "info"}',
  ],
  [
    'an empty entry of a list',
    { carriers: [null] },
    'carriers[0]: is empty, not a section with keys; write it like {name: "acme", networks: ["198.51.100.0/24"]}',
  ],
  [
    'an empty list',
    { sip: { listen: [] } },
    'sip.listen: is an empty list; give at least one, like ["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"]',
  ],
  [
    'a list with too many entries',
    { retell: { gateways: Array.from({ length: 65 }, (_, n) => ({ uri: `sip:g${n}.example.com` })) } },
    'retell.gateways: has 65 entries; at most 64 are allowed',
  ],
  [
    'a number out of range',
    { sip: { listen: ['udp:0.0.0.0:5060'], workers: 0 } },
    `sip.workers: 0 is not a whole number from 1 to 128 (processes); write it like ${load().sip.workers}`,
  ],
  [
    'a fraction',
    { calls: { hangup_timeout_ms: 1500.5 } },
    'calls.hangup_timeout_ms: 1500.5 is not a whole number from 100 to 60000 (ms); write it like 5000',
  ],
  [
    'a listen address without a transport',
    { sip: { listen: ['0.0.0.0:5060'] } },
    'sip.listen[0]: "0.0.0.0:5060" is not transport:address:port with an IP address; write it like udp:0.0.0.0:5060 or tcp:[::1]:5060',
  ],
  [
    'a listen address with a name',
    { sip: { listen: ['udp:sip.example.com:5060'] } },
    'sip.listen[0]: "udp:sip.example.com:5060" is not transport:address:port with an IP address; write it like udp:0.0.0.0:5060 or tcp:[::1]:5060',
  ],
  [
    'TLS, which comes later',
    { sip: { listen: ['tls:0.0.0.0:5061'] } },
    'sip.listen[0]: "tls:0.0.0.0:5061" wants tls, which is not supported yet; use udp or tcp',
  ],
  [
    'a port out of range',
    { sip: { listen: ['udp:0.0.0.0:70000'] } },
    'sip.listen[0]: "udp:0.0.0.0:70000" has a port out of range; ports go from 1 to 65535',
  ],
  [
    'one socket twice',
    { sip: { listen: ['udp:[::1]:5060', 'udp:[0:0::1]:5060'] } },
    'sip.listen[1]: "udp:[0:0::1]:5060" is the same as sip.listen[0]; leave one out',
  ],
  [
    'an advertised address that is none',
    { sip: { listen: ['udp:0.0.0.0:5060'], advertise: 'sip.example.com:x' } },
    'sip.advertise: "sip.example.com:x" is not a name or address; write it like sip.example.com, 203.0.113.5:5060 or [2001:db8::5]',
  ],
  [
    'an advertised wildcard',
    { sip: { listen: ['udp:0.0.0.0:5060'], advertise: '0.0.0.0' } },
    'sip.advertise: "0.0.0.0" is not an address that others can send to; write the public name or address',
  ],
  [
    'a gateway that is no SIP URI',
    { retell: { gateways: [{ uri: 'sip.example.com' }] } },
    'retell.gateways[0].uri: "sip.example.com" is not a SIP URI; write it like sip:sip.example.com;transport=tcp',
  ],
  [
    'a gateway address with a mistake',
    { retell: { gateways: [{ uri: 'sip:198.51.100.300' }] } },
    'retell.gateways[0].uri: "sip:198.51.100.300" is not a SIP URI with a host; write it like sip:sip.example.com;transport=tcp',
  ],
  [
    'a sips gateway, which comes later',
    { retell: { gateways: [{ uri: 'sips:sip.example.com' }] } },
    'retell.gateways[0].uri: "sips:sip.example.com" is a sips URI, and TLS is not supported yet; use sip: with ;transport=udp or ;transport=tcp',
  ],
  [
    'a gateway over TLS, which comes later',
    { retell: { gateways: [{ uri: 'sip:sip.example.com;transport=tls' }] } },
    'retell.gateways[0].uri: "sip:sip.example.com;transport=tls" wants TLS, which is not supported yet; use ;transport=udp or ;transport=tcp',
  ],
  [
    'a gateway with a user part, which is not shown',
    { retell: { gateways: [{ uri: 'sip:user:password@sip.example.com' }] } },
    'retell.gateways[0].uri: "sip:***@sip.example.com" has a user part, which a gateway does not have; write it like sip:sip.example.com;transport=tcp',
  ],
  [
    'a gateway with other parameters',
    { retell: { gateways: [{ uri: 'sip:sip.example.com;lr' }] } },
    'retell.gateways[0].uri: "sip:sip.example.com;lr" has parameters other than ;transport=udp or ;transport=tcp; leave the others out',
  ],
  [
    'one gateway twice',
    { retell: { gateways: [{ uri: 'sip:a.example.com' }, { uri: 'sip:A.example.com;transport=udp' }] } },
    'retell.gateways[1].uri: "sip:A.example.com;transport=udp" is the same as retell.gateways[0].uri; leave one out, and use weight to give it more calls',
  ],
  [
    'a number without quotes',
    { numbers: [{ number: 14155550100 }] },
    'numbers[0].number: 14155550100 is a number, not text; put it in quotes, like "+14155550100"',
  ],
  [
    'a number without its country code',
    { numbers: [{ number: '4155550100' }] },
    'numbers[0].number: "4155550100" is not an E.164 number; write + and the country code, 7 to 15 digits, in quotes, like "+14155550100"',
  ],
  [
    'a method that comes later',
    { numbers: [{ number: '+14155550100', method: 'register' }] },
    'numbers[0].method: "register" is not known here; write trunk',
  ],
  [
    'one number twice',
    { numbers: [{ number: '+14155550100' }, { number: '+14155550100' }] },
    'numbers[1].number: "+14155550100" is the same as numbers[0].number; leave one out',
  ],
  [
    'a carrier without networks',
    { carriers: [{ name: 'acme' }] },
    'carriers[0].networks: is missing; add it, like networks: ["198.51.100.0/24"]',
  ],
  [
    'a name that cannot be one',
    { carriers: [carrier('Acme Inc', '198.51.100.0/24')] },
    'carriers[0].name: "Acme Inc" is not a name; use 1 to 32 lower-case letters, digits, - and _, and begin with a letter or digit',
  ],
  [
    'one carrier name twice',
    { carriers: [carrier('acme', '198.51.100.0/24'), carrier('acme', '203.0.113.0/24')] },
    'carriers[1].name: "acme" is the same as carriers[0].name; give each carrier a name of its own',
  ],
  [
    'a network that is none',
    { carriers: [carrier('acme', '198.51.100.0/24', '10.0.0.0/33')] },
    'carriers[0].networks[1]: "10.0.0.0/33" is not a CIDR network; write it like 198.51.100.0/24',
  ],
  [
    'a network with address bits',
    { carriers: [carrier('acme', '198.51.100.7/24')] },
    'carriers[0].networks[0]: "198.51.100.7/24" has address bits beyond /24; write 198.51.100.0/24 for the network or 198.51.100.7 for the one address',
  ],
  [
    'an IPv6 network with address bits',
    { carriers: [carrier('acme', '2001:db8::1/32')] },
    'carriers[0].networks[0]: "2001:db8::1/32" has address bits beyond /32; write 2001:db8::/32 for the network or 2001:db8::1 for the one address',
  ],
  [
    'IPv4 in the clothes of IPv6',
    { carriers: [carrier('acme', '::ffff:198.51.100.7')] },
    'carriers[0].networks[0]: "::ffff:198.51.100.7" is IPv4 written as IPv6; write it as IPv4, like 198.51.100.0/24',
  ],
  [
    'a network that is everybody',
    { carriers: [carrier('acme', '::/0')] },
    'carriers[0].networks[0]: "::/0" is the whole internet; write only the networks that really send calls',
  ],
  [
    'one network in two carriers',
    { carriers: [carrier('acme', '198.51.100.0/24'), carrier('globex', '198.51.100.0/24')] },
    'carriers[1].networks[0]: "198.51.100.0/24" overlaps carriers[0].networks[0] ("198.51.100.0/24"); each address can belong to only one of them, so take it out of one',
  ],
  [
    'an address of one carrier inside the network of a later one',
    { carriers: [carrier('acme', '203.0.113.1', '198.51.100.9'), carrier('globex', '198.51.100.0/24')] },
    'carriers[1].networks[0]: "198.51.100.0/24" overlaps carriers[0].networks[1] ("198.51.100.9"); each address can belong to only one of them, so take it out of one',
  ],
  [
    "a carrier in one of Retell's default networks",
    { carriers: [carrier('acme', '3.42.145.7')] },
    'carriers[0].networks[0]: "3.42.145.7" overlaps retell.networks[1] ("3.42.144.0/23"); each address can belong to only one of them, so take it out of one',
  ],
  [
    'an API address that is none',
    { api: api({ listen: '::1:8080' }) },
    'api.listen: "::1:8080" is not host:port; write it like 127.0.0.1:8080 or [::1]:8080',
  ],
  [
    'an API without tokens',
    { api: { tokens: [] } },
    `api.tokens: is an empty list; give at least one, like [{name: "ops", token: "\${API_TOKEN}", scopes: ["read", "control", "admin"]}]`,
  ],
  [
    'a token without scopes',
    token({ scopes: [] }),
    'api.tokens[0].scopes: is an empty list; give at least one, like ["read", "control", "admin"]',
  ],
  [
    'a scope that is none',
    token({ scopes: ['read', 'contrl'] }),
    'api.tokens[0].scopes[1]: "contrl" is not known here; write control',
  ],
  [
    'a scope twice',
    token({ scopes: ['read', 'read'] }),
    'api.tokens[0].scopes: names one entry twice; leave one out',
  ],
  [
    'a token that is too short',
    token({ token: '0123456789abcde' }),
    'api.tokens[0].token: this value is not a usable token; write 16 to 512 letters, digits and - . _ ~ + / without spaces or line ends (openssl rand -hex 32 makes a good one)',
  ],
  [
    'a token that YAML reads as a number',
    token({ token: 1234567890123456 }),
    'api.tokens[0].token: this value is a number, not text; put it in quotes',
  ],
  [
    'one token twice',
    {
      api: api({
        tokens: ['a', 'b'].map((name) => ({ name, token: tokenReference, scopes: ['read'] })),
      }),
    },
    'api.tokens[1].token: this value is the same as api.tokens[0].token; give each caller a token of its own',
  ],
  [
    'a gateway over a transport that has no socket',
    {
      sip: { listen: ['udp:127.0.0.1:5060'] },
      retell: { gateways: [{ uri: 'sip:sip.retellai.com;transport=tcp' }] },
    },
    'retell.gateways[0].uri: "sip:sip.retellai.com;transport=tcp" is reached over tcp, and sip.listen has no tcp socket; add one, like tcp:0.0.0.0:5060',
  ],
  [
    'a Redis URL that is none',
    { redis: { url: 'http://user:password@127.0.0.1' } },
    'redis.url: this value is not a Redis URL without TLS and user name; write it like redis://127.0.0.1:6379 or redis://:password@redis.example.com:6379/0',
  ],
  [
    'an RPC address over https',
    { kamailio: { nodes: [{ name: 'a', rpc_url: 'https://127.0.0.1:8088/RPC' }] } },
    'kamailio.nodes[0].rpc_url: "https://127.0.0.1:8088/RPC" is https, and Kamailio answers here over http only; write it like http://127.0.0.1:8088/RPC',
  ],
  [
    'an RPC address with another path, its query not shown',
    { kamailio: { nodes: [{ name: 'a', rpc_url: 'http://127.0.0.1:8088/rpc?key=secret' }] } },
    'kamailio.nodes[0].rpc_url: "http://127.0.0.1:8088/rpc?***" does not end in /RPC; write it like http://127.0.0.1:8088/RPC',
  ],
  [
    'an RPC address with a password, which is not shown',
    { kamailio: { nodes: [{ name: 'a', rpc_url: 'http://user:password@127.0.0.1:8088/RPC' }] } },
    'kamailio.nodes[0].rpc_url: "http://***@127.0.0.1:8088/RPC" has a user or password in it; leave them out and set rpc_token',
  ],
  [
    'one RPC address for two nodes',
    {
      kamailio: {
        nodes: [
          { name: 'a', rpc_url: 'http://127.0.0.1:8088/RPC' },
          { name: 'b', rpc_url: 'http://localhost:8088/RPC' },
        ],
      },
    },
    'kamailio.nodes[1].rpc_url: "http://localhost:8088/RPC" is the same as kamailio.nodes[0].rpc_url; give each node its own address',
  ],
  [
    'an RPC port that is a SIP port',
    { kamailio: { nodes: [{ name: 'a', rpc_url: 'http://127.0.0.1:5060/RPC' }] } },
    'kamailio.nodes[0].rpc_url: port 5060 is also that of sip.listen[1] ("0.0.0.0:5060"); give one of them another port',
  ],
  [
    'an RPC port that is the port of the API',
    { kamailio: { nodes: [{ name: 'a', rpc_url: 'http://localhost:8080/RPC' }] } },
    'kamailio.nodes[0].rpc_url: port 8080 is also that of api.listen ("127.0.0.1:8080"); give one of them another port',
  ],
  [
    'an API port that is a SIP port',
    { api: api({ listen: '127.0.0.1:5060' }) },
    'api.listen: port 5060 is also that of sip.listen[1] ("0.0.0.0:5060"); give one of them another port',
  ],
  [
    'a log level with a typing error',
    { log: { level: 'inof' } },
    'log.level: "inof" is not known here; write info',
  ],
];

t.test('each problem is named with its path and its fix:', async (t) => {
  for (const [name, sections, line] of single) {
    t.test(name, async (t) => {
      t.same(lines(sections), [line]);
    });
  }
});

t.test('accepted:', async (t) => {
  const accepted: [string, Record<string, unknown>][] = [
    ['a wildcard without advertise', { sip: { listen: ['udp:0.0.0.0:5060'] } }],
    [
      'one port for udp and tcp, IPv4 and IPv6',
      { sip: { listen: ['udp:[::]:5060', 'udp:0.0.0.0:5060', 'tcp:[::]:5060'] } },
    ],
    [
      'an RPC port that only a UDP socket has',
      {
        sip: { listen: ['udp:0.0.0.0:5060'] },
        kamailio: { nodes: [{ name: 'a', rpc_url: 'http://127.0.0.1:5060/RPC' }] },
      },
    ],
    [
      'one port on two addresses',
      {
        sip: { listen: ['tcp:192.0.2.1:5060', 'udp:192.0.2.1:5060'] },
        kamailio: { nodes: [{ name: 'a', rpc_url: 'http://127.0.0.1:5060/RPC' }] },
      },
    ],
    [
      'an advertised IPv6 address with a port',
      { sip: { listen: ['udp:[::1]:5060'], advertise: '[2001:db8::5]:5070' } },
    ],
    [
      'gateways that differ in port or transport only',
      {
        retell: {
          gateways: [
            'sip:a.example.com',
            'sip:a.example.com:5070',
            'sip:a.example.com;transport=tcp',
            'sip:[2001:db8::1]:5060',
          ].map((uri) => ({ uri })),
        },
      },
    ],
    [
      'networks side by side, one inside another of the same carrier',
      {
        carriers: [
          carrier('acme', '198.51.100.0/25', '198.51.100.7', '2001:db8::/48'),
          carrier('globex', '198.51.100.128/25', '2001:db8:1::/48', '203.0.113.9'),
        ],
      },
    ],
    [
      'the shortest and the longest number',
      { numbers: [{ number: '+1555010' }, { number: '+155501005550100' }] },
    ],
    ['a Redis with password, TLS and database', { redis: { url: `redis://:pw@redis.example.com:6380/1` } }],
  ];
  for (const [name, sections] of accepted) {
    t.test(name, async (t) => {
      t.same(lines(sections), []);
    });
  }
});

t.test('all problems are reported at once, of every kind, one line each', async (t) => {
  const text = stringify({
    sip: { lisen: [], workers: 'many' },
    retell: { gateways: [{ uri: 'sips:sip.example.com' }] },
    numbers: [{ number: '+14155550100' }, { number: 1 }, { number: '+14155550100' }],
    carriers: [carrier('acme', '198.51.100.0/24'), carrier('Globex', '198.51.100.9', '10.0.0.0/33')],
    api: { tokens: [{ name: 'ops', token: `\${NOPE}`, scopes: ['read'] }] },
    kamailio: { nodes: [{ name: 'a', rpc_url: 'http://127.0.0.1:8080/RPC' }] },
  });
  t.throws(() => parseConfig(text, {}), ConfigError);
  const problems = problemsOf(text, {});
  t.same(problems.map(({ path }) => path).sort(), [
    'api.tokens[0].token',
    'carriers[1].name',
    'carriers[1].networks[0]',
    'carriers[1].networks[1]',
    'kamailio.nodes[0].rpc_url',
    'numbers[1].number',
    'numbers[2].number',
    'retell.gateways[0].uri',
    'sip.lisen',
    'sip.listen',
    'sip.workers',
  ]);
  t.equal(
    new ConfigError(problems).message,
    problems.map(({ path, message }) => `${path}: ${message}`).join('\n'),
  );
});

t.test('secrets never appear in a message', async (t) => {
  const texts = {
    'a token with a character it cannot have': stringify(minimal(token({ token: `${secret} ` }))),
    'a token in a list': stringify(minimal(token({ token: [secret] }))),
    'a token in a section': stringify(minimal(token({ token: { value: secret } }))),
    'a token from the environment at another key': stringify(minimal({ log: { level: tokenReference } })),
    'a password in a Redis URL': stringify(minimal({ redis: { url: `redis//:${secret}@127.0.0.1` } })),
    'a default of a variable': stringify(minimal(token({ token: `\${NOPE:-${secret} }` }))),
    'a token without a space after the colon': `api: {tokens: [{name: ops, token:${secret}}]}`,
    'a token behind broken YAML': `api: {tokens: [{name: ops, token: "${secret}" "${secret}"]}`,
    'a token after the end of a list': `api: {tokens: [a]} ${secret}`,
    'a token with a broken escape': `api: {tokens: "${secret}\\q"}`,
    'a token on its own': secret,
  };
  for (const [name, text] of Object.entries(texts)) {
    const problems = problemsOf(text);
    t.ok(problems.length > 0, `${name}: refused`);
    t.notMatch(JSON.stringify(problems), secret, `${name}: not shown`);
  }
});

/** Small seeded generator (mulberry32), so that a failure can be repeated. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Every place of a value, as a function that puts another value there. */
function places(value: unknown, put: (replacement: unknown) => void): ((replacement: unknown) => void)[] {
  const inside =
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, entry]) =>
          places(entry, (replacement) => {
            (value as Record<string, unknown>)[key] = replacement;
          }),
        )
      : [];
  return [put, ...inside];
}

t.test('whatever the file holds, the answer is a configuration or a ConfigError', async (t) => {
  const random = generator(20260801);
  const pick = <T>(list: T[]): T => list[Math.floor(random() * list.length)] as T;
  const noise = (): string =>
    Array.from({ length: Math.floor(random() * 12) }, () =>
      pick([...`:[]{}/@;.?%$#&*!|>'"-~ \n\t\\0195afAFxé`, '::', `\${`, '://', 'sip:', 'udp:', 'http://']),
    ).join('');
  const value = (depth = 0): unknown =>
    pick<() => unknown>([
      noise,
      noise,
      () => null,
      () => random() < 0.5,
      () => pick([0, -1, 1.5, 1e300, Number.NaN, Number.POSITIVE_INFINITY, 14155550100]),
      () => pick(['::', '0.0.0.0', `\${API_TOKEN}`, `\${NOPE}`, '__proto__', 'x'.repeat(5000), '1.2.3.4/99']),
      () => (depth > 2 ? [] : Array.from({ length: Math.floor(random() * 4) }, () => value(depth + 1))),
      () => (depth > 2 ? {} : { [pick(['name', 'networks', 'constructor', noise()])]: value(depth + 1) }),
    ])();
  const example = await readFile(new URL('config.example.yaml', root), 'utf8');
  const attempt = (text: string) => {
    try {
      for (const { path, message } of problemsOf(text)) {
        if (`${path}${message}`.includes(secret)) {
          t.fail('a secret is shown', { text, path, message });
        }
      }
    } catch (error) {
      t.fail('crashed', { text, error });
    }
  };
  const full = () => ({
    ...load({
      sip: { listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060'], advertise: 'sip.example.com' },
      numbers: [{ number: '+14155550100' }],
      carriers: [carrier('acme', '198.51.100.0/24', '2001:db8::/32')],
      redis: { url: 'redis://127.0.0.1:6379' },
      kamailio: { nodes: [{ name: 'a', rpc_url: 'http://127.0.0.1:8088/RPC', rpc_token: secret }] },
    }),
  });

  const keys = places(full(), () => {}).length;
  for (let round = 0; round < 30 * keys; round++) {
    const holder: { config: unknown } = { config: full() };
    const all = places(holder.config, (replacement) => {
      holder.config = replacement;
    });
    all[round % keys]?.(value());
    attempt(stringify(holder.config));
  }
  for (let round = 0; round < 300; round++) {
    const at = Math.floor(random() * example.length);
    attempt(example.slice(0, at) + noise() + example.slice(at + Math.floor(random() * 5)));
  }
  t.pass('no crash and no secret shown');
});

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
