import t, { type Test } from 'tap';
import { callRefOf, RetellApi } from '../../../control-plane/src/retell/api.js';
import { RetellError } from '../../../control-plane/src/retell/errors.js';
import type { RetellSimulator } from '../../retell-simulator/simulator.js';
import { configWith, startRetell } from '../retell-fixture.js';

/** A simulated Retell and a client of its API. */
async function retellOf(t: Test) {
  const simulator = await startRetell(t);
  const api = new RetellApi({
    config: { current: configWith({ retell: { base_url: simulator.http.url } }) },
  });
  t.teardown(() => api.close());
  return { simulator, api };
}

/** A call that Retell has; `up` where it is connected. */
function callAt({ calls }: RetellSimulator, up: boolean, metadata: Record<string, unknown> = {}) {
  const entry = calls.create({
    agent_id: 'agent_one',
    direction: 'inbound',
    from_number: '+14155550123',
    to_number: '+14155550101',
    metadata,
  });
  if (up) calls.connected(entry);
  return entry;
}

t.test('a call is told as Retell knows it, from its start to its end', async (t) => {
  const { simulator, api } = await retellOf(t);
  const entry = callAt(simulator, false, { call_ref: 'ref-1' });
  const { call_id } = entry.call;
  t.match(await api.getCall(call_id), {
    call_id,
    call_status: 'registered',
    metadata: { call_ref: 'ref-1' },
  });
  simulator.calls.connected(entry);
  t.match(await api.getCall(call_id), { call_status: 'ongoing', start_timestamp: Number });
  simulator.calls.ended(entry, 'agent_hangup');
  t.match(await api.getCall(call_id), {
    call_status: 'ended',
    disconnection_reason: 'agent_hangup',
    end_timestamp: Number,
  });
});

t.test('a call that Retell does not know is a refusal', async (t) => {
  const { api } = await retellOf(t);
  await t.rejects(api.getCall('call_unknown'), { code: 'refused', status: 422 });
});

t.test('the ongoing calls are those that are connected and not over', async (t) => {
  const { simulator, api } = await retellOf(t);
  t.same(await api.listOngoingCalls(), []);
  callAt(simulator, false);
  simulator.calls.ended(callAt(simulator, true), 'user_hangup');
  const up = [callAt(simulator, true), callAt(simulator, true)];
  t.same(
    (await api.listOngoingCalls()).map(({ call_id }) => call_id).sort(),
    up.map(({ call }) => call.call_id).sort(),
  );
});

t.test('a list of several pages is read to its end', async (t) => {
  const { simulator, api } = await retellOf(t);
  for (let i = 0; i < 2001; i += 1) callAt(simulator, true);
  const ids = (await api.listOngoingCalls()).map(({ call_id }) => call_id);
  t.equal(new Set(ids).size, 2001);
  t.equal(ids.length, 2001);
  t.equal(simulator.requests.items.filter(({ endpoint }) => endpoint === 'list-calls').length, 3);
});

t.test('a page that fails fails the list: what is missing from it would look ended', async (t) => {
  const { simulator, api } = await retellOf(t);
  callAt(simulator, true);
  simulator.addFault({ endpoint: 'list-calls', status: 500 });
  const error = await api.listOngoingCalls().catch((reason: unknown) => reason);
  t.ok(error instanceof RetellError);
  t.match(error, { code: 'refused', status: 500 });
});

t.test('our id of a call is found in its metadata and its headers, however they are written', async (t) => {
  for (const name of ['X-Call-Ref', 'x-call-ref', 'Call-Ref', 'call-ref']) {
    const named = { 'x-other': '1', [name]: ' ref-1 ' };
    t.same(callRefOf({ custom_sip_headers: named }), { id: 'ref-1', place: 'header' }, name);
    const variable = { id: 'ref-1', place: 'dynamic_variable' };
    t.same(callRefOf({ retell_llm_dynamic_variables: named }), variable, name);
  }
  t.same(callRefOf({ metadata: { call_ref: 'ref-2' }, custom_sip_headers: { 'x-call-ref': 'ref-1' } }), {
    id: 'ref-2',
    place: 'metadata',
  });
  for (const call_ref of ['', 'a b', '../x', 7, 'x'.repeat(65)])
    t.equal(callRefOf({ metadata: { call_ref } }), undefined, String(call_ref));
  t.equal(callRefOf({}), undefined);
});
