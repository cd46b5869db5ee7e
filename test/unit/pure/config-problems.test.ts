import t from 'tap';
import {
  acme,
  api,
  carrier,
  endpoint,
  lines,
  load,
  number,
  retell,
  token,
  tokenReference,
  WEBHOOK_SECRET,
} from '../../harness/configurations.js';

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
    'log.colour: is not a known key; leave it out (known here: level, numbers)',
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
    'carriers[0]: is empty, not a section with keys; write it like {name: "acme", networks: ["198.51.100.0/24"], gateways: [{uri: "sip:198.51.100.10"}]}',
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
    'a listen address over WebSocket',
    { sip: { listen: ['udp:0.0.0.0:5060', 'wss:0.0.0.0:5061'] } },
    'sip.listen[1]: "wss:0.0.0.0:5061" wants wss, which is not supported; use udp, tcp or tls',
  ],
  [
    'TLS without a certificate',
    { sip: { listen: ['udp:0.0.0.0:5060', 'tls:0.0.0.0:5061'] } },
    'sip.listen[1]: "tls:0.0.0.0:5061" needs a certificate; add sip.tls, like tls: {certificate: /etc/retell-proxy/fullchain.pem, private_key: /etc/retell-proxy/privkey.pem}',
  ],
  [
    'TLS without a private key',
    { sip: { listen: ['udp:0.0.0.0:5060', 'tls:0.0.0.0:5061'], tls: { certificate: 'cert.pem' } } },
    'sip.tls.private_key: is missing; add it, like private_key: "/etc/retell-proxy/privkey.pem"',
  ],
  [
    'a certificate itself where its path belongs',
    {
      sip: {
        listen: ['udp:0.0.0.0:5060'],
        tls: { certificate: 'a\nb', private_key: 'key.pem' },
      },
    },
    'sip.tls.certificate: "a\\nb" is not a path; write it like /etc/retell-proxy/fullchain.pem, without quotes, \\ and line ends',
  ],
  [
    'a tcp and a tls socket on one port',
    {
      sip: {
        listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5061', 'tls:192.0.2.1:5061'],
        tls: { certificate: 'cert.pem', private_key: 'key.pem' },
      },
    },
    'sip.listen[2]: port 5061 is also that of sip.listen[1] ("0.0.0.0:5061"); give one of them another port',
  ],
  [
    'an API port that is a TLS port',
    {
      sip: {
        listen: ['udp:0.0.0.0:5060', 'tls:0.0.0.0:8080'],
        tls: { certificate: 'cert.pem', private_key: 'key.pem' },
      },
    },
    'api.listen: port 8080 is also that of sip.listen[1] ("0.0.0.0:8080"); give one of them another port',
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
    'a sips gateway',
    { retell: { gateways: [{ uri: 'sips:sip.example.com' }] } },
    'retell.gateways[0].uri: "sips:sip.example.com" is a sips URI; for TLS write sip: with ;transport=tls',
  ],
  [
    'a gateway over TLS without a socket for it',
    { retell: { gateways: [{ uri: 'sip:sip.example.com;transport=tls' }] } },
    'retell.gateways[0].uri: "sip:sip.example.com;transport=tls" is reached over tls, and sip.listen has no tls socket; add one, like tls:0.0.0.0:5061',
  ],
  [
    'a gateway at a wildcard address',
    { retell: { gateways: [{ uri: 'sip:0.0.0.0:5070' }] } },
    'retell.gateways[0].uri: "sip:0.0.0.0:5070" has an address that nobody can be reached at; write it like sip:sip.example.com;transport=tcp',
  ],
  [
    'a gateway with a user part, which is not shown',
    { retell: { gateways: [{ uri: 'sip:user:password@sip.example.com' }] } },
    'retell.gateways[0].uri: "sip:***@sip.example.com" has a user part, which does not belong here; write it like sip:sip.example.com;transport=tcp',
  ],
  [
    'a gateway with other parameters',
    { retell: { gateways: [{ uri: 'sip:sip.example.com;lr' }] } },
    'retell.gateways[0].uri: "sip:sip.example.com;lr" has parameters other than ;transport=udp, tcp or tls; leave the others out',
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
    'a method that is none',
    { numbers: [number({ method: 'sip' })] },
    'numbers[0].method: "sip" is not known here; write one of trunk, register',
  ],
  [
    'a number with method register and no agent',
    { retell: retell({ api_key: 'key' }), numbers: [number({ method: 'register' })] },
    'numbers[0].agent_id: is missing; method register needs the agent that takes the call; add it, like agent_id: "agent_0123456789"',
  ],
  [
    "numbers with method register and no key for Retell's API",
    {
      numbers: ['+14155550100', '+14155550101', '+14155550102'].map((one, index) =>
        number({ number: one, ...(index > 0 && { method: 'register', agent_id: 'agent_1' }) }),
      ),
    },
    `retell.api_key: is missing; numbers[1] has method register, which needs it; add it, like api_key: "\${RETELL_API_KEY}"`,
  ],
  [
    'a rejected number with method register',
    {
      retell: retell({ api_key: 'key' }),
      numbers: [number({ method: 'register', agent_id: 'agent_1', reject: true })],
    },
    'numbers[0].reject: works with method trunk only; leave it out, or write method: trunk',
  ],
  [
    'an agent that is none',
    { numbers: [number({ agent_id: 'my agent' })] },
    'numbers[0].agent_id: "my agent" is not an agent id; copy it from the Retell dashboard, like agent_0123456789',
  ],
  [
    'an agent version that is neither number nor text',
    { numbers: [number({ agent_version: 1.5 })] },
    'numbers[0].agent_version: is a number, not text or a whole number; write it like "latest_published"',
  ],
  [
    'an agent version below zero',
    { numbers: [number({ agent_version: -1 })] },
    'numbers[0].agent_version: -1 is out of range; write a whole number from 0 to 1000000',
  ],
  [
    'an agent version with spaces',
    { numbers: [number({ agent_version: 'the latest' })] },
    'numbers[0].agent_version: "the latest" is not a version; write a number, a tag, latest or latest_published',
  ],
  [
    'a dynamic variable that is no text',
    { numbers: [number({ dynamic_variables: { tier: 1 } })] },
    'numbers[0].dynamic_variables.tier: 1 is a number, not text; put it in quotes, like "1"',
  ],
  [
    'too many dynamic variables',
    {
      numbers: [
        number({
          dynamic_variables: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`name${n}`, 'x'])),
        }),
      ],
    },
    'numbers[0].dynamic_variables: has 101 keys; at most 100 are allowed',
  ],
  [
    "metadata under the proxy's own name",
    { numbers: [number({ metadata: { department: 'sales', call_ref: 'mine' } })] },
    'numbers[0].metadata.call_ref: is the name under which the proxy puts its own id of the call; use another',
  ],
  [
    'a fallback without a user part',
    { numbers: [number({ fallback: 'sip:198.51.100.10' })] },
    'numbers[0].fallback: "sip:198.51.100.10" has no user part; write it like sip:+14155550199@198.51.100.10',
  ],
  [
    'a fallback whose user part cannot be one',
    { numbers: [number({ fallback: 'sip:+1 415@198.51.100.10' })] },
    'numbers[0].fallback: "sip:***@198.51.100.10" has a user part that cannot be one; use 1 to 64 letters, digits and + - . _ ~ * !, write it like sip:+14155550199@198.51.100.10',
  ],
  [
    'a sips fallback',
    { numbers: [number({ fallback: 'sips:+14155550199@198.51.100.10' })] },
    'numbers[0].fallback: "sips:***@198.51.100.10" is a sips URI; for TLS write sip: with ;transport=tls',
  ],
  [
    'a fallback over a transport that has no socket',
    { numbers: [number({ fallback: 'sip:+14155550199@198.51.100.10;transport=tls' })] },
    'numbers[0].fallback: "sip:***@198.51.100.10;transport=tls" is reached over tls, and sip.listen has no tls socket; add one, like tls:0.0.0.0:5061',
  ],
  [
    'a limit of none',
    { numbers: [number({ limits: { concurrent_calls: 0 } })] },
    'numbers[0].limits.concurrent_calls: 0 is not a whole number from 1 to 100000 (calls); write it like 200',
  ],
  [
    'a number whose calls may last no time',
    { numbers: [number({ max_duration_s: 0 })] },
    'numbers[0].max_duration_s: 0 is not a whole number from 1 to 86400 (s); write it like 3600',
  ],
  [
    'a carrier whose calls may last too long',
    { carriers: [acme({ max_duration_s: 86_401 })] },
    'carriers[0].max_duration_s: 86401 is not a whole number from 1 to 86400 (s); write it like 3600',
  ],
  [
    'a keepalive that Kamailio does not take',
    { calls: { keepalive_s: 29 } },
    'calls.keepalive_s: 29 is too often; write 0 for never, or 30 to 3600',
  ],
  [
    'one number twice',
    { numbers: [{ number: '+14155550100' }, { number: '+14155550100' }] },
    'numbers[1].number: "+14155550100" is the same as numbers[0].number; leave one out',
  ],
  [
    'a carrier without gateways',
    { carriers: [acme({ gateways: undefined })] },
    'carriers[0].gateways: is missing; add it, like gateways: [{uri: "sip:198.51.100.10"}]',
  ],
  [
    'a carrier with an empty list of gateways',
    { carriers: [acme({ gateways: [] })] },
    'carriers[0].gateways: is an empty list; give at least one, like [{uri: "sip:198.51.100.10"}]',
  ],
  [
    'a carrier gateway over a transport that has no socket',
    {
      sip: { listen: ['udp:0.0.0.0:5060'] },
      carriers: [acme({ gateways: [{ uri: 'sip:[2001:db8::10];transport=tcp' }] })],
    },
    'carriers[0].gateways[0].uri: "sip:[2001:db8::10];transport=tcp" is reached over tcp, and sip.listen has no tcp socket; add one, like tcp:[::]:5060',
  ],
  [
    'an IPv6 gateway without an IPv6 socket of its transport',
    {
      sip: { listen: ['udp:0.0.0.0:5060', 'tcp:[::]:5060'] },
      carriers: [acme({ gateways: [{ uri: 'sip:[2001:db8::10]' }] })],
    },
    'carriers[0].gateways[0].uri: "sip:[2001:db8::10]" is reached over IPv6, and sip.listen has no udp socket with an IPv6 address; add one, like udp:[::]:5060',
  ],
  [
    'an IPv4 gateway without an IPv4 socket of its transport',
    {
      sip: { listen: ['udp:[::]:5060', 'tcp:0.0.0.0:5060'] },
      carriers: [acme({ gateways: [{ uri: 'sip:198.51.100.10' }] })],
    },
    'carriers[0].gateways[0].uri: "sip:198.51.100.10" is reached over IPv4, and sip.listen has no udp socket with an IPv4 address; add one, like udp:0.0.0.0:5060',
  ],
  [
    'an IPv6 fallback without an IPv6 socket',
    { numbers: [number({ fallback: 'sip:200@[2001:db8::10]' })] },
    'numbers[0].fallback: "sip:***@[2001:db8::10]" is reached over IPv6, and sip.listen has no udp socket with an IPv6 address; add one, like udp:[::]:5060',
  ],
  [
    'one gateway in two carriers, with and without the default port',
    {
      carriers: [
        acme({ gateways: [{ uri: 'sip:198.51.100.10' }] }),
        { ...carrier('globex', '203.0.113.0/24'), gateways: [{ uri: 'sip:198.51.100.10:5060' }] },
      ],
    },
    'carriers[1].gateways[0].uri: "sip:198.51.100.10:5060" is the same as carriers[0].gateways[0].uri; leave one out, and use weight to give it more calls',
  ],
  [
    "a carrier's gateway that is Retell's",
    { carriers: [acme({ gateways: [{ uri: 'sip:sip.retellai.com' }] })] },
    'carriers[0].gateways[0].uri: "sip:sip.retellai.com" is the same as retell.gateways[0].uri; leave one out, and use weight to give it more calls',
  ],
  [
    'a registration without digest',
    { carriers: [acme({ register: { registrar: 'sip:sip.acme.example.com' } })] },
    `carriers[0].digest: is missing; register needs it; add it, like digest: {username: "acme-user", password: "\${ACME_PASSWORD}"}`,
  ],
  [
    'a registrar over a transport that has no socket',
    {
      carriers: [
        acme({
          digest: { username: 'acme-user', password: 'pw' },
          register: { registrar: 'sip:sip.acme.example.com;transport=tls' },
        }),
      ],
    },
    'carriers[0].register.registrar: "sip:sip.acme.example.com;transport=tls" is reached over tls, and sip.listen has no tls socket; add one, like tls:0.0.0.0:5061',
  ],
  [
    'a registrar with a user part',
    {
      carriers: [
        acme({
          digest: { username: 'acme-user', password: 'pw' },
          register: { registrar: 'sip:acme-user@sip.acme.example.com' },
        }),
      ],
    },
    'carriers[0].register.registrar: "sip:***@sip.acme.example.com" has a user part, which does not belong here; write it like sip:sip.example.com;transport=tcp',
  ],
  [
    'a registration that is too short',
    {
      carriers: [
        acme({
          digest: { username: 'acme-user', password: 'pw' },
          register: { registrar: 'sip:sip.acme.example.com', expires_s: 59 },
        }),
      ],
    },
    'carriers[0].register.expires_s: 59 is not a whole number from 60 to 86400 (s); write it like 600',
  ],
  [
    'a user name with a colon',
    { carriers: [acme({ digest: { username: 'acme:user', password: 'pw' } })] },
    'carriers[0].digest.username: "acme:user" is not a usable user name; use 1 to 128 ASCII characters without spaces, colons, quotes and \\',
  ],
  [
    'a password with a line end',
    { carriers: [acme({ digest: { username: 'acme-user', password: 'pw\n' } })] },
    'carriers[0].digest.password: this value is not a usable password; use 1 to 128 ASCII characters without spaces or line ends',
  ],
  [
    'a realm with a quote',
    { carriers: [acme({ digest: { username: 'acme-user', password: 'pw', realm: 'a"b' } })] },
    'carriers[0].digest.realm: "a\\"b" is not a realm; write it as the challenge of the carrier has it, like sip.example.com',
  ],
  [
    'a prefix without quotes',
    { carriers: [acme({ prefixes: [1] })] },
    'carriers[0].prefixes[0]: 1 is a number, not text; put it in quotes, like "+1"',
  ],
  [
    'a prefix without the +',
    { carriers: [acme({ prefixes: ['0044'] })] },
    'carriers[0].prefixes[0]: "0044" is not a prefix; write + and up to 15 digits, in quotes, like "+1", or "+" alone for every number',
  ],
  [
    'one prefix twice in one carrier',
    { carriers: [acme({ prefixes: ['+1', '+44', '+1'] })] },
    'carriers[0].prefixes[2]: "+1" is the same as carriers[0].prefixes[0]; leave one out',
  ],
  [
    'a user part of From with a character that it cannot have',
    { carriers: [acme({ caller_id: { user: 'Acme Inc' } })] },
    'carriers[0].caller_id.user: "Acme Inc" is not the user part of a SIP address; use 1 to 64 letters, digits and + - . _ ~ * !',
  ],
  [
    'a host of From with a port',
    { carriers: [acme({ caller_id: { host: 'sip.example.com:5060' } })] },
    'carriers[0].caller_id.host: "sip.example.com:5060" is not a name or address; write it like sip.example.com, 203.0.113.5 or [2001:db8::5]',
  ],
  [
    'a P-Asserted-Identity that is none of the choices',
    { carriers: [acme({ caller_id: { p_asserted_identity: 'keep' } })] },
    'carriers[0].caller_id.p_asserted_identity: "keep" is not known here; write kept',
  ],
  [
    'an address where the name of a certificate belongs',
    { carriers: [acme({ tls_name: '198.51.100.10' })] },
    'carriers[0].tls_name: "198.51.100.10" is not a host name; write it like sip.example.com',
  ],
  [
    'a switch that is neither true nor false',
    { carriers: [acme({ probe: 'no' })] },
    'carriers[0].probe: is text, not true or false; write it like true',
  ],
  [
    'an address of an API that is none',
    { retell: retell({ base_url: 'api.retellai.com' }) },
    'retell.base_url: "api.retellai.com" is not an http or https URL; write it like https://api.retellai.com',
  ],
  [
    'an address of an API with a query, which is not shown',
    { retell: retell({ base_url: 'https://api.retellai.com/?key=secret' }) },
    'retell.base_url: "https://api.retellai.com/?***" has a ? or # part; write it like https://api.retellai.com',
  ],
  [
    'one webhook key twice',
    { retell: retell({ webhook_keys: ['a', 'b', 'a'] }) },
    'retell.webhook_keys[2]: this value is the same as retell.webhook_keys[0]; leave one out',
  ],
  [
    'more webhook keys than there can be',
    { retell: retell({ webhook_keys: ['a', 'b', 'c', 'd', 'e', 'f'] }) },
    'retell.webhook_keys: has 6 entries; at most 5 are allowed',
  ],
  [
    'a key with a space',
    { retell: retell({ api_key: 'key 1' }) },
    'retell.api_key: this value is not a key; copy it from the Retell dashboard, without spaces or line ends',
  ],
  [
    'a deadline for registering that is too long',
    { retell: retell({ register_timeout_ms: 10_001 }) },
    'retell.register_timeout_ms: 10001 is not a whole number from 200 to 10000 (ms); write it like 2000',
  ],
  [
    "a reserve of Retell's concurrency, which nobody can ask for",
    { retell: retell({ reserved_inbound: 5 }) },
    'retell.reserved_inbound: needs retell.api_key, with which Retell is asked for its concurrency; add that, or write 0',
  ],
  [
    'a carrier without networks',
    { carriers: [acme({ networks: undefined })] },
    'carriers[0].networks: is missing; add it, like networks: ["198.51.100.0/24"]',
  ],
  [
    'a name that cannot be one',
    { carriers: [acme({ name: 'Acme Inc' })] },
    'carriers[0].name: "Acme Inc" is not a name; use 1 to 32 lower-case letters, digits, - and _, and begin with a letter or digit',
  ],
  [
    'one carrier name twice',
    { carriers: [acme({}), { ...carrier('globex', '203.0.113.0/24'), name: 'acme' }] },
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
  [
    'a webhook over http to a public host',
    { webhooks: [endpoint({ url: 'http://crm.example.com/hooks' })] },
    'webhooks[0].url: this value is http to a host that is not on a private network; write it like https://crm.example.com/hooks/calls',
  ],
  [
    'a webhook with a user in its URL',
    { webhooks: [endpoint({ url: 'https://user:password@crm.example.com/' })] },
    'webhooks[0].url: this value has a user or password in it; leave them out: the signature says who sends',
  ],
  [
    'a webhook to what is no URL',
    { webhooks: [endpoint({ url: 'crm.example.com' })] },
    'webhooks[0].url: this value is not an https URL of up to 2000 characters; write it like https://crm.example.com/hooks/calls',
  ],
  [
    'a webhook without a secret',
    { webhooks: [endpoint({ secrets: [] })] },
    `webhooks[0].secrets: is an empty list; give at least one, like ["\${CRM_WEBHOOK_SECRET}"]`,
  ],
  [
    'a secret of a webhook that is too short',
    { webhooks: [endpoint({ secrets: ['whsec_c2hvcnQ='] })] },
    'webhooks[0].secrets[0]: this value is not a secret for webhooks; write whsec_ and the base64 of 24 to 64 random bytes (echo "whsec_$(openssl rand -base64 32)" makes a good one)',
  ],
  [
    'one secret of a webhook twice',
    { webhooks: [endpoint({ secrets: [WEBHOOK_SECRET, WEBHOOK_SECRET] })] },
    'webhooks[0].secrets[1]: this value is the same as webhooks[0].secrets[0]; leave one out',
  ],
  [
    'a type of events with a typing error',
    { webhooks: [endpoint({ events: ['call.end'] })] },
    'webhooks[0].events[0]: "call.end" is not known here; write call.ended',
  ],
  [
    'a webhook for a carrier that there is none of',
    { carriers: [acme({})], webhooks: [endpoint({ carriers: ['acme', 'amce'] })] },
    'webhooks[0].carriers[1]: "amce" is no name in carriers; write one of them, or leave the list out for all',
  ],
  [
    'two webhooks of one name',
    { webhooks: [endpoint({}), endpoint({})] },
    'webhooks[1].name: "crm" is the same as webhooks[0].name; give each endpoint a name of its own',
  ],
  [
    'a webhook that nothing disables',
    { webhooks: [endpoint({ disable_after: 0 })] },
    'webhooks[0].disable_after: 0 is not a whole number from 1 to 100000 (attempts); write it like 50',
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
        sip: { listen: ['udp:0.0.0.0:5060', 'udp:[::]:5060', 'tcp:0.0.0.0:5060'] },
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
    [
      'every transport, over IPv4 and IPv6',
      {
        sip: {
          listen: ['udp', 'tcp', 'tls'].flatMap((transport, index) => [
            `${transport}:0.0.0.0:${5060 + index}`,
            `${transport}:[::]:${5060 + index}`,
          ]),
          tls: { certificate: 'cert.pem', private_key: 'key.pem', require_client_certificate: true },
        },
        retell: retell({ gateways: [{ uri: 'sip:sip.retellai.com;transport=tls' }] }),
        numbers: [number({ fallback: 'sip:200@[2001:db8::10]:5070;transport=tls' })],
        carriers: [
          acme({
            gateways: [
              { uri: 'sip:[2001:db8::10];transport=tls' },
              { uri: 'sip:198.51.100.10;transport=TLS' },
              { uri: 'sip:sip.acme.example.com:5080' },
            ],
            digest: { username: 'acme@example.com', password: 'p"w\\:;' },
            register: { registrar: 'sip:[2001:db8::10];transport=tcp', user: '+14155550100' },
          }),
        ],
      },
    ],
    [
      'a tcp and a tls socket on one port of IPv4 and IPv6',
      {
        sip: {
          listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5061', 'tls:[::]:5061'],
          tls: { certificate: 'cert.pem', private_key: 'key.pem' },
        },
      },
    ],
    [
      'one prefix in two carriers, and one inside another',
      {
        carriers: [
          acme({ prefixes: ['+1', '+1415', '+'] }),
          { ...carrier('globex', '203.0.113.0/24'), prefixes: ['+1'] },
        ],
      },
    ],
    [
      'a number with all that register takes',
      {
        retell: retell({
          api_key: 'key_0123',
          reserved_inbound: 5,
          base_url: 'http://127.0.0.1:8090/retell',
        }),
        numbers: [
          number({
            method: 'register',
            agent_id: 'agent_0123456789',
            agent_version: 3,
            dynamic_variables: { tier: 'gold', 'name with spaces': '' },
            metadata: { nested: { list: [1, null, { call_ref: 'only the top is ours' }] } },
          }),
        ],
      },
    ],
    [
      'webhooks over http to private hosts',
      {
        webhooks: ['localhost:9000', '10.1.2.3', '[fd00::1]', 'crm', 'crm.default.svc.cluster.local'].map(
          (host, i) => endpoint({ name: `crm${i}`, url: `http://${host}/hooks?key=1` }),
        ),
      },
    ],
    ['a rejected number with method trunk', { numbers: [number({ reject: true, agent_version: 'latest' })] }],
    [
      'limits of which only one is there',
      {
        numbers: [number({ limits: { calls_per_second: 1 } })],
        carriers: [acme({ limits: {} })],
        calls: { limits: { concurrent_calls: 100_000 } },
      },
    ],
    ['a Redis with password, TLS and database', { redis: { url: `redis://:pw@redis.example.com:6380/1` } }],
  ];
  for (const [name, sections] of accepted) {
    t.test(name, async (t) => {
      t.same(lines(sections), []);
    });
  }
});
