import t from 'tap';
import {
  acme,
  api,
  carrier,
  lines,
  load,
  number,
  retell,
  token,
  tokenReference,
} from '../harness/configurations.js';

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
