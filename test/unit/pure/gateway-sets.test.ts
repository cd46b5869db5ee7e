import t from 'tap';
import { gatewaySets } from '../../../control-plane/src/kamailio/gateway-sets.js';
import { load } from '../../harness/configurations.js';

/** A carrier with these prefixes and gateways. */
function carrier(name: string, prefixes: string[], ...gateways: { host: string; [key: string]: unknown }[]) {
  return {
    name,
    networks: [`2001:db8::${Buffer.from(name).toString('hex', 0, 2)}`],
    prefixes,
    gateways: gateways.map(({ host, ...keys }) => ({ uri: `sip:${host}.example.com`, ...keys })),
  };
}

/** The hosts that a destination's prefix leads to: groups in the order in which they are tried. */
function order(carriers: unknown[], prefix: string): string[] {
  const { sets, prefixes } = gatewaySets(load({ carriers }));
  return (prefixes.get(prefix) ?? '').split(';').map((rule) => {
    const group = sets.get(Number(rule.split('=')[0])) ?? [];
    return group.map(({ uri, weight }) => `${/sip:(\w+)/.exec(uri)?.[1]}*${weight}`).join(' ');
  });
}

t.test('a longer prefix goes before a shorter one, then priority, and within it weight', (t) => {
  const carriers = [
    carrier('all', ['+'], { host: 'all', priority: 1 }),
    carrier('us', ['+1'], { host: 'us_a', priority: 2, weight: 3 }, { host: 'us_b', priority: 1 }),
    carrier('more', ['+1', '+44'], { host: 'more', priority: 2 }),
    carrier('california', ['+1415'], { host: 'ca', priority: 9 }),
  ];
  t.same(order(carriers, '+1415'), ['ca*1', 'us_b*1', 'us_a*3 more*1', 'all*1']);
  t.same(order(carriers, '+1'), ['us_b*1', 'us_a*3 more*1', 'all*1']);
  t.same(order(carriers, '+44'), ['more*1', 'all*1']);
  t.same(order(carriers, '+'), ['all*1']);
  t.end();
});

t.test('a carrier that takes a prefix and a shorter one of it is tried once', (t) => {
  const carriers = [
    carrier('one', ['+1', '+1415'], { host: 'one' }),
    carrier('two', ['+1'], { host: 'two' }),
  ];
  t.same(order(carriers, '+1415'), ['one*1', 'two*1']);
  t.same(order(carriers, '+1'), ['one*1 two*1']);
  t.end();
});

t.test('the same group of gateways is one set, and a carrier without prefixes is in none', (t) => {
  const { sets, retell, prefixes } = gatewaySets(
    load({
      carriers: [
        carrier('many', ['+1', '+44', '+49'], { host: 'many' }),
        carrier('inbound', [], { host: 'inbound' }),
      ],
    }),
  );
  t.equal(sets.size, 2);
  t.same(new Set([...prefixes.keys()]), new Set(['+1', '+44', '+49']));
  const rules = new Set(prefixes.values());
  t.equal(rules.size, 1);
  t.not(retell, [...rules][0]);
  t.end();
});
