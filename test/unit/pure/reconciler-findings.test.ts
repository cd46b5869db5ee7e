import t from 'tap';
import type { Call } from '../../../control-plane/src/calls/call.js';
import { callOfRecord } from '../../../control-plane/src/calls/call-of-record.js';
import { Findings, judgeDialog, judgeRecord } from '../../../control-plane/src/calls/reconciler/findings.js';
import type { RecordFields } from '../../../control-plane/src/calls/record.js';
import type { DialogDetails } from '../../../control-plane/src/kamailio/dialog-table.js';

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;
const RING_MS = 2 * MINUTE;
const GRACE_MS = 10_000;

function callOf(fields: Record<string, number | string>): Call {
  const record: RecordFields = { node: 'node1', sip_call_id: 'a', direction: 'inbound' };
  for (const [name, value] of Object.entries(fields)) record[name] = String(value);
  return callOfRecord('id', record);
}

/** A record without a dialog, of a node that started so long ago. */
function judged(fields: Record<string, number>, upMs: number) {
  return judgeRecord(callOf({ created_at: NOW - 10 * MINUTE, ...fields }), NOW - upMs, RING_MS, NOW);
}

t.test('an answered call without a dialog', async (t) => {
  const answered = { answered_at: NOW - 9 * MINUTE };
  t.match(
    judged(answered, 60 * MINUTE),
    { kind: 'lost_end', close: { ended_by: 'reaper', reason: 'its end was not told' } },
    'its node has been up all the while',
  );
  t.match(judged(answered, MINUTE), { kind: 'untracked', close: undefined }, 'its node has restarted since');
  t.match(
    judged(answered, 9 * MINUTE + 5000),
    { kind: 'untracked', close: undefined },
    'its node started just before: clocks may differ',
  );
  t.equal(judged({ ...answered, ended_at: NOW }, 60 * MINUTE), undefined, 'it has ended meanwhile');
});

t.test('a call that was never answered, without a dialog', async (t) => {
  t.match(judged({}, 60 * MINUTE), {
    kind: 'lost_end',
    close: { ended_by: 'failure', reason: 'its end was not told' },
  });
  t.match(judged({}, MINUTE), {
    kind: 'lost_setup',
    close: { ended_by: 'failure', reason: 'lost at a restart' },
  });
  t.equal(judged({ created_at: NOW - RING_MS - 29_000 }, MINUTE), undefined, 'it may ring yet');
});

/** A dialog that no open record has. */
function dialogOf(state: DialogDetails['state'], variables: Record<string, string> = { id: 'id' }) {
  const leg = { tag: 'x', contact: 'sip:x@192.0.2.1', route_set: [], cseq: 1, socket: 'udp:192.0.2.9:5060' };
  const dialog: DialogDetails = {
    h_entry: 1,
    h_id: 2,
    state,
    sip_call_id: 'a',
    from_uri: 'sip:x@192.0.2.1',
    to_uri: 'sip:y@192.0.2.9',
    created_at: NOW - MINUTE,
    answered_at: NOW - MINUTE,
    max_duration_s: 7200,
    caller: leg,
    callee: leg,
    gateway: 'sip:198.51.100.3',
    variables: new Map(Object.entries(variables)),
  };
  return dialog;
}

t.test('a dialog without an open record', async (t) => {
  const judge = (dialog: DialogDetails, call: Call | undefined) => judgeDialog(dialog, call, GRACE_MS, NOW);
  t.match(judge(dialogOf(4, {}), undefined), { kind: 'unknown_dialog', remedy: undefined });
  t.match(judge(dialogOf(4), undefined), { kind: 'unrecorded', remedy: 'adopt' });
  t.match(judge(dialogOf(2), undefined), { kind: 'unrecorded', remedy: 'adopt' });
  t.equal(judge(dialogOf(4), callOf({})), undefined, 'it has one by now');
  const part = callOfRecord('id', { answered_at: String(NOW) });
  t.match(judge(dialogOf(4), part), { kind: 'unrecorded', remedy: 'adopt' }, 'a part of one');
});

t.test('a dialog whose record has ended', async (t) => {
  const judge = (state: DialogDetails['state'], fields: Record<string, number>) =>
    judgeDialog(dialogOf(state), callOf(fields), GRACE_MS, NOW);
  t.equal(judge(4, { ended_at: NOW - GRACE_MS }), undefined, 'within its grace');
  t.match(judge(4, { ended_at: NOW - GRACE_MS - 1 }), { kind: 'zombie', remedy: 'end' });
  t.match(judge(3, { ended_at: NOW - MINUTE }), { kind: 'zombie', remedy: 'end' }, 'without ACK too');
  t.match(judge(2, { ended_at: NOW - MINUTE }), { kind: 'zombie', remedy: undefined }, 'it still rings');
  t.equal(
    judge(4, { ended_at: NOW - MINUTE, bye_retell_sent_at: NOW - 2000 }),
    undefined,
    'a BYE has just been sent',
  );
});

t.test('findings are counted, and the first 200 are kept', async (t) => {
  const findings = new Findings();
  for (let i = 0; i < 250; i += 1) {
    const kind = i % 2 === 0 ? 'untracked' : 'zombie';
    findings.add({ kind, call_id: String(i), node: 'node1', action: 'reported', detail: '' });
  }
  t.equal(findings.listed.length, 200);
  t.equal(findings.total, 250);
  t.same(findings.counts, [
    { kind: 'untracked', action: 'reported', count: 125 },
    { kind: 'zombie', action: 'reported', count: 125 },
  ]);
});
