import t from 'tap';
import { callOfRecord } from '../../../control-plane/src/calls/call-of-record.js';
import { explain } from '../../../control-plane/src/calls/explanation.js';
import { type RecordFields, timeline } from '../../../control-plane/src/calls/record.js';
import { transferFields } from '../../../control-plane/src/calls/transfer/transfer.js';

const START = 1_790_000_000_000;
const at = (seconds: number) => String(START + seconds * 1000);

const INBOUND: RecordFields = {
  direction: 'inbound',
  carrier: 'acme',
  number: '+14155550100',
  from: '+14155550123',
  sip_call_id: 'call@192.0.2.1',
  created_at: at(0),
};
const OUTBOUND: RecordFields = {
  ...INBOUND,
  direction: 'outbound',
  from: '+14155550100',
  to: '+14155550123',
};
const UP: RecordFields = { ringing_at: at(1), answered_at: at(2), sip_status: '200' };
const command = (by: string, reason?: string) =>
  timeline({ at: (START + 50_000) * 1000, type: 'hangup_requested' }, { by, ...(reason && { reason }) });
const transfer = (source: 'api' | 'function') => ({
  ...transferFields.requested('t1', {
    ...{ source, by: 'ops', to: '+14155550177', refer_to: 'sip:+14155550177@192.0.2.1' },
    ...{ on_failure: 'resume', requested_at: START + 20_000, timeout_s: 60, warnings: [] },
  }),
  ...transferFields.end('t1', { outcome: 'succeeded', status: 200, at: START + 40_000 }),
});

const ENDINGS: [what: string, fields: RecordFields, sentence: string][] = [
  [
    'the caller hangs up',
    { ...INBOUND, ...UP, ended_at: at(82), ended_by: 'carrier', retell_disconnection_reason: 'user_hangup' },
    'The caller hung up after 1 min 20 s.',
  ],
  [
    'the called side hangs up, and Retell sees it otherwise',
    { ...OUTBOUND, ...UP, ended_at: at(44), ended_by: 'carrier', retell_disconnection_reason: 'error_asr' },
    'The called side at acme hung up after 42 s, while Retell says error_asr.',
  ],
  [
    'the agent hangs up',
    { ...INBOUND, ...UP, ended_at: at(44), ended_by: 'retell', retell_disconnection_reason: 'agent_hangup' },
    'Retell ended the call after 42 s, as the agent hung up (agent_hangup).',
  ],
  [
    'Retell ends it for silence',
    { ...INBOUND, ...UP, ended_at: at(602), ended_by: 'retell', retell_disconnection_reason: 'inactivity' },
    'Retell ended the call after 10 min 0 s, as nobody had said anything for too long (inactivity).',
  ],
  [
    'Retell ends it with an error',
    {
      ...{ ...INBOUND, ...UP, ended_at: at(3), ended_by: 'retell' },
      retell_disconnection_reason: 'error_llm_websocket_open',
    },
    'Retell ended the call after 1 s, for an error of its own (error_llm_websocket_open).',
  ],
  [
    'Retell ends it for a reason that is new',
    { ...INBOUND, ...UP, ended_at: at(3), ended_by: 'retell', retell_disconnection_reason: 'user_moved' },
    'Retell ended the call after 1 s (user_moved).',
  ],
  [
    'Retell ends it and no webhook came',
    { ...INBOUND, ...UP, ended_at: at(3), ended_by: 'retell' },
    'Retell ended the call after 1 s and has not told why.',
  ],
  [
    'a hangup by command',
    { ...INBOUND, ...UP, ended_at: at(52), ended_by: 'api', ...command('ops', 'fraud') },
    'It was hung up by command of ops (fraud) after 50 s.',
  ],
  [
    'a hangup whose BYE one side has not answered',
    {
      ...{ ...INBOUND, ...UP, ended_at: at(52), ended_by: 'api', ...command('ops') },
      ...{ bye_carrier_sent_at: at(52), bye_retell_sent_at: at(52), bye_retell_status: '200' },
    },
    'It was hung up by command of ops after 50 s; acme has not answered the BYE.',
  ],
  [
    'a transfer by command',
    { ...INBOUND, ...UP, ended_at: at(42), ended_by: 'api', ...transfer('api') },
    'The caller was transferred to +14155550177 by command after 40 s.',
  ],
  [
    "a transfer by the agent's function",
    { ...INBOUND, ...UP, ended_at: at(42), ended_by: 'function', ...transfer('function') },
    'The caller was transferred to +14155550177 by the agent after 40 s.',
  ],
  [
    "the agent's function ends it",
    { ...INBOUND, ...UP, ended_at: at(42), ended_by: 'function' },
    'The agent ended the call by its function after 40 s.',
  ],
  [
    'the longest duration',
    { ...INBOUND, ...UP, ended_at: at(7202), ended_by: 'timeout', reason: 'maximum duration reached' },
    'It was hung up after 2 h 0 min: maximum duration reached.',
  ],
  [
    'a side that is gone',
    { ...INBOUND, ...UP, ended_at: at(62), ended_by: 'timeout', reason: 'peer gone' },
    'It was hung up after 1 min 0 s, as one side did not answer any more.',
  ],
  [
    'the reaper',
    { ...INBOUND, ...UP, ended_at: at(62), ended_by: 'reaper', retell_disconnection_reason: 'agent_hangup' },
    'It was hung up after 1 min 0 s, as it had ended at Retell (agent_hangup).',
  ],
  [
    'an end that nobody told',
    { ...INBOUND, ...UP, ended_at: at(62), ended_by: 'reaper', reason: 'its end was not told' },
    'Its record was closed after 1 min 0 s: its end was not told.',
  ],
  [
    'a call that went on at Retell',
    { ...INBOUND, ...UP, ended_at: at(62), ended_by: 'carrier', retell_stopped_at: at(74) },
    'The caller hung up after 1 min 0 s; at Retell it went on and was stopped 12 s later.',
  ],
  [
    'the caller gives up while it rings',
    { ...INBOUND, ringing_at: at(1), ended_at: at(13), ended_by: 'carrier', sip_status: '487' },
    'The caller gave up after 12 s of ringing.',
  ],
  [
    'the caller gives up at once',
    { ...INBOUND, ended_at: String(START + 400), ended_by: 'carrier', sip_status: '487' },
    'The caller gave up after 0.4 s, before it rang.',
  ],
  [
    'Retell gives up an outbound call',
    {
      ...{ ...OUTBOUND, ringing_at: at(1), ended_at: at(31), ended_by: 'retell', sip_status: '487' },
      retell_disconnection_reason: 'dial_no_answer',
    },
    'Retell gave up after 30 s of ringing; Retell says dial_no_answer.',
  ],
  [
    'the called side is busy',
    {
      ...{ ...OUTBOUND, ringing_at: at(1), ended_at: at(3), ended_by: 'failure', sip_status: '486' },
      retell_disconnection_reason: 'dial_busy',
    },
    'The called side at acme refused the call with 486 (busy); Retell says dial_busy.',
  ],
  [
    'Retell refuses',
    { ...INBOUND, ended_at: at(1), ended_by: 'failure', sip_status: '404' },
    'Retell refused the call with 404 (number unknown).',
  ],
  [
    'no carrier takes it',
    {
      ...{ ...OUTBOUND, gateway: 'sip:b', ended_at: at(4), ended_by: 'failure', sip_status: '503' },
      ...{ reason: 'no carrier takes the call', carrier: 'beta' },
      ...timeline(
        { at: START * 1000 + 1, type: 'attempt_failed' },
        { carrier: 'acme', gateway: 'sip:a', status: 503 },
      ),
      ...timeline(
        { at: START * 1000 + 2, type: 'attempt_failed' },
        { carrier: 'beta', gateway: 'sip:b', status: 408 },
      ),
      ...timeline(
        { at: START * 1000 + 3, type: 'failed' },
        { status: 503, reason: 'no carrier takes the call' },
      ),
    },
    'The proxy refused the call with 503: no carrier takes the call; it had been refused by acme with 503, beta with 408.',
  ],
  [
    'nobody answers',
    { ...INBOUND, ringing_at: at(1), ended_at: at(121), ended_by: 'timeout', sip_status: '408' },
    'Nobody answered: it was given up after 2 min 0 s of ringing.',
  ],
  [
    'the proxy refuses',
    {
      ...{ ...INBOUND, ended_at: at(0), ended_by: 'failure', sip_status: '503' },
      reason: 'number limit reached',
    },
    'The proxy refused the call with 503: number limit reached.',
  ],
  [
    'the fallback fails too',
    {
      ...{ ...INBOUND, ended_at: at(4), ended_by: 'failure', sip_status: '503', reason: 'fallback failed' },
      ...timeline(
        { at: (START + 1000) * 1000, type: 'fallback' },
        { reason: 'no Retell gateway takes the call' },
      ),
    },
    'The proxy refused the call with 503: fallback failed; Retell had not taken it (no Retell gateway takes the call), and it went to the fallback.',
  ],
  [
    'a hangup before the answer',
    { ...INBOUND, ringing_at: at(1), ended_at: at(5), ended_by: 'api', ...command('ops'), sip_status: '480' },
    'It was hung up by command of ops after 4 s of ringing.',
  ],
];

t.test('every ending is told in one sentence that joins both sides', async (t) => {
  for (const [what, fields, sentence] of ENDINGS)
    t.equal(explain(callOfRecord('id', fields)), sentence, what);
});

t.test('a call that is up has no explanation', async (t) => {
  t.equal(explain(callOfRecord('id', { ...INBOUND, ...UP })), undefined);
});
