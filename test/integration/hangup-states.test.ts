import t, { type Test } from 'tap';
import { oneCarrier } from '../harness/outbound.js';
import { nothingLeft, recordOf } from '../harness/scene.js';
import {
  answerByesWith,
  type ByeAnswer,
  type Direction,
  received,
  Stage,
  type StagedCall,
} from '../harness/staged-calls.js';

const ANSWERS: ByeAnswer[] = [200, 481, 500, 'silence'];
/** Longer than a gateway may be silent. */
const TIMEOUT_MS = 8000;

async function startStage(t: Test): Promise<Stage> {
  t.jobs = 20;
  const calls = { hangup_timeout_ms: TIMEOUT_MS, ring_timeout_s: 10 };
  return new Stage(await oneCarrier(t, { config: { calls } }));
}

async function hangup({ scene }: Stage, { id }: StagedCall, reason = 'test') {
  const { status, body } = await scene.stack.api.post(`/v1/calls/${id}/hangup`, { reason });
  return { status, ...body };
}

const sides = ({ scene }: Stage, direction: Direction) =>
  direction === 'inbound'
    ? { callerPeer: scene.carrier, calleePeer: scene.retell, callerLeg: 'carrier', calleeLeg: 'retell' }
    : { callerPeer: scene.retell, calleePeer: scene.carrier, callerLeg: 'retell', calleeLeg: 'carrier' };

const leg = (legs: { leg: string }[], name: string) => legs.find((entry) => entry.leg === name);
const statusOf = (answer: ByeAnswer) => (answer === 'silence' ? 'timeout' : answer);

function outcomeOf(answers: ByeAnswer[]): string {
  const silent = answers.filter((answer) => answer === 'silence').length;
  return ['ended', 'partial', 'failed'][silent] as string;
}

t.test('answered calls that the API hangs up', async (t) => {
  const stage = await startStage(t);
  const rows = ANSWERS.flatMap((caller) => ANSWERS.map((callee) => ({ caller, callee, ack: true })));
  const unacknowledged = [
    { caller: 200, callee: 200, ack: false },
    { caller: 'silence', callee: 200, ack: false },
  ] as const;
  const all = [...rows, ...unacknowledged].flatMap((row) =>
    (['inbound', 'outbound'] as const).map((direction) => ({ ...row, direction })),
  );
  const tests = all.map(({ caller, callee, ack, direction }) =>
    t.test(
      `${direction}${ack ? '' : ' without ACK'}: caller answers ${caller}, callee ${callee}`,
      { buffered: true },
      async (t) => {
        const call = await stage.answered(direction, { ack });
        answerByesWith(call.caller, caller);
        answerByesWith(call.callee, callee);
        const result = await hangup(stage, call);
        t.equal(result.outcome, outcomeOf([caller, callee]));
        const { callerPeer, calleePeer, callerLeg, calleeLeg } = sides(stage, direction);
        t.same(leg(result.legs, callerLeg), {
          leg: callerLeg,
          method: 'BYE',
          status: statusOf(caller),
          sent: 1,
        });
        t.same(leg(result.legs, calleeLeg), {
          leg: calleeLeg,
          method: 'BYE',
          status: statusOf(callee),
          sent: 1,
        });
        for (const [peer, end] of [
          [callerPeer, call.caller],
          [calleePeer, call.callee],
        ] as const) {
          t.equal((await end.next('BYE')).message.get('reason'), 'SIP;cause=200;text="test"');
          t.equal(received(peer, 'BYE', call.caller), 1, 'one BYE');
        }
        t.equal((await recordOf(stage.scene.stack, call.caller.callId, 'ended')).ended_by, 'api');
      },
    ),
  );
  await Promise.all(tests);
  await nothingLeft(t, stage.scene);
});

/** What a callee does about a CANCEL, and what the hangup says then. */
const CANCELED = {
  487: { outcome: 'ended', status: 487 },
  486: { outcome: 'ended', status: 486 },
  500: { outcome: 'ended', status: 500 },
  603: { outcome: 'ended', status: 603 },
  silence: { outcome: 'partial', status: 'timeout' },
} as const;

t.test('calls that are not answered and that the API hangs up', async (t) => {
  const stage = await startStage(t);
  const answers = Object.keys(CANCELED) as unknown as (keyof typeof CANCELED)[];
  const rows = (['inbound', 'outbound'] as const).flatMap((direction) =>
    (['trying', 'ringing'] as const).flatMap((state) =>
      answers.map((answer) => ({ direction, state, answer })),
    ),
  );
  const tests = rows.map(({ direction, state, answer }) =>
    t.test(`${direction}, ${state}: callee answers ${answer}`, { buffered: true }, async (t) => {
      const call = await stage[state](direction);
      call.callee.autoCancel = false;
      void call.callee.canceled.then((request) => {
        if (answer === 'silence') return;
        request.reply(200);
        call.callee.refuse(Number(answer));
      });
      const result = await hangup(stage, call);
      const { callerLeg, calleeLeg, calleePeer } = sides(stage, direction);
      const { outcome, status } = CANCELED[answer];
      t.equal((await call.caller.finalResponse()).status, 480);
      t.equal(received(calleePeer, 'CANCEL', call.caller), 1, 'one CANCEL');
      t.equal(received(calleePeer, 'INVITE', call.caller), 1, 'nobody else is called');
      // A callee that has only said 100 is not sure to have got the CANCEL before it answers it.
      t.match(result, {
        outcome,
        legs: [
          { leg: callerLeg, method: 'INVITE', status: 480, sent: 1 },
          { leg: calleeLeg, method: 'CANCEL', status },
        ].sort((a, b) => a.leg.localeCompare(b.leg)),
      });
      const record = await recordOf(stage.scene.stack, call.caller.callId, 'ended');
      t.match(record, { ended_by: 'api', sip_status: 480 });
    }),
  );
  const silent = t.test('a callee that never says anything', { buffered: true }, async (t) => {
    const call = await stage.trying('inbound', { silent: true });
    const result = await hangup(stage, call);
    t.equal((await call.caller.finalResponse()).status, 480);
    t.match(result, {
      outcome: 'partial',
      legs: [
        { leg: 'carrier', method: 'INVITE', status: 480 },
        { leg: 'retell', method: 'CANCEL', status: 'timeout', sent: 0 },
      ],
    });
    t.equal(received(stage.scene.retell, 'CANCEL', call.caller), 0);
  });
  const crossing = t.test('CANCEL crosses the 200: both get a BYE', { buffered: true }, async (t) => {
    const call = await stage.ringing();
    call.callee.autoCancel = false;
    void call.callee.canceled.then((request) => {
      call.callee.answer();
      request.reply(200);
    });
    const [result] = await Promise.all([hangup(stage, call), call.caller.answered()]);
    t.equal(result.outcome, 'ended');
    t.match(result.legs, [
      { method: 'BYE', status: 200 },
      { method: 'BYE', status: 200 },
    ]);
    t.equal(received(stage.scene.carrier, 'BYE', call.caller), 1);
    t.equal(received(stage.scene.retell, 'BYE', call.caller), 1);
  });
  await Promise.all([...tests, silent, crossing]);
  await nothingLeft(t, stage.scene);
});

t.test('calls that their own sides end', async (t) => {
  const stage = await startStage(t);
  const rows = (['caller', 'callee'] as const).flatMap((who) => ANSWERS.map((answer) => ({ who, answer })));
  const byes = rows.map(({ who, answer }) =>
    t.test(`answered: BYE of the ${who}, the other answers ${answer}`, { buffered: true }, async (t) => {
      const call = await stage.answered();
      const [from, to] = who === 'caller' ? [call.caller, call.callee] : [call.callee, call.caller];
      answerByesWith(to, answer);
      const { status } = await from.bye();
      t.equal(status, answer === 'silence' ? 408 : answer);
      const record = await recordOf(stage.scene.stack, call.caller.callId, 'ended');
      t.equal(record.ended_by, who === 'caller' ? 'carrier' : 'retell');
      t.match(await hangup(stage, call), { status: 200, outcome: 'already_ended' });
    }),
  );
  const cancel = t.test('ringing: CANCEL of the caller', { buffered: true }, async (t) => {
    const call = await stage.ringing();
    t.equal((await call.caller.cancel()).status, 200);
    t.equal((await call.caller.finalResponse()).status, 487);
    await call.callee.canceled;
    t.match(await recordOf(stage.scene.stack, call.caller.callId, 'ended'), {
      ended_by: 'carrier',
      sip_status: 487,
    });
    t.equal((await hangup(stage, call)).outcome, 'already_ended');
  });
  const crossing = t.test('CANCEL of the caller crosses the 200', { buffered: true }, async (t) => {
    const call = await stage.ringing();
    call.callee.answer();
    await call.caller.cancel();
    await call.caller.answered();
    await call.caller.bye();
    t.equal((await call.callee.next('BYE')).status, 200);
    t.equal((await recordOf(stage.scene.stack, call.caller.callId, 'ended')).ended_by, 'carrier');
  });
  const refused = [486, 500].map((status) =>
    t.test(`ringing: callee refuses with ${status}`, { buffered: true }, async (t) => {
      const call = await stage.ringing();
      call.callee.refuse(status);
      t.ok((await call.caller.finalResponse()).status >= 400);
      t.equal((await recordOf(stage.scene.stack, call.caller.callId, 'ended')).ended_by, 'failure');
      t.equal((await hangup(stage, call)).outcome, 'already_ended');
    }),
  );
  await Promise.all([...byes, cancel, crossing, ...refused]);
  await nothingLeft(t, stage.scene);
});

t.test('hangups that cross what the sides do', async (t) => {
  const stage = await startStage(t);
  const race = async (t: Test, call: StagedCall, act: () => Promise<unknown>) => {
    const [result] = await Promise.all([hangup(stage, call), act()]);
    t.match(result.outcome, /^(ended|already_ended)$/);
    await Promise.all([call.caller.ended, call.callee.ended]);
    await recordOf(stage.scene.stack, call.caller.callId, 'ended');
  };
  const tests = [1, 2, 3, 4, 5].flatMap((round) => [
    t.test(`BYE of the caller, ${round}`, { buffered: true }, async (t) => {
      const call = await stage.answered();
      await race(t, call, () => call.caller.bye());
    }),
    t.test(`BYE of the callee, ${round}`, { buffered: true }, async (t) => {
      const call = await stage.answered();
      await race(t, call, () => call.callee.bye());
    }),
    t.test(`BYEs of both, ${round}`, { buffered: true }, async (t) => {
      const call = await stage.answered();
      await race(t, call, () => Promise.all([call.caller.bye(), call.callee.bye()]));
    }),
    t.test(`CANCEL of the caller, ${round}`, { buffered: true }, async (t) => {
      const call = await stage.ringing();
      await race(t, call, () => call.caller.cancel());
    }),
    t.test(`200 of the callee, ${round}`, { buffered: true }, async (t) => {
      const call = await stage.ringing();
      await race(t, call, async () => {
        if (call.callee.status < 200) call.callee.answer();
        if ((await call.caller.finalResponse()).status === 200) await call.caller.answered();
      });
    }),
  ]);
  await Promise.all(tests);
  await nothingLeft(t, stage.scene);
});

t.test('in the middle of a transfer, both get a BYE with a CSeq that fits', async (t) => {
  const stage = await startStage(t);
  const call = await stage.answered();
  call.caller.on('REFER', (request) => request.reply(202));
  const refer = await call.callee.request('REFER', {
    headers: [['Refer-To', '<sip:+14155550188@example.com>']],
  });
  t.equal(refer.status, 202);
  const notify = {
    headers: [
      ['Event', 'refer'],
      ['Subscription-State', 'active;expires=60'],
    ] as [string, string][],
  };
  await call.caller.request('NOTIFY', { ...notify, body: 'SIP/2.0 100 Trying\r\n' });
  t.equal((await hangup(stage, call)).outcome, 'ended');
  t.equal((await call.caller.next('BYE')).status, 200);
  t.equal((await call.callee.next('BYE')).status, 200);
  await nothingLeft(t, stage.scene);
});

t.test('of two hangups at once the second joins the first, also for a call that rings', async (t) => {
  const stage = await startStage(t);
  const call = await stage.ringing();
  const [first, second] = await Promise.all([hangup(stage, call), hangup(stage, call)]);
  t.equal(first.outcome, 'ended');
  t.same(second, first);
  t.equal(received(stage.scene.retell, 'CANCEL', call.caller), 1);
  await nothingLeft(t, stage.scene);
});
