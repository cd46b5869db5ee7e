import { networkInterfaces } from 'node:os';
import t from 'tap';
import { stringify } from 'yaml';
import { parseConfig } from '../../../control-plane/src/config/load.js';
import { renderDataFiles } from '../../../control-plane/src/kamailio/data-files.js';
import { renderNodeFile } from '../../../control-plane/src/kamailio/node-file.js';

const ACME = {
  name: 'acme',
  networks: ['198.51.100.0/24', '198.51.100.7'],
  gateways: [{ uri: 'sip:198.51.100.10' }],
};

function configOf(sections: Record<string, unknown> = {}) {
  return parseConfig(
    stringify({
      sip: { listen: ['udp:192.0.2.1:5060', 'tcp:192.0.2.1:5060'] },
      retell: { gateways: [{ uri: 'sip:sip.example.com;transport=tcp' }], networks: ['203.0.113.0/24'] },
      numbers: [{ number: '+14155550100' }],
      carriers: [ACME],
      api: { tokens: [{ name: 'ops', token: 'x'.repeat(16), scopes: ['read'] }] },
      ...sections,
    }),
    {},
  );
}

function nodeFileOf(sections: Record<string, unknown> = {}, redisUrl = 'redis://127.0.0.1:6379'): string[] {
  const options = { node: 'node1', redisUrl, dataDirectory: '/srv/data', mainFile: '/srv/kamailio.cfg' };
  return renderNodeFile(configOf(sections), options).split('\n');
}

t.test('carriers and Retell are two address groups, each network with its owner', (t) => {
  t.equal(
    renderDataFiles(configOf()).get('address.list'),
    '1 198.51.100.0 24 0 acme\n1 198.51.100.7 32 0 acme\n2 203.0.113.0 24 0 retell\n',
  );
  t.end();
});

t.test('gateways of one priority are a dispatcher set, weights shares of 100, sent from our socket', (t) => {
  const files = renderDataFiles(
    configOf({
      retell: {
        gateways: [
          { uri: 'sip:a.example.com;transport=tcp', weight: 2, priority: 5 },
          { uri: 'sip:b.example.com', weight: 1, priority: 5 },
          { uri: 'sip:c.example.com', priority: 1 },
        ],
      },
    }),
  );
  const [, first, second] = /\n1:retell:0:0:(\d+)=9;(\d+)=9:0\n/.exec(files.get('routes') ?? '') ?? [];
  t.equal(
    files.get('dispatcher.list'),
    [
      `${first} sip:c.example.com 24 0 weight=100;carrier=retell;socket=udp:192.0.2.1:5060`,
      `${second} sip:a.example.com;transport=tcp 24 0 weight=67;carrier=retell;socket=tcp:192.0.2.1:5060`,
      `${second} sip:b.example.com 24 0 weight=33;carrier=retell;socket=udp:192.0.2.1:5060`,
      '',
    ].join('\n'),
  );
  t.end();
});

t.test('Kamailio is told whether any carrier takes outbound calls', (t) => {
  const routesWith = (prefixes: string[]) =>
    renderDataFiles(configOf({ carriers: [{ ...ACME, prefixes }] })).get('routes') ?? '';
  t.match(routesWith(['+1']), /:outbound:0:1:1:0$/m);
  t.notMatch(routesWith([]), 'outbound');
  t.end();
});

t.test('a prefix leads to the carriers that take it by priority, then to those of shorter prefixes', (t) => {
  const uri = (host: number) => `sip:198.51.100.${host}`;
  const files = renderDataFiles(
    configOf({
      carriers: [
        { ...ACME, prefixes: ['+1', '+1415'], gateways: [{ uri: uri(1) }, { uri: uri(2), priority: 2 }] },
        {
          name: 'globex',
          networks: ['203.0.113.128/25'],
          prefixes: ['+1'],
          gateways: [{ uri: uri(3), weight: 3 }],
          probe: false,
        },
      ],
      retell: { gateways: [{ uri: 'sip:192.0.2.9' }], networks: ['203.0.113.0/25'] },
    }),
  );
  const sets = new Map<string, string[]>();
  for (const line of (files.get('dispatcher.list') ?? '').trim().split('\n')) {
    const [set = '', gateway = '', flags = '', , attributes = ''] = line.split(' ');
    const [weight, owner] = attributes.split(';');
    sets.set(set, [...(sets.get(set) ?? []), `${gateway} ${flags} ${weight} ${owner}`]);
  }
  const route = (prefix: string) =>
    new RegExp(`:\\${prefix}:0:0:([^:]*):0\n`)
      .exec(files.get('prefixes') ?? '')?.[1]
      ?.split(';')
      .map((rule) => sets.get(rule.replace('=9', '')));
  t.same(route('+1415'), [
    [`${uri(1)} 8 weight=100 carrier=acme`],
    [`${uri(2)} 8 weight=100 carrier=acme`],
    [`${uri(3)} 0 weight=100 carrier=globex`],
  ]);
  t.same(route('+1'), [
    [`${uri(1)} 8 weight=25 carrier=acme`, `${uri(3)} 0 weight=75 carrier=globex`],
    [`${uri(2)} 8 weight=100 carrier=acme`],
  ]);
  t.end();
});

t.test(
  'carriers, limits, fallbacks and registrations are tables, with what differs from the default',
  (t) => {
    const files = renderDataFiles(
      configOf({
        numbers: [
          {
            number: '+14155550100',
            fallback: 'sip:+14155550199@198.51.100.10',
            limits: { calls_per_second: 2 },
            max_duration_s: 600,
          },
        ],
        carriers: [
          {
            ...ACME,
            digest: { username: 'us', password: 'a:b\\c' },
            register: { registrar: 'sip:198.51.100.10;transport=tcp' },
            number_format: 'digits',
            caller_id: { override: 'kept' },
            limits: { concurrent_calls: 5 },
            max_duration_s: 1200,
          },
        ],
        calls: { limits: { concurrent_calls: 50 } },
      }),
    );
    const rows = (name: string) => (files.get(name) ?? '').trim().split('\n').slice(1);
    t.same(rows('carriers'), [
      '1:acme\\:\\:number_format:0:0:digits:0',
      '2:acme\\:\\:override:0:0:kept:0',
      '3:acme\\:\\:username:0:0:us:0',
      '4:acme\\:\\:password:0:0:a\\:b\\\\c:0',
    ]);
    t.same(rows('limits'), [
      '1:concurrent\\:\\:all:0:1:50:0',
      '2:duration\\:\\:all:0:1:7200:0',
      '3:concurrent\\:\\:carrier\\:\\:acme:0:1:5:0',
      '4:duration\\:\\:carrier\\:\\:acme:0:1:1200:0',
      '5:rate\\:\\:number\\:\\:+14155550100:0:1:2:0',
      '6:duration\\:\\:number\\:\\:+14155550100:0:1:600:0',
      '7:any:0:1:1:0',
      '8:duration\\:\\:any:0:1:1:0',
      '9:transfers:0:1:60:0',
    ]);
    t.same(rows('fallbacks'), [
      '1:+14155550100:0:0:sip\\:+14155550199@198.51.100.10:0',
      '2:+14155550100\\:\\:socket:0:0:udp\\:192.0.2.1\\:5060:0',
    ]);
    t.match(rows('uacreg')[0], 'acme:us:198.51.100.10:us:198.51.100.10::us:');
    t.match(rows('uacreg')[0], ':192.0.2.1\\:5060;transport=tcp:tcp\\:192.0.2.1\\:5060');
    t.end();
  },
);

t.test('where calls may be transferred to, and how a carrier wants its REFER, are tables', (t) => {
  const files = renderDataFiles(
    configOf({
      numbers: [{ number: '+14155550100', transfer_allow: ['+1415', 'PBX.example.com'] }],
      carriers: [
        {
          ...ACME,
          transfer: {
            refer: 'unsupported',
            refer_to: 'tel',
            host: 'trunk.example.com',
            referred_by: 'dropped',
            diversion: 'added',
            p_asserted_identity: 'added',
            headers: 'dropped',
            timeout_s: 90,
          },
        },
        { ...ACME, name: 'globex', networks: ['192.0.2.128/25'], gateways: [{ uri: 'sip:192.0.2.130' }] },
      ],
      transfers: { allow: ['+1', '+1900555', '+44'], deny: ['+44', '+1809'], hosts: ['PBX.example.com'] },
    }),
  );
  const rows = (name: string) =>
    (files.get(name) ?? '')
      .trim()
      .split('\n')
      .slice(1)
      .map((row) => row.replace(/^\d+:/, '').replaceAll('\\:', ':'));
  t.same(rows('carriers'), [
    'acme::refer:0:0:unsupported:0',
    'acme::refer_to:0:0:tel:0',
    'acme::refer_host:0:0:trunk.example.com:0',
    'acme::referred_by:0:0:dropped:0',
    'acme::diversion:0:0:added:0',
    'acme::refer_p_asserted_identity:0:0:added:0',
    'acme::refer_headers:0:0:dropped:0',
    'acme::refer_timeout_s:0:1:90:0',
  ]);
  const destinations = rows('destinations');
  for (const row of [
    '+1:0:0:allow:0',
    '+1900555:0:0:allow:0',
    '+44:0:0:deny:0',
    '+1809:0:0:deny:0',
    '+1900:0:0:deny:0',
    'host::pbx.example.com:0:1:1:0',
    'only::+14155550100:0:1:1:0',
    'only::+14155550100::+1415:0:1:1:0',
    'only::+14155550100::pbx.example.com:0:1:1:0',
  ]) {
    t.ok(destinations.includes(row), row);
  }
  t.notOk(destinations.includes('+44:0:0:allow:0'));
  t.end();
});

t.test('a node file defines addresses and sizes, and holds no secret', (t) => {
  const lines = nodeFileOf({ calls: { ring_timeout_s: 30 } }, 'redis://:hunter2@192.0.2.9:6380/3');
  t.ok(lines.includes('listen=udp:192.0.2.1:5060'));
  t.ok(lines.includes('#!substdef "!RPC_LISTEN!tcp:127.0.0.1:8088!g"'));
  t.ok(lines.includes('#!define RPC_PORT 8088'));
  t.ok(lines.includes('#!define RING_TIMEOUT_MS 30000'));
  t.notOk(
    lines.some((line) => line.includes('KEEPALIVE_S')),
    'keepalive is off',
  );
  t.ok(nodeFileOf({ calls: { keepalive_s: 60 } }).includes('#!define KEEPALIVE_S 60'));
  t.ok(
    lines.includes('#!substdef "!REDIS_SERVER!addr=192.0.2.9;port=6380;db=3;pass=$env(REDIS_PASSWORD)!g"'),
  );
  t.ok(lines.includes('include_file "/srv/kamailio.cfg"'));
  t.notMatch(lines.join('\n'), 'hunter2');
  t.throws(
    () => renderNodeFile(configOf(), { node: 'other', redisUrl: '', dataDirectory: '', mainFile: '' }),
    {
      message: 'kamailio.nodes has no node other',
    },
  );
  t.end();
});

t.test("an advertised name is written behind every socket, with its port or the socket's own", (t) => {
  const own = nodeFileOf({
    sip: { listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5062'], advertise: 'sip.example.com' },
  });
  t.ok(own.includes('listen=udp:0.0.0.0:5060 advertise sip.example.com:5060'));
  t.ok(own.includes('listen=tcp:0.0.0.0:5062 advertise sip.example.com:5062'));
  const fixed = nodeFileOf({
    sip: { listen: ['udp:192.0.2.1:5060', 'tcp:192.0.2.1:5060'], advertise: '[2001:db8::5]:5070' },
  });
  t.ok(fixed.includes('listen=udp:192.0.2.1:5060 advertise [2001:db8::5]:5070'));
  t.end();
});

t.test(
  'without a public name 0.0.0.0 becomes the addresses of the machine: it is none to write into Via',
  (t) => {
    const lines = nodeFileOf({ sip: { listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060'] } });
    const addresses = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family }) => family === 'IPv4')
      .map(({ address }) => address);
    for (const address of addresses) t.ok(lines.includes(`listen=udp:${address}:5060`), address);
    t.notMatch(lines.join('\n'), '0.0.0.0');
    t.equal(lines.includes('mhomed=1'), addresses.length > 1);
    t.end();
  },
);

t.test('copies for a capture server are configured where there is one, with an id for each node', (t) => {
  t.notOk(nodeFileOf().some((line) => line.includes('CAPTURE')));
  const nodes = ['first', 'node1'].map((name, index) => ({
    name,
    rpc_url: `http://127.0.0.1:80${index}0/RPC`,
  }));
  const lines = nodeFileOf({ capture: { hep: 'udp:192.0.2.30:9060' }, kamailio: { nodes } });
  t.ok(lines.includes('#!define WITH_CAPTURE'));
  t.ok(lines.includes('#!substdef "!CAPTURE_SERVER!192.0.2.30:9060!g"'));
  t.ok(lines.includes('#!define CAPTURE_ID 2002'));
  for (const hep of ['tcp:192.0.2.30:9060', 'udp:homer.example.com:9060', 'udp:0.0.0.0:9060', '192.0.2.30']) {
    t.throws(() => configOf({ capture: { hep } }), /capture\.hep: .* is not /, hep);
  }
  t.throws(
    () => configOf({ capture: { hep: 'udp:[2001:db8::30]:9060' } }),
    /no udp socket with an IPv6 address/,
  );
  t.end();
});
