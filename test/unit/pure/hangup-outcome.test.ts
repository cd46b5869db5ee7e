import t from 'tap';
import { callOfRecord } from '../../../control-plane/src/calls/call-of-record.js';
import { lateResultOf, resultOf } from '../../../control-plane/src/calls/hangup/outcome.js';

/** An inbound call whose caller gave up just when a hangup had sent CANCEL to Retell. */
const GIVEN_UP = {
  direction: 'inbound',
  created_at: '1000',
  ringing_at: '1100',
  ended_at: '1200',
  ended_by: 'carrier',
  sip_status: '487',
  hangup_ended_by: 'api',
  cancel_sent_at: '1190',
};
const CANCELED = (status: number | 'timeout') => [
  { leg: 'carrier', method: null, status: null, sent: 0 },
  { leg: 'retell', method: 'CANCEL', status, sent: 1 },
];

t.test('a call that its own side ended waits for the answer to what crossed that', async (t) => {
  t.equal(resultOf(callOfRecord('id-1', GIVEN_UP)), undefined, 'no answer has come yet');
  const answered = callOfRecord('id-1', { ...GIVEN_UP, cancel_status: '487' });
  t.same(resultOf(answered), { outcome: 'already_ended', legs: CANCELED(487) });
});

t.test(
  'a call that its own side ended has ended, also where what crossed that is never answered',
  async (t) => {
    const result = lateResultOf(callOfRecord('id-1', GIVEN_UP));
    t.same(result, { outcome: 'already_ended', legs: CANCELED('timeout') });
  },
);
