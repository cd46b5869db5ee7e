import t from 'tap';
import {
  type FilteredCall,
  fits,
  type HangupFilter,
} from '../../../control-plane/src/calls/hangup-jobs/filter.js';

const NOW = 1_000_000_000;

const CALL: FilteredCall = {
  carrier: 'acme',
  number: '+14155550100',
  agent_id: 'agent_abc',
  node: 'node1',
  direction: 'inbound',
  created_at: NOW - 60_000,
  ringing_at: NOW - 59_000,
  answered_at: NOW - 58_000,
  ended_at: undefined,
};

t.test('an empty filter fits every call that has not ended', async (t) => {
  t.equal(fits(CALL, {}, NOW), true);
  t.equal(fits({ ...CALL, answered_at: undefined, carrier: undefined }, {}, NOW), true);
  t.equal(fits({ ...CALL, ended_at: NOW }, {}, NOW), false);
});

const members: [HangupFilter, HangupFilter][] = [
  [{ carrier: 'acme' }, { carrier: 'acm' }],
  [{ number: '+14155550100' }, { number: '+1415555010' }],
  [{ agent_id: 'agent_abc' }, { agent_id: 'agent_ABC' }],
  [{ node: 'node1' }, { node: 'node2' }],
  [{ direction: 'inbound' }, { direction: 'outbound' }],
  [{ state: 'answered' }, { state: 'ringing' }],
  [{ older_than_s: 60 }, { older_than_s: 61 }],
];

for (const [fitting, other] of members) {
  const [member = ''] = Object.keys(fitting);
  t.test(`${member} has to fit, whatever else does`, async (t) => {
    t.equal(fits(CALL, fitting, NOW), true);
    t.equal(fits(CALL, other, NOW), false);
    for (const [another] of members)
      t.equal(fits(CALL, { ...another, ...other }, NOW), false, JSON.stringify(another));
  });
}

t.test('a call that fits all members at once is the only one that fits', async (t) => {
  const filter = Object.assign({}, ...members.map(([fitting]) => fitting));
  t.equal(fits(CALL, filter, NOW), true);
});

t.test('what a call does not have fits no name', async (t) => {
  for (const member of ['carrier', 'number', 'agent_id'] as const)
    t.equal(fits({ ...CALL, [member]: undefined }, { [member]: 'acme' }, NOW), false, member);
});

t.test('the state is that of the record: routing before ringing before answered', async (t) => {
  const ringing = { ...CALL, answered_at: undefined };
  const routing = { ...ringing, ringing_at: undefined };
  t.equal(fits(ringing, { state: 'ringing' }, NOW), true);
  t.equal(fits(routing, { state: 'routing' }, NOW), true);
  t.equal(fits(routing, { state: 'ringing' }, NOW), false);
});
