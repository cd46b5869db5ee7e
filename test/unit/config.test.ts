import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { ROOT } from '../../control-plane/src/cli/paths.js';
import { ConfigError } from '../../control-plane/src/config/errors.js';
import { loadConfig, parseConfig } from '../../control-plane/src/config/load.js';
import {
  acme,
  api,
  carrier,
  env,
  lines,
  load,
  minimal,
  number,
  problemsOf,
  retell,
  secret,
  token,
  tokenReference,
} from '../harness/configurations.js';

t.test('defaults', async (t) => {
  t.test('fill in every key that may be left out', async (t) => {
    const { sip, ...config } = load();
    t.same(config, {
      retell: {
        base_url: 'https://api.retellai.com',
        webhook_keys: [],
        webhook_networks: [],
        keep: [],
        register_timeout_ms: 2000,
        reserved_inbound: 0,
        concurrency_interval_s: 15,
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
      transfers: {
        allow: ['+'],
        deny: [],
        premium: 'denied',
        hosts: [],
        per_minute: 60,
        agents: [],
        failure_notice:
          'The transfer to {to} did not work: {reason}. Tell the caller and go on with the call.',
      },
      webhooks: [],
      calls: {
        max_duration_s: 7200,
        keepalive_s: 0,
        ring_timeout_s: 120,
        hangup_timeout_ms: 5000,
        retention_days: 7,
        reconcile_interval_s: 30,
        reaper: { stop_at_retell: 'observe', end_dialogs: 'observe', grace_s: 10 },
      },
      api: {
        listen: '127.0.0.1:8080',
        trusted_proxies: [],
        tokens: [{ name: 'ops', token: secret, scopes: ['read'] }],
      },
      kamailio: {
        nodes: [{ name: 'node1', rpc_url: 'http://127.0.0.1:8088/RPC' }],
        shared_memory_mb: 256,
      },
      log: { level: 'info', numbers: 'masked' },
      records: { file_days: 90 },
    });
    t.ok(sip.workers >= 4 && sip.workers <= 32, 'the number of workers follows the machine, within bounds');
  });

  t.test('fill in the keys of a number, a carrier, TLS and a registration', async (t) => {
    const config = load({
      sip: { listen: ['udp:0.0.0.0:5060'], tls: { certificate: 'cert.pem', private_key: 'key.pem' } },
      numbers: [number({})],
      carriers: [
        acme({
          digest: { username: 'acme-user', password: 'pw' },
          register: { registrar: 'sip:sip.acme.example.com' },
        }),
      ],
    });
    t.same(config.sip.tls, {
      certificate: 'cert.pem',
      private_key: 'key.pem',
      ca: '/etc/ssl/certs/ca-certificates.crt',
      require_client_certificate: false,
    });
    t.same(config.numbers, [{ number: '+14155550100', method: 'trunk', reject: false }]);
    t.same(config.carriers, [
      {
        name: 'acme',
        networks: ['198.51.100.0/24'],
        gateways: [{ uri: 'sip:acme.example.com', weight: 1, priority: 1 }],
        digest: { username: 'acme-user', password: 'pw' },
        register: { registrar: 'sip:sip.acme.example.com', expires_s: 600 },
        prefixes: [],
        number_format: 'e164',
        caller_id: { p_asserted_identity: 'kept', override: 'dropped' },
        transfer: {
          refer: 'accepted',
          refer_to: 'sip',
          referred_by: 'added',
          diversion: 'dropped',
          p_asserted_identity: 'dropped',
          headers: 'kept',
          timeout_s: 60,
        },
        x_headers: 'kept',
        probe: true,
      },
    ]);
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

  t.test('true or false may come from a variable', async (t) => {
    const sections = { carriers: [acme({ probe: `\${PROBE:-false}` })] };
    t.equal(load(sections).carriers[0]?.probe, false);
    t.equal(load(sections, { ...env, PROBE: 'true' }).carriers[0]?.probe, true);
    t.same(lines(sections, { ...env, PROBE: 'yes' }), [
      'carriers[0].probe: is text, not true or false; write it like true',
    ]);
  });

  t.test('variables are filled in where the names are free too', async (t) => {
    const config = load(
      {
        numbers: [
          number({
            dynamic_variables: { site: `\${SITE}` },
            metadata: { site: { names: [`\${SITE}`, 1, null, `$\${SITE}`] } },
          }),
        ],
      },
      { ...env, SITE: '7' },
    );
    t.same(config.numbers[0]?.dynamic_variables, { site: '7' });
    t.same(config.numbers[0]?.metadata, { site: { names: ['7', 1, null, `\${SITE}`] } });
  });

  t.test('a key that another one needs is there though its variable is not set', async (t) => {
    const found = lines({
      sip: { listen: ['udp:0.0.0.0:5060', 'tls:0.0.0.0:5061'], tls: `\${A}` },
      retell: retell({ api_key: `\${B}`, reserved_inbound: 1 }),
      numbers: [number({ method: 'register', agent_id: `\${C}` })],
      carriers: [acme({ digest: `\${D}`, register: { registrar: 'sip:sip.acme.example.com' } })],
    });
    t.match(found, [/A is not set/, /B is not set/, /C is not set/, /D is not set/]);
    t.equal(found.length, 4);
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

t.test('all problems are reported at once, of every kind, one line each', async (t) => {
  const text = stringify({
    sip: { lisen: [], workers: 'many' },
    retell: { gateways: [{ uri: 'sips:sip.example.com' }] },
    numbers: [
      { number: '+14155550100', method: 'register' },
      { number: 1 },
      { number: '+14155550100', fallback: 'sip:198.51.100.10', metadata: { call_ref: '1' } },
    ],
    carriers: [
      carrier('acme', '198.51.100.0/24'),
      {
        name: 'Globex',
        networks: ['198.51.100.9', '10.0.0.0/33'],
        register: { registrar: 'sip:sip.example.com' },
      },
    ],
    api: { tokens: [{ name: 'ops', token: `\${NOPE}`, scopes: ['read'] }] },
    kamailio: { nodes: [{ name: 'a', rpc_url: 'http://127.0.0.1:8080/RPC' }] },
  });
  t.throws(() => parseConfig(text, {}), ConfigError);
  const problems = problemsOf(text, {});
  t.same(problems.map(({ path }) => path).sort(), [
    'api.tokens[0].token',
    'carriers[1].digest',
    'carriers[1].gateways',
    'carriers[1].name',
    'carriers[1].networks[0]',
    'carriers[1].networks[1]',
    'kamailio.nodes[0].rpc_url',
    'numbers[0].agent_id',
    'numbers[1].number',
    'numbers[2].fallback',
    'numbers[2].metadata.call_ref',
    'numbers[2].number',
    'retell.api_key',
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
    "a key for Retell's API with a line end": stringify(
      minimal({ retell: retell({ api_key: `${secret}\n` }) }),
    ),
    'a private key where its path belongs': stringify(
      minimal({
        sip: {
          listen: ['udp:0.0.0.0:5060'],
          tls: { certificate: 'cert.pem', private_key: `-----BEGIN\n${secret}` },
        },
      }),
    ),
    'a webhook key as the whole list': stringify(minimal({ retell: retell({ webhook_keys: secret }) })),
    'one webhook key twice': stringify(minimal({ retell: retell({ webhook_keys: [secret, secret] }) })),
    "a password of Retell's digest with a space": stringify(
      minimal({ retell: retell({ digest: { username: 'retell', password: `${secret} ` } }) }),
    ),
    "a carrier's password in a list": stringify(
      minimal({ carriers: [acme({ digest: { username: 'acme', password: [secret] } })] }),
    ),
    "a carrier's digest as text": stringify(minimal({ carriers: [acme({ digest: `acme:${secret}` })] })),
    'a password in the address of an API': stringify(
      minimal({ retell: retell({ base_url: `https://user:${secret}@api.example.com` }) }),
    ),
    'a password in a fallback': stringify(
      minimal({ numbers: [number({ fallback: `sip:user:${secret}@198.51.100.10` })] }),
    ),
    'a token in the URL of a webhook': stringify(
      minimal({ webhooks: [{ name: 'crm', url: `ftp://h/${secret}`, secrets: [] }] }),
    ),
    'a secret of a webhook that is none': stringify(
      minimal({ webhooks: [{ name: 'crm', url: 'https://h/', secrets: [secret, secret] }] }),
    ),
    'a token as the name of a dynamic variable': stringify(
      minimal({ numbers: [number({ dynamic_variables: { [secret]: null } })] }),
    ),
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
  const example = await readFile(join(ROOT, 'config.example.yaml'), 'utf8');
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
      sip: {
        listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060', 'tls:[::]:5061'],
        advertise: 'sip.example.com',
        tls: { certificate: 'cert.pem', private_key: 'key.pem' },
      },
      retell: retell({
        api_key: secret,
        webhook_keys: [secret],
        digest: { username: 'retell', password: secret },
        tls_name: 'sip.retellai.com',
      }),
      numbers: [
        number({
          method: 'register',
          agent_id: 'agent_1',
          agent_version: 1,
          dynamic_variables: { tier: 'gold' },
          metadata: { a: [{ b: 1 }] },
          fallback: 'sip:+14155550199@198.51.100.10',
          limits: { concurrent_calls: 1, calls_per_second: 1 },
        }),
      ],
      carriers: [
        carrier('globex', '198.51.100.0/24', '2001:db8::/32'),
        {
          ...carrier('acme', '203.0.113.7'),
          digest: { username: 'acme', password: secret, realm: 'sip.example.com' },
          register: { registrar: 'sip:sip.example.com', user: 'acme' },
          prefixes: ['+1', '+'],
          caller_id: { user: '+14155550100', host: '[2001:db8::5]' },
          tls_name: 'sip.example.com',
        },
      ],
      redis: { url: 'redis://127.0.0.1:6379' },
      kamailio: {
        nodes: [
          { name: 'a', rpc_url: 'http://127.0.0.1:8088/RPC', rpc_token: secret, data_directory: 'data' },
        ],
      },
    }),
  });

  const keys = places(full(), () => {}).length;
  for (let round = 0; round < 3 * keys; round++) {
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
