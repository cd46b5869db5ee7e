import t from 'tap';
import { readFunctionCall } from '../../../control-plane/src/retell/function-call.js';

const call = { call_id: 'call_a1', call_status: 'ongoing', agent_id: 'agent_x', transcript: 'long' };

t.test('a function comes with its call and arguments, or with bare arguments', (t) => {
  t.match(readFunctionCall({ name: 'end_call', call, args: { reason: 'x' } }), {
    call: { call_id: 'call_a1', agent_id: 'agent_x' },
    args: { reason: 'x' },
  });
  t.match(readFunctionCall({ call_id: 'call_a1', to: '+14155550188' }), {
    call: { call_id: 'call_a1' },
    args: { to: '+14155550188' },
  });
  t.match(
    readFunctionCall({ call, args: { call_id: 'call_b2' } }),
    { call: { call_id: 'call_a1' }, args: { call_id: 'call_b2' } },
    'what Retell says of the call goes before what the agent says',
  );
  t.match(readFunctionCall({ call: 'call_a1', args: { call_id: 'call_b2' } }), {
    call: { call_id: 'call_b2' },
  });
  for (const args of [null, 'x', 17]) {
    t.match(readFunctionCall({ call, args }), { call: { call_id: 'call_a1' }, args: { args } });
  }
  t.match(readFunctionCall({ name: 'x', args: { call_id: 'call_a1' } }), { call: { call_id: 'call_a1' } });
  t.end();
});

t.test('one without a usable call id has no call', (t) => {
  for (const body of [
    {},
    { to: '+14155550188' },
    { call_id: 17 },
    { call_id: 'a b' },
    { call: {}, args: {} },
  ]) {
    t.equal(readFunctionCall(body).call, undefined, JSON.stringify(body));
  }
  t.same(readFunctionCall({ args: ['x'] }).args, { args: ['x'] });
  t.end();
});
