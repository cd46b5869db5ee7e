import t from 'tap';
import { callOfRecord } from '../../../control-plane/src/calls/call-of-record.js';
import {
  endOnWire,
  openChallenge,
  referEventsOf,
} from '../../../control-plane/src/calls/transfer/outcome.js';
import { failureNotice, spokenReason } from '../../../control-plane/src/calls/transfer/sentences.js';
import { transferFields, transferStateOf } from '../../../control-plane/src/calls/transfer/transfer.js';

/** `202` is a response, `n180` a NOTIFY, `n-` one without a status, `n-t` that closes, `x403` a refusal of ours. */
function timelineOf(script: string) {
  return script.split(' ').map((word, i) => {
    const [, kind = '', code = '', closed = ''] = /^([nx]?)(\d*)-?(t?)$/.exec(word) ?? [];
    return {
      at: 1000 + i,
      type: kind === 'n' ? 'refer_notified' : kind === 'x' ? 'refer_refused' : 'refer_answered',
      transfer: 'x1',
      ...(code !== '' && { code: Number(code) }),
      ...(kind === 'n' && { subscription: closed === 't' ? 'terminated;reason=timeout' : 'active' }),
    };
  });
}

const end = (script: string, source: 'api' | 'retell' = 'api') => {
  const found = endOnWire({ source }, referEventsOf(timelineOf(script), 'x1'));
  return found && `${found.outcome}${found.status === undefined ? '' : ` ${found.status}`}`;
};

t.test('a transfer ends with the first end that the wire tells of', (t) => {
  const rows: [script: string, end: string | undefined][] = [
    ['202', undefined],
    ['202 n100 n180', undefined],
    ['202 n100 n180 n200', 'succeeded 200'],
    ['n100 n200 202', 'succeeded 200'],
    ['202 n299', 'succeeded 299'],
    ['202 n302', 'failed 302'],
    ['202 n486 n486', 'failed 486'],
    ['202 n486 n200', 'failed 486'],
    ['202 n200 n486', 'succeeded 200'],
    ['202 n200 403', 'succeeded 200'],
    ['202 n486 403', 'failed 486'],
    ['n100 403', 'rejected 403'],
    ['403 n200', 'rejected 403'],
    ['202 202 n180', undefined],
    ['202 n200 n-t', 'succeeded 200'],
    ['202 n-t n200', 'failed'],
    ['401 407', 'rejected 407'],
    ['401 202 n180', undefined],
    ['202 n-', undefined],
    ['202 n-t', 'failed'],
    ['202 n180t', 'failed'],
    ['202 n200t', 'succeeded 200'],
    ['403', 'rejected 403'],
    ['301', 'rejected 301'],
    ['401', undefined],
    ['407 202 n200', 'succeeded 200'],
    ['401 403', 'rejected 403'],
    ['401 401', 'rejected 401'],
    ['407 401', 'rejected 401'],
    ['x405', 'rejected 405'],
  ];
  for (const [script, expected] of rows) t.equal(end(script), expected, script);
  t.equal(end('407', 'retell'), 'rejected 407', 'nobody answers that for Retell');
  t.end();
});

t.test('events of another transfer do not count', (t) => {
  t.same(referEventsOf(timelineOf('202 n200'), 'x2'), []);
  t.end();
});

t.test('a challenge is open until something is sent in answer to it', (t) => {
  const open = (script: string) => openChallenge(referEventsOf(timelineOf(script), 'x1'))?.code;
  t.equal(open('401'), 401);
  t.equal(open('407'), 407);
  t.equal(open('403'), undefined);
  t.equal(open('407 202'), undefined);
  t.equal(open('n100'), undefined);
  t.end();
});

t.test('a record holds each transfer with how far it is, the oldest first', (t) => {
  const request = (at: number) => ({
    source: 'api' as const,
    by: 'ops',
    to: '+14155550188',
    refer_to: 'sip:+14155550188@198.51.100.10',
    on_failure: 'resume' as const,
    requested_at: at,
    timeout_s: 60,
    warnings: [],
  });
  const states = (record: Record<string, string>) =>
    callOfRecord('id1', record).transfers.map((transfer) => `${transfer.id} ${transferStateOf(transfer)}`);
  const first = transferFields.requested('b', request(1000));
  t.same(states(first), ['b requested']);
  const record = {
    ...transferFields.requested('a', request(2000)),
    ...first,
    ...transferFields.stage('b', 'accepted', 1001),
    ...transferFields.stage('a', 'accepted', 2001),
    ...transferFields.stage('a', 'ringing', 2003),
    ...transferFields.stage('a', 'trying', 2002),
  };
  t.same(states(record), ['b accepted', 'a ringing']);
  const ended = { ...record, ...transferFields.end('b', { outcome: 'timed_out', at: 1500 }) };
  t.same(states(ended), ['b timed_out', 'a ringing']);
  t.same(
    callOfRecord('id1', ended).timeline.map(({ type, transfer }) => `${type} ${transfer}`),
    ['transfer_requested b', 'transfer_ended b', 'transfer_requested a'],
  );
  t.same(states(transferFields.stage('c', 'accepted', 1)), [], 'one that nobody has heard of');
  t.end();
});

t.test('the agent is told why, in words', (t) => {
  t.equal(spokenReason({ outcome: 'failed', status: 486 }), 'the line is busy');
  t.equal(spokenReason({ outcome: 'rejected', status: 603 }), 'the call was declined');
  t.equal(spokenReason({ outcome: 'timed_out' }), 'it was not answered in time');
  t.equal(spokenReason({ outcome: 'failed', status: 599 }), 'the line could not be reached');
  t.equal(spokenReason({ outcome: 'failed' }), 'the line could not be reached');
  const told = failureNotice('{to}? {reason}! {to}.', '$&1', { outcome: 'failed', status: 480 });
  t.equal(told, '$&1? nobody answered! $&1.');
  t.end();
});
