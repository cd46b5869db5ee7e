import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { RoutingTables } from '../../../control-plane/src/kamailio/routing-tables.js';
import { RpcClient } from '../../../control-plane/src/kamailio/rpc-client.js';

/** A node that gives these replies, by method; what it was asked is kept. */
async function nodeThat(t: Test, replies: Record<string, string>) {
  const asked: string[] = [];
  const server = createServer(async (request, reply) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, method, params } = JSON.parse(body);
    asked.push([method, ...params].join(' '));
    const text = replies[method] ?? '"result":{}';
    const { error } = JSON.parse(`{${text}}`);
    reply.writeHead(error?.code ?? 200).end(`{"jsonrpc":"2.0",${text},"id":${id}}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const rpc = new RpcClient({ node: 'node1', url: `http://127.0.0.1:${port}/RPC`, token: 'secret' });
  t.teardown(async () => {
    await rpc.close();
    server.close();
  });
  return { tables: new RoutingTables(rpc), asked };
}

// Replies of Kamailio 5.6.3, addresses and names changed; 6.0.1 has two attributes more.
const GATEWAYS =
  '"result":{"NRSETS":2,"RECORDS":[{"SET":{"ID":1,"TARGETS":[{"DEST":{"URI":"sip:203.0.113.10:5060;transport=tcp","FLAGS":"IP","PRIORITY":0,"ATTRS":{"BODY":"weight=50;carrier=retell","DUID":null,"MAXLOAD":0,"WEIGHT":50,"RWEIGHT":0,"SOCKET":null,"SOCKNAME":null,"OBPROXY":null},"LATENCY":{"AVG":0,"STD":0,"EST":0,"MAX":0,"TIMEOUT":6}}},{"DEST":{"URI":"sip:203.0.113.11:5060","FLAGS":"DX","PRIORITY":0,"ATTRS":{"BODY":null,"DUID":null,"MAXLOAD":0,"WEIGHT":50,"RWEIGHT":0,"SOCKET":null,"SOCKNAME":null,"OBPROXY":null},"LATENCY":{"AVG":0,"STD":0,"EST":0,"MAX":0,"TIMEOUT":0}}}]}},{"SET":{"ID":3,"TARGETS":[{"DEST":{"URI":"sip:198.51.100.10:5060","FLAGS":"AP","PRIORITY":0,"ATTRS":{"BODY":"weight=100;carrier=acme","DUID":null,"MAXLOAD":0,"WEIGHT":100,"RWEIGHT":0,"SOCKET":null,"SOCKNAME":null,"OBPROXY":null,"OCMIN":0,"OCMAX":100},"LATENCY":{"AVG":12,"STD":0,"EST":14.5,"MAX":24,"TIMEOUT":0}}}]}}]}';
const REGISTRATIONS =
  '"result":[{"l_uuid":"acme","l_username":"user","l_domain":"192.0.2.1","r_username":"user","r_domain":"198.51.100.10","realm":"realm","auth_username":"user","auth_password":"hunter2","auth_ha1":"none","auth_proxy":"sip:198.51.100.10:5060","expires":600,"flags":20,"diff_expires":592,"timer_expires":1795480034,"reg_init":1795479434,"reg_delay":0,"contact_addr":"192.0.2.1:5060","socket":"udp:192.0.2.1:5060"},{"l_uuid":"globex","l_username":"user","l_domain":"192.0.2.1","r_username":"user","r_domain":"192.0.2.10","realm":"realm","auth_username":"user","auth_password":"hunter2","auth_ha1":"none","auth_proxy":"sip:192.0.2.10:5060","expires":600,"flags":16,"diff_expires":8,"timer_expires":1795479450,"reg_init":1795479434,"reg_delay":0,"contact_addr":"192.0.2.1:5060","socket":"udp:192.0.2.1:5060"}]';

t.test('gateways come with set, state, probing, latency and attributes', async (t) => {
  const { tables } = await nodeThat(t, { 'dispatcher.list': GATEWAYS });
  t.same(await tables.gateways(), [
    {
      set: 1,
      uri: 'sip:203.0.113.10:5060;transport=tcp',
      state: 'inactive',
      probed: true,
      latencyMs: undefined,
      attributes: 'weight=50;carrier=retell',
    },
    {
      set: 1,
      uri: 'sip:203.0.113.11:5060',
      state: 'disabled',
      probed: false,
      latencyMs: undefined,
      attributes: '',
    },
    {
      set: 3,
      uri: 'sip:198.51.100.10:5060',
      state: 'active',
      probed: true,
      latencyMs: 14.5,
      attributes: 'weight=100;carrier=acme',
    },
  ]);
});

t.test('a dispatcher without sets is a list without gateways', async (t) => {
  const { tables } = await nodeThat(t, {
    'dispatcher.list': '"error":{"code":500,"message":"No Destination Sets"}',
  });
  t.same(await tables.gateways(), []);
});

t.test('a reply of another shape is never taken for an empty one', async (t) => {
  const { tables } = await nodeThat(t, {
    'dispatcher.list': '"result":{}',
    'htable.dump': '"result":{}',
    'dlg.profile_get_size': '"result":{}',
  });
  await t.rejects(tables.gateways(), { code: 'KAMAILIO_PROTOCOL' });
  await t.rejects(tables.drained(), { code: 'KAMAILIO_PROTOCOL' });
  await t.rejects(tables.calls(), { code: 'KAMAILIO_PROTOCOL' });
});

t.test('networks are the single addresses and the blocks, and none where Kamailio has none', async (t) => {
  const { tables } = await nodeThat(t, {
    'permissions.addressDump':
      '"result":[{"table":13,"group":1,"item":{"ip":"198.51.100.7","port":0,"tag":"acme"}},{"table":37,"group":1,"item":{"ip":"2001:db8::1","port":0,"tag":"acme"}}]',
    'permissions.subnetDump':
      '"result":[{"id":2,"group":2,"item":{"ip":"203.0.113.0","mask":24,"port":0,"tag":"retell"}}]',
  });
  t.same(await tables.networks(), [
    { group: 1, address: '198.51.100.7', prefix: 32, tag: 'acme' },
    { group: 1, address: '2001:db8::1', prefix: 128, tag: 'acme' },
    { group: 2, address: '203.0.113.0', prefix: 24, tag: 'retell' },
  ]);
  const empty = await nodeThat(t, {});
  t.same(await empty.tables.networks(), []);
});

t.test('registrations say whether they hold, and leave passwords out', async (t) => {
  const { tables } = await nodeThat(t, { 'uac.reg_dump': REGISTRATIONS });
  t.same(await tables.registrations(), [
    { id: 'acme', registered: true, expiresAt: 1795480034 },
    { id: 'globex', registered: false, expiresAt: 1795479450 },
  ]);
});

t.test('htables: sizes, a value, a key that is not there, what is drained', async (t) => {
  const { tables } = await nodeThat(t, {
    'htable.stats': '"result":[{"name":"numbers","slots":4096,"all":2,"min":0,"max":1}]',
    'htable.get': '"result":{"item":{"name":"retell","value":5,"flags":0,"expire":"2026-11-24 00:15:41"}}',
    'htable.dump': '"result":[{"entry":11,"size":1,"slot":[{"name":"acme","value":1,"type":"int"}]}]',
    'htable.delete': '"error":{"code":404,"message":"Key not found in htable."}',
  });
  t.same(await tables.tableSizes(), new Map([['numbers', 2]]));
  t.equal(await tables.tableValue('slots', 'retell'), '5');
  t.same(await tables.drained(), new Set(['acme']));
  await tables.clearDrained('acme');
  const missing = await nodeThat(t, {
    'htable.get': `"error":{"code":500,"message":"Key name doesn't exist in htable."}`,
  });
  t.equal(await missing.tables.tableValue('slots', 'retell'), undefined);
});

t.test('a set that does not hold the gateway any more makes setGatewayState answer false', async (t) => {
  const { tables } = await nodeThat(t, {
    'dispatcher.set_state': '"error":{"code":500,"message":"State Update Failed"}',
  });
  t.equal(await tables.setGatewayState(9, 'sip:198.51.100.10:5060', 'dx'), false);
  const there = await nodeThat(t, { 'dispatcher.set_state': '"result":"Ok. Dispatcher state updated."' });
  t.equal(await there.tables.setGatewayState(3, 'sip:198.51.100.10:5060', 'dx'), true);
  t.same(there.asked, ['dispatcher.set_state dx 3 sip:198.51.100.10:5060']);
});

t.test('counting many values ends where the time is over, with what is counted', async (t) => {
  const { tables } = await nodeThat(t, { 'dlg.profile_get_size': '"result":4' });
  t.same(
    await tables.profileSizes('carrier', ['acme', 'globex'], 60_000),
    new Map([
      ['acme', 4],
      ['globex', 4],
    ]),
  );
  t.same(await tables.profileSizes('carrier', ['acme'], -1), new Map());
});
