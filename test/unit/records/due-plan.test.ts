import t from 'tap';
import { dueAfter } from '../../../control-plane/src/calls/due/plan.js';
import { fieldsOfBye, fieldsOfEvent } from '../../../control-plane/src/calls/record.js';
import type { CallEvent } from '../../../control-plane/src/kamailio/events.js';
import { configWith } from '../retell-fixture.js';

const AT_MS = 1_780_000_000_000;

/** The work that follows from one event of the call `id-1`. */
function after(event: CallEvent, more: Record<string, string> = {}, config = configWith()) {
  return dueAfter(
    [{ id: 'id-1', atMs: AT_MS, fields: { ...fieldsOfEvent(event, 'node1'), ...more }, event }],
    config,
  );
}

const leg = { tag: 't', contact: 'sip:a@192.0.2.1', route_set: [], cseq: 1, socket: 'udp:192.0.2.9:5060' };
const base = { id: 'id-1', at: AT_MS * 1000 };
const answered: CallEvent = {
  ...base,
  type: 'answered',
  carrier: 'acme',
  gateway: 'sip:192.0.2.1',
  max_duration_s: undefined,
  h_entry: 1,
  h_id: 1,
  from_uri: 'sip:a@192.0.2.1',
  to_uri: 'sip:b@192.0.2.2',
  caller: leg,
  callee: leg,
};
const ended = (by: string): CallEvent => ({ ...base, type: 'ended', by, reason: undefined });
const failed: CallEvent = {
  ...base,
  type: 'failed',
  carrier: undefined,
  gateway: undefined,
  code: 487,
  by: 'carrier',
  reason: undefined,
};

t.test('an answered call is ended some seconds after its longest duration', async (t) => {
  t.same(after(answered), [{ kind: 'max_duration', id: 'id-1', atMs: AT_MS + 7_200_000 + 5000 }]);
  t.same(after(answered, { max_duration_s: '60' }), [
    { kind: 'max_duration', id: 'id-1', atMs: AT_MS + 60_000 + 5000 },
  ]);
});

t.test('what follows from an end depends on who ended the call', async (t) => {
  const forgotten = { kind: 'max_duration', id: 'id-1' };
  const bye = { kind: 'missing_bye', id: 'id-1', atMs: AT_MS + 1000 };
  const atRetell = { kind: 'retell_lingers', id: 'id-1', atMs: AT_MS + 10_000 };
  t.same(after(ended('api')), [forgotten, bye, atRetell]);
  t.same(after(ended('timeout')), [forgotten, bye, atRetell]);
  t.same(after(ended('carrier')), [forgotten, atRetell], 'the carrier sent its BYE itself');
  t.same(after(ended('retell')), [forgotten], 'and Retell knows that it hung up');
  t.same(after(failed), [forgotten, atRetell], 'nobody gets a BYE who never answered');
});

t.test('Retell is not asked where nobody wants it or there is no key', async (t) => {
  const off = configWith();
  off.calls.reaper.stop_at_retell = 'off';
  t.same(after(ended('carrier'), {}, off), [{ kind: 'max_duration', id: 'id-1' }]);
  const keyless = configWith({ numbers: [] });
  delete keyless.retell.api_key;
  t.same(after(ended('carrier'), {}, keyless), [{ kind: 'max_duration', id: 'id-1' }]);
});

t.test('the reply to a BYE ends a call whose end Kamailio did not tell', async (t) => {
  const event = {
    type: 'bye_answered' as const,
    at: AT_MS * 1000,
    sip_call_id: 'c',
    from_tag: 'a',
    to_tag: 'b',
    code: 200,
  };
  const call = { direction: 'inbound', from_tag: 'a', timeline: [] } as unknown as Parameters<
    typeof fieldsOfBye
  >[1];
  const changes = dueAfter(
    [{ id: 'id-1', atMs: AT_MS, fields: fieldsOfBye(event, call), event }],
    configWith(),
  );
  t.same(
    changes.map(({ kind, atMs }) => [kind, atMs !== undefined]),
    [
      ['max_duration', false],
      ['missing_bye', true],
      ['retell_lingers', true],
    ],
  );
});
