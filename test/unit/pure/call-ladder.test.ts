import t from 'tap';
import type { Call } from '../../../control-plane/src/calls/call.js';
import { callOfRecord } from '../../../control-plane/src/calls/call-of-record.js';
import { ladderOf } from '../../../control-plane/src/calls/ladder/call-ladder.js';
import { drawLadder, drawMermaid } from '../../../control-plane/src/calls/ladder/draw.js';
import { type RecordFields, timeline } from '../../../control-plane/src/calls/record.js';
import { transferFields } from '../../../control-plane/src/calls/transfer/transfer.js';

const START = 1_790_000_000_000;
const GATEWAY = 'sip:192.0.2.1:5060;transport=tcp';
const INBOUND: RecordFields = { direction: 'inbound', carrier: 'acme', sip_call_id: 'call@192.0.2.9' };
const OUTBOUND: RecordFields = { ...INBOUND, direction: 'outbound' };

/** A call with these entries of its timeline, one each ms unless `ms` says when. */
function call(fields: RecordFields, entries: Record<string, unknown>[]): Call {
  const told = entries.map(({ type, ms, ...detail }, i) =>
    timeline({ at: (START + ((ms as number | undefined) ?? i)) * 1000, type: String(type) }, detail),
  );
  return callOfRecord('id', Object.assign({}, fields, ...told));
}

/** Its steps: `carrier > INVITE` where the side sent it, `carrier < 200 (INVITE)` where it got it. */
function steps(fields: RecordFields, entries: Record<string, unknown>[]): string[] {
  return ladderOf(call(fields, entries))
    .sort((a, b) => a.at - b.at)
    .map((step) =>
      'note' in step ? `* ${step.note}` : `${step.side} ${step.direction === 'out' ? '>' : '<'} ${step.text}`,
    );
}

const invite = { type: 'invite', source: '192.0.2.9:5060' };
const ringing = { type: 'ringing', gateway: GATEWAY, status: 180 };
const answered = { type: 'answered', gateway: GATEWAY };
const SETUP = [
  'carrier > INVITE',
  'retell < INVITE 192.0.2.1:5060',
  'retell > 180 (INVITE)',
  'carrier < 180 (INVITE)',
  'retell > 200 (INVITE)',
  'carrier < 200 (INVITE)',
];

t.test('a call that a side ends: its BYE and the answer go through', async (t) => {
  const fields = { ...INBOUND, ended_by: 'retell' };
  t.same(
    steps(fields, [
      invite,
      ringing,
      answered,
      { type: 'ended', by: 'retell' },
      { type: 'bye_confirmed', status: 200 },
    ]),
    [...SETUP, 'retell > BYE', 'carrier < BYE', 'carrier > 200 (BYE)', 'retell < 200 (BYE)'],
  );
});

t.test('a hangup by command: a BYE to each side, and what each said', async (t) => {
  const lines = steps({ ...INBOUND, ended_by: 'api' }, [
    invite,
    ringing,
    answered,
    { type: 'hangup_requested', by: 'ops' },
    { type: 'bye_sent', leg: 'carrier' },
    { type: 'bye_sent', leg: 'retell' },
    { type: 'ended', by: 'api' },
    { type: 'bye_answered', leg: 'carrier', status: 200 },
    { type: 'bye_answered', leg: 'retell', status: 408 },
  ]);
  t.same(lines.slice(SETUP.length), [
    '* hangup by command of ops',
    'carrier < BYE',
    'retell < BYE',
    'carrier > 200 (BYE)',
    'retell > 408 or silence (BYE)',
  ]);
});

t.test('every gateway that was tried has its INVITE and its refusal', async (t) => {
  const fields = { ...OUTBOUND, gateway: 'sip:c', ended_by: 'failure', sip_status: '404' };
  const refusals = [
    { type: 'attempt_failed', carrier: 'acme', gateway: 'sip:a', status: 503, q850_cause: 34 },
    { type: 'limited', limit: 'carrier', carrier: 'beta' },
    { type: 'attempt_failed', carrier: 'beta', gateway: 'sip:b', status: 477 },
    { type: 'failed', status: 404 },
  ];
  t.same(steps(fields, [invite, ...refusals]), [
    'retell > INVITE',
    'carrier < INVITE a',
    'carrier > 503 (INVITE) Q.850 34',
    '* limit reached: carrier beta',
    '* nothing could be sent to b',
    'carrier < INVITE c',
    'carrier > 404 (INVITE)',
    'retell < 404 (INVITE)',
  ]);
});

t.test('a fallback, and the refusal of a call that nobody takes', async (t) => {
  const fields = { ...INBOUND, gateway: 'sip:f', ended_by: 'failure', reason: 'fallback failed' };
  t.same(
    steps(fields, [
      invite,
      { type: 'attempt_failed', gateway: 'sip:r', status: 408 },
      { type: 'fallback', gateway: 'sip:f', reason: 'no Retell gateway takes the call' },
      { type: 'attempt_failed', gateway: 'sip:f', status: 486 },
      { type: 'failed', status: 503, reason: 'fallback failed' },
    ]),
    [
      'carrier > INVITE',
      'retell < INVITE r',
      'retell > 408 or silence (INVITE)',
      '* to the fallback: no Retell gateway takes the call',
      'retell < INVITE f',
      'retell > 486 (INVITE)',
      '* fallback failed',
      'carrier < 503 (INVITE)',
    ],
  );
});

t.test('a caller that gives up cancels the gateway too', async (t) => {
  const fields = { ...INBOUND, gateway: GATEWAY, ended_by: 'carrier', sip_status: '487' };
  t.same(steps(fields, [invite, ringing, { type: 'failed', status: 487 }]), [
    ...SETUP.slice(0, 4),
    'carrier > CANCEL',
    'retell < CANCEL',
    'retell > 487 (INVITE)',
    'carrier < 487 (INVITE)',
  ]);
});

t.test('a call that rings too long is cancelled, and one without a gateway has no CANCEL', async (t) => {
  const fields = { ...INBOUND, gateway: GATEWAY, ended_by: 'timeout', sip_status: '408' };
  t.same(steps(fields, [invite, ringing, { type: 'failed', status: 408 }]).slice(4), [
    'retell < CANCEL',
    '* not answered in time',
    'carrier < 408 or silence (INVITE)',
  ]);
  t.same(steps({ ...INBOUND, ended_by: 'failure' }, [invite, { type: 'failed', status: 404, reason: 'x' }]), [
    'carrier > INVITE',
    '* x',
    'carrier < 404 (INVITE)',
  ]);
  t.same(steps({ ...OUTBOUND, ended_by: 'failure' }, [{ type: 'failed', reason: 'x' }]), ['* x']);
});

t.test('a hangup before the answer: CANCEL, its final response, and the ACK of ours', async (t) => {
  const fields = { ...INBOUND, gateway: GATEWAY, ended_by: 'api', sip_status: '480' };
  t.same(
    steps(fields, [
      invite,
      ringing,
      { type: 'hangup_requested', by: 'ops' },
      { type: 'cancel_sent' },
      { type: 'failed', status: 480 },
      { type: 'refusal_acked' },
      { type: 'cancel_answered', status: 487 },
    ]).slice(4),
    [
      '* hangup by command of ops',
      'retell < CANCEL',
      'carrier < 480 (INVITE)',
      'carrier > ACK',
      'retell > 487 (INVITE)',
    ],
  );
});

const request = (source: 'api' | 'retell') =>
  transferFields.requested('t1', {
    ...{ source, by: 'ops', to: '+14155550177', refer_to: 'sip:+14155550177@192.0.2.1' },
    ...{ on_failure: 'resume', requested_at: START + 3, timeout_s: 60, warnings: [] },
  });
const progress = [
  { type: 'refer_answered', transfer: 't1', cseq: 2, code: 202 },
  { type: 'refer_notified', transfer: 't1', code: 180, subscription: 'active' },
  { type: 'refer_notified', transfer: 't1', subscription: 'terminated' },
];

t.test('a transfer by command is between proxy and carrier', async (t) => {
  const end = transferFields.end('t1', { outcome: 'succeeded', status: 200, at: START + 9 });
  const lines = steps({ ...INBOUND, ...request('api'), ...end }, [
    invite,
    ringing,
    answered,
    { type: 'refer_sent', transfer: 't1', cseq: 2, ms: 4 },
    ...progress.map((entry, i) => ({ ...entry, ms: 5 + i })),
  ]);
  t.same(lines.slice(SETUP.length), [
    '* transfer to +14155550177 by command of ops',
    'carrier < REFER',
    'carrier > 202 (REFER)',
    'carrier > NOTIFY 180',
    'carrier > NOTIFY',
    '* transfer succeeded',
  ]);
});

t.test("Retell's own REFER goes through, or is refused", async (t) => {
  const received = { type: 'refer_received', transfer: 't1' };
  t.same(steps({ ...INBOUND, ...request('retell') }, [received, ...progress.slice(0, 2)]), [
    'retell > REFER',
    'carrier < REFER',
    'carrier > 202 (REFER)',
    'retell < 202 (REFER)',
    'carrier > NOTIFY 180',
    'retell < NOTIFY 180',
  ]);
  const refused = { type: 'refer_refused', transfer: 't1', code: 403, reason: 'denied' };
  t.same(steps({ ...INBOUND, ...request('retell') }, [refused]), ['retell > REFER', 'retell < 403 (REFER)']);
});

t.test('a ladder says which times are only about right', async (t) => {
  t.same(drawLadder(ladderOf(call(INBOUND, [invite, ringing, { type: 'limited', limit: 'retell' }]))), [
    '          carrier                         proxy                          Retell',
    '    0.000 s  |-INVITE --------------------->|                              |',
    '   ~0.000 s  |                              |-INVITE 192.0.2.1:5060 ------>|',
    '    0.001 s  |                              |<--------------- 180 (INVITE)-|',
    '    0.001 s  |<--------------- 180 (INVITE)-|                              |',
    '    0.002 s  |  limit reached: retell',
  ]);
});

t.test('a Mermaid diagram of the same', async (t) => {
  t.same(drawMermaid(ladderOf(call(INBOUND, [invite, answered, { type: 'ended', by: 'carrier' }]))), [
    'sequenceDiagram',
    '    participant carrier as carrier',
    '    participant proxy as proxy',
    '    participant retell as Retell',
    '    carrier->>proxy: 0.000 s INVITE',
    '    proxy->>retell: ~0.000 s INVITE 192.0.2.1:5060',
    '    retell-->>proxy: 0.001 s 200 (INVITE)',
    '    proxy-->>carrier: 0.001 s 200 (INVITE)',
    '    carrier->>proxy: 0.002 s BYE',
    '    proxy->>retell: 0.002 s BYE',
  ]);
});

t.test(
  'text of strangers is text: no control characters, nothing that Mermaid or a browser obeys',
  async (t) => {
    const reason = 'a\u001b[31m\r\nb\u202e;%%#<script>\u2028end';
    const odd = ladderOf(call(INBOUND, [{ type: 'fallback', gateway: 'x', reason }]));
    t.equal(drawLadder(odd)[1], '    0.000 s  |  to the fallback: a [31m  b ;%%#<script> end');
    t.equal(
      drawMermaid(odd).at(-1),
      '    Note over carrier,retell: 0.000 s to the fallback: a #91;31m  b #59;#37;#37;#35;#60;script#62; end',
    );
    const long = ladderOf(
      call(INBOUND, [{ type: 'ringing', gateway: `sip:${'x'.repeat(99)}`, status: 180 }]),
    );
    t.ok(
      drawLadder(long).every((line) => line.length <= 80),
      'what is too long is cut to the width',
    );
  },
);
