import t from 'tap';
import { isWithin } from '../../../control-plane/src/config/networks.js';
import { webhookScene } from './webhook-fixture.js';

t.test('webhooks from elsewhere are refused where the networks of Retell are configured', async (t) => {
  const s = await webhookScene(t);
  t.equal((await s.ask()).status, 200, 'with none, they may come from anywhere');
  s.config.current.retell.webhook_networks = ['100.20.5.228'];
  t.match(await s.ask(), { status: 403, body: { code: 'source_not_allowed' } });
  t.match(await s.tell('call_ended', { call_id: 'call_1' }), { status: 403 });
  s.config.current.retell.webhook_networks = ['100.20.5.228', '127.0.0.0/8'];
  t.equal((await s.ask()).status, 200);
  t.same(s.outcomes, ['accepted', 'source_not_allowed', 'source_not_allowed', 'accepted']);
});

t.test('an address is in a network, whichever way it is written', (t) => {
  t.ok(isWithin('192.0.2.7', ['192.0.2.0/29']));
  t.ok(isWithin('::ffff:192.0.2.7', ['192.0.2.0/29']));
  t.ok(isWithin('2001:db8::7', ['198.51.100.0/24', '2001:db8::/32']));
  t.notOk(isWithin('192.0.2.8', ['192.0.2.0/29']));
  t.notOk(isWithin('192.0.2.7', ['::/96']));
  t.notOk(isWithin('192.0.2.7', []));
  t.end();
});
