import t from 'tap';
import { attemptsOf } from '../../../control-plane/src/calls/attempts.js';
import type { Call } from '../../../control-plane/src/calls/call.js';
import { delaysOf, type Times } from '../../../control-plane/src/calls/delays.js';

const NOTHING: Times = {
  invited_at: undefined,
  ringing_at: undefined,
  answered_at: undefined,
  ended_at: undefined,
  ended_by: undefined,
  sip_status: undefined,
  bye: { carrier: {}, retell: {} },
  bye_confirmed_at: undefined,
};
const delays = (times: Partial<Times>) => delaysOf({ ...NOTHING, ...times });

t.test('the session request delay ends with the first response that says something', (t) => {
  const invited_at = 1000;
  t.equal(delays({ invited_at, ringing_at: 1000.1234, answered_at: 3000 }).srd_ms, 0.123);
  t.equal(delays({ invited_at, answered_at: 1500 }).srd_ms, 500, 'a 200 without ringing');
  t.equal(delays({ invited_at, ringing_at: 1600, answered_at: 1500 }).srd_ms, 500, 'a 180 that came late');
  t.equal(delays({ invited_at, ended_at: 1700, sip_status: 486 }).srd_ms, 700, 'a refusal');
  t.equal(delays({ invited_at, ended_at: 1700 }).srd_ms, undefined, 'ended without a response');
  t.equal(delays({ ringing_at: 1600 }).srd_ms, undefined, 'no INVITE seen');
  t.end();
});

t.test('setup and duration are those of an answered call', (t) => {
  t.match(delays({ invited_at: 1000, answered_at: 1500, ended_at: 9000, sip_status: 200 }), {
    setup_ms: 500,
    duration_ms: 7500,
  });
  t.match(delays({ invited_at: 1000, ended_at: 1500, sip_status: 486 }), {
    setup_ms: undefined,
    duration_ms: undefined,
  });
  t.end();
});

t.test("the session disconnect delay is that of the side's BYE, or of the slower of ours", (t) => {
  const bye = { carrier: { sent_at: 10, answered_at: 15 }, retell: { sent_at: 11, answered_at: 31 } };
  const sdd = (times: Partial<Times>) => delays({ ended_at: 10, ...times }).sdd_ms;
  t.equal(sdd({ ended_by: 'carrier', bye_confirmed_at: 13 }), 3);
  t.equal(sdd({ ended_by: 'retell', bye }), undefined, 'its BYE was not answered');
  for (const ended_by of ['api', 'timeout', 'reaper', 'function', 'failure'] as const)
    t.equal(sdd({ ended_by, bye }), 20, ended_by);
  t.equal(sdd({ ended_by: 'api', bye: { ...bye, carrier: {} } }), 20, 'one leg got none');
  t.equal(sdd({ ended_by: 'api', bye: { ...bye, carrier: { sent_at: 10 } } }), undefined, 'one is silent');
  t.equal(sdd({ ended_by: 'api', bye: { carrier: {}, retell: {} } }), undefined);
  t.equal(sdd({ ended_by: undefined, bye: { carrier: {}, retell: {} } }), undefined);
  t.end();
});

/** Attempts of a call whose timeline has one entry each ms, as `gateway status`. */
function attempts(call: Partial<Call>, timeline: Record<string, unknown>[]): string[] {
  const entries = timeline.map((entry, at) => ({ at, ...entry })) as Call['timeline'];
  return attemptsOf({
    direction: 'outbound',
    carrier: undefined,
    gateway: undefined,
    ...call,
    timeline: entries,
  }).map(({ carrier, gateway, ringing_at, at, status }) =>
    [carrier ?? '-', gateway, `${ringing_at ?? ''}>${at}`, status].join(' '),
  );
}
const refused = (carrier: string | undefined, gateway: string, status: number) => ({
  type: 'attempt_failed',
  carrier,
  gateway,
  status,
});
const rings = (gateway: string) => ({ type: 'ringing', gateway, status: 180 });

t.test('a call that is being set up has the attempts that are over', (t) => {
  t.same(attempts({}, [{ type: 'invite' }]), []);
  t.same(attempts({}, [refused('a', 'A', 503), rings('B')]), ['a A >0 503']);
  t.end();
});

t.test('an attempt rang where its own gateway did', (t) => {
  const call = { carrier: 'b', gateway: 'B' };
  const timeline = [rings('A'), refused('a', 'A', 503), rings('B'), { type: 'answered', gateway: 'B' }];
  t.same(attempts(call, timeline), ['a A 0>1 503', 'b B 2>3 200']);
  t.same(attempts(call, [rings('A'), { type: 'answered', gateway: 'B' }]), ['b B >1 200']);
  t.end();
});

t.test('the last refusal is one attempt, whether it was told on its own or not', (t) => {
  const call = { carrier: 'b', gateway: 'B' };
  const failed = { type: 'failed', status: 404 };
  t.same(attempts(call, [refused('a', 'A', 503), failed]), ['a A >0 503', 'b B >1 404']);
  t.same(attempts(call, [refused('a', 'A', 503), refused('b', 'B', 404), failed]), [
    'a A >0 503',
    'b B >1 404',
  ]);
  t.same(
    attempts(call, [refused('a', 'B', 503), failed]),
    ['a B >0 503', 'b B >1 404'],
    'two carriers at one gateway',
  );
  t.end();
});

t.test('a gateway that a limit kept the call from was not tried', (t) => {
  const failed = { type: 'failed', status: 503, reason: 'no carrier takes the call' };
  t.same(attempts({ carrier: 'b', gateway: 'B' }, [refused('a', 'A', 500), failed]), ['a A >0 500']);
  t.same(attempts({}, [failed]), []);
  t.end();
});

t.test("a fallback is an attempt of its own, also where it is Retell's gateway", (t) => {
  const call = { direction: 'inbound', carrier: 'acme', gateway: 'A' } as const;
  t.same(
    attempts(call, [refused(undefined, 'A', 500), { type: 'fallback' }, { type: 'failed', status: 486 }]),
    ['- A >0 500', '- A >2 486'],
  );
  t.end();
});

t.test('a gateway whose call is hung up has its own status, where it gave one', (t) => {
  const call = { carrier: 'a', gateway: 'A' };
  const failed = { type: 'failed', status: 480 };
  const sent = { type: 'cancel_sent' };
  t.same(attempts(call, [sent, { type: 'cancel_answered', status: 487 }, failed]), ['a A >2 487']);
  t.same(attempts(call, [sent, failed, { type: 'cancel_answered', status: 487 }]), ['a A >1 487']);
  t.same(attempts(call, [sent, failed]), ['a A >1 ']);
  t.same(attempts(call, [{ type: 'cancel_unanswered' }, failed]), ['a A >1 ']);
  t.end();
});
