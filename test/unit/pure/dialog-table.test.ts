import t from 'tap';
import { fieldsOfDialog } from '../../../control-plane/src/calls/reconciler/adoption.js';
import { DialogTable } from '../../../control-plane/src/kamailio/dialog-table.js';
import type { RpcClient } from '../../../control-plane/src/kamailio/rpc-client.js';

/** A table that answers with these results; the replies are those of Kamailio 5.6.3, and 6.0.1 writes the same. */
function tableOf(results: Record<string, unknown>): DialogTable {
  const call = async (method: string) => results[method];
  return new DialogTable({ node: 'node1', call } as unknown as RpcClient);
}

const CALLER = {
  tag: '838db90e061',
  contact: 'sip:+14155550123@192.0.2.2:49199',
  cseq: '1',
  route_set: '<sip:192.0.2.7;lr>,<sip:192.0.2.8;transport=tcp;lr>',
  socket: 'udp:192.0.2.1:25085',
};
const ANSWERED = {
  h_entry: 1186,
  h_id: 1007,
  ref: 2,
  'call-id': '838db90e063',
  from_uri: 'sip:+14155550123@192.0.2.2:49199',
  to_uri: 'sip:+14155550100@192.0.2.1:25085',
  state: 4,
  start_ts: 1795490219,
  init_ts: 1795490217,
  end_ts: 0,
  duration: 0,
  timeout: 1795497419,
  lifetime: 7200,
  dflags: 1667,
  sflags: 0,
  iflags: 1,
  caller: CALLER,
  callee: {
    tag: '2f86293e412',
    contact: 'sip:+14155550100@198.51.100.3:52663',
    cseq: '0',
    route_set: '',
    socket: 'udp:2001:db8::1:25085',
  },
  profiles: [{ gateway: 'sip:198.51.100.3:52663' }, 'retell', { carrier: 'acme' }],
  variables: [{ call: 'ca1a211e-c443-4676-acd3-89b9b5c9aaab:+14155550100:acme' }],
};
const RINGING = {
  ...ANSWERED,
  state: 2,
  start_ts: 0,
  timeout: 0,
  callee: { tag: null, contact: null, cseq: null, route_set: null, socket: null },
};

t.test('counts tell answered dialogs from those that are not', async (t) => {
  const table = tableOf({
    'dlg.stats_active': { starting: 1, connecting: 2, answering: 3, ongoing: 4, all: 10 },
  });
  t.same(await table.counts(), { early: 3, all: 10 });
});

t.test('the list leaves out dialogs that have ended and linger', async (t) => {
  const table = tableOf({
    'dlg.briefing': [
      { h_entry: 1182, h_id: 368, 'call-id': '838db90e067', state: 2 },
      { h_entry: 1186, h_id: 1007, 'call-id': '838db90e063', state: 5 },
    ],
  });
  t.same(await table.summaries(), [{ sip_call_id: '838db90e067', state: 2 }]);
  t.same(await tableOf({ 'dlg.briefing': [] }).summaries(), []);
});

t.test('the details of a dialog have all that a request within it needs', async (t) => {
  const [dialog, ...others] = await tableOf({ 'dlg.dlg_list': ANSWERED }).withCallId('838db90e063');
  t.same(others, []);
  t.match(dialog, {
    state: 4,
    sip_call_id: '838db90e063',
    created_at: 1795490217_000,
    answered_at: 1795490219_000,
    max_duration_s: 7200,
    caller: { cseq: 1, route_set: ['<sip:192.0.2.7;lr>', '<sip:192.0.2.8;transport=tcp;lr>'] },
    callee: { tag: '2f86293e412', cseq: 0, route_set: [], socket: 'udp:[2001:db8::1]:25085' },
  });
  t.same(Object.fromEntries(dialog?.variables ?? []), {
    id: 'ca1a211e-c443-4676-acd3-89b9b5c9aaab',
    number: '+14155550100',
    carrier: 'acme',
  });
});

t.test('what is not there is no dialog: unknown, or ended', async (t) => {
  t.same(await tableOf({ 'dlg.dlg_list': {} }).withCallId('nope'), []);
  t.same(await tableOf({ 'dlg.dlg_list': { ...ANSWERED, state: 5, variables: [] } }).withCallId('a'), []);
});

t.test('several dialogs with one Call-ID come as a list', async (t) => {
  const table = tableOf({ 'dlg.dlg_list': [ANSWERED, RINGING, { ...ANSWERED, state: 5 }] });
  t.same(
    (await table.withCallId('838db90e063')).map(({ state }) => state),
    [4, 2],
  );
});

t.test("a node's clock is read in whatever time zone it is", async (t) => {
  for (const zoneMs of [0, 2 * 3_600_000, -(5 * 3_600_000 + 30 * 60_000)]) {
    for (const aheadMs of [0, 60_000, -60_000]) {
      const date = new Date(Date.now() + zoneMs + aheadMs);
      const [weekday, day, month, year, time] = date.toUTCString().replace(',', '').split(' ');
      // Such as `Tue Nov 24 03:16:59 2026`, and a day of one digit after two spaces.
      const now = `${weekday} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`;
      const clock = await tableOf({ 'core.uptime': { now, up_since: '', uptime: 61 } }).clock();
      t.ok(Math.abs(clock.aheadMs - aheadMs) < 5000, now);
      t.ok(Math.abs(Date.now() + aheadMs - 61_000 - clock.startedAt) < 5000, now);
    }
  }
});

t.test('what is no such reply is refused, not misread', async (t) => {
  const refused = { code: 'KAMAILIO_PROTOCOL' };
  // Kamailio answers with this to requests that it does not understand.
  await t.rejects(tableOf({ 'dlg.stats_active': {} }).counts(), refused);
  await t.rejects(tableOf({ 'dlg.briefing': {} }).summaries(), refused);
  await t.rejects(tableOf({ 'dlg.briefing': [{ 'call-id': 'a' }] }).summaries(), refused);
  await t.rejects(tableOf({ 'dlg.dlg_list': { ...ANSWERED, state: 9 } }).withCallId('a'), refused);
  await t.rejects(tableOf({ 'core.uptime': { now: 'soon', uptime: 61 } }).clock(), refused);
  await t.rejects(tableOf({ 'core.uptime': '61' }).clock(), refused);
});

t.test('the record of an answered dialog is what its events would have written', async (t) => {
  const [dialog] = await tableOf({ 'dlg.dlg_list': ANSWERED }).withCallId('838db90e063');
  if (dialog === undefined) throw new Error('no dialog');
  const { dialog: identity, ...fields } = fieldsOfDialog(dialog, 'node1', 1795490300_000);
  t.same(fields, {
    direction: 'inbound',
    node: 'node1',
    carrier: 'acme',
    gateway: 'sip:198.51.100.3:52663',
    number: '+14155550100',
    from: '+14155550123',
    to: '+14155550100',
    sip_call_id: '838db90e063',
    from_tag: '838db90e061',
    created_at: '1795490217000',
    invited_at: '1795490217000',
    answered_at: '1795490219000',
    sip_status: '200',
    max_duration_s: '7200',
    't:1795490300000000:adopted': '{}',
  });
  t.match(JSON.parse(identity ?? ''), { h_entry: 1186, caller: { tag: '838db90e061' } });
});

t.test('the record of a dialog that rings has no answer', async (t) => {
  const variables = [{ call: 'x:+14155550100:' }, { to: '+14155550177' }];
  const [dialog] = await tableOf({ 'dlg.dlg_list': { ...RINGING, variables } }).withCallId('838db90e063');
  if (dialog === undefined) throw new Error('no dialog');
  const fields = fieldsOfDialog(dialog, 'node1', 1795490300_000);
  t.match(fields, { direction: 'outbound', to: '+14155550177', number: '+14155550100' });
  for (const absent of ['answered_at', 'dialog', 'sip_status', 'carrier']) t.notOk(absent in fields, absent);
});
