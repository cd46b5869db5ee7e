import { networkInterfaces } from 'node:os';
import t from 'tap';
import { stringify } from 'yaml';
import { parseConfig } from '../../control-plane/src/config/load.js';
import { renderDataFiles } from '../../control-plane/src/kamailio/data-files.js';
import { renderNodeFile } from '../../control-plane/src/kamailio/node-file.js';

function configOf(sections: Record<string, unknown> = {}) {
  return parseConfig(
    stringify({
      sip: { listen: ['udp:192.0.2.1:5060', 'tcp:192.0.2.1:5060'] },
      retell: { gateways: [{ uri: 'sip:sip.example.com;transport=tcp' }], networks: ['203.0.113.0/24'] },
      numbers: [{ number: '+14155550100' }],
      carriers: [{ name: 'acme', networks: ['198.51.100.0/24', '198.51.100.7'] }],
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
  t.equal(
    files.get('dispatcher.list'),
    [
      '1 sip:c.example.com 0 0 weight=100;socket=udp:192.0.2.1:5060',
      '2 sip:a.example.com;transport=tcp 0 0 weight=67;socket=tcp:192.0.2.1:5060',
      '2 sip:b.example.com 0 0 weight=33;socket=udp:192.0.2.1:5060',
      '',
    ].join('\n'),
  );
  t.match(files.get('routes'), '\n1:retell:0:0:1=9;2=9:0\n');
  t.end();
});

t.test('a node file defines addresses and sizes, and holds no secret', (t) => {
  const lines = nodeFileOf({ calls: { ring_timeout_s: 30 } }, 'redis://:hunter2@192.0.2.9:6380/3');
  t.ok(lines.includes('listen=udp:192.0.2.1:5060'));
  t.ok(lines.includes('#!substdef "!RPC_LISTEN!tcp:127.0.0.1:8088!g"'));
  t.ok(lines.includes('#!define RPC_PORT 8088'));
  t.ok(lines.includes('#!define RING_TIMEOUT_MS 30000'));
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
