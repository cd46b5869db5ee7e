import { readFile, writeFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { parse, stringify } from 'yaml';
import { inbound, type Legs, nextCall, outbound } from '../harness/legs.js';
import { failedAttempts, refusing, type TwoCarriers, twoCarriers } from '../harness/outbound.js';
import {
  dial,
  dialOut,
  noDialogLeft,
  recordOf,
  type Scene,
  startPeer,
  startScene,
} from '../harness/scene.js';
import type { IncomingCall, OutgoingCall, SipCall } from '../harness/sip-peer.js';
import { NUMBER, type Stack } from '../harness/stack.js';

const OTHER_NUMBER = '+14155550101';

/** The longest durations, in s. The first carrier and the first number have one of their own. */
const ALL = 60;
const OF_NUMBER = 2;
const OF_CARRIER = 4;

/** Waits until a side gets a BYE that Kamailio made itself. */
async function nextBye(call: SipCall): Promise<void> {
  const { message } = await call.next('BYE');
  if (message.list('via').length !== 1) throw new Error("a BYE that is not Kamailio's own");
}

/** Kamailio sends each side a BYE, and the record says why. */
async function timesOut(t: Test, stack: Stack, { caller, callee }: Legs, seconds: number): Promise<void> {
  await Promise.all([nextBye(caller), nextBye(callee)]);
  t.match(await recordOf(stack, caller.callId, 'ended'), {
    ended_by: 'timeout',
    reason: 'maximum duration reached',
    max_duration_s: seconds,
  });
}

/** Two numbers and two carriers, of which the first may be called, and take calls, for a shorter time. */
function startDurations(t: Test): Promise<TwoCarriers> {
  return twoCarriers(t, {
    config: {
      calls: { max_duration_s: ALL },
      numbers: [{ number: NUMBER, max_duration_s: OF_NUMBER }, { number: OTHER_NUMBER }],
    },
    first: { max_duration_s: OF_CARRIER },
  });
}

/** The callee gets a CANCEL, the caller 408, and the record says why. */
async function ringsTooLong(t: Test, stack: Stack, caller: OutgoingCall, ringing: Promise<IncomingCall>) {
  const callee = await ringing;
  t.equal((await caller.finalResponse(20_000)).status, 408);
  await callee.canceled;
  t.match(await recordOf(stack, caller.callId, 'ended'), { ended_by: 'timeout', sip_status: 408 });
  await noDialogLeft(stack);
}

t.test('a call that rings too long gets 408, and whoever rings a CANCEL', async (t) => {
  const scene = await twoCarriers(t, { config: { calls: { ring_timeout_s: 1 } } });
  const { stack, carrier, second, retell } = scene;
  await t.test('inbound', (t) => ringsTooLong(t, stack, dial(scene), nextCall(retell)));
  await t.test('outbound', (t) => ringsTooLong(t, stack, dialOut(scene), nextCall(carrier)));
  t.equal(second.count('INVITE'), 0, 'nobody else is rung');
  await t.test('a callee that says again and again that it rings', async (t) => {
    const ringing = nextCall(retell);
    const caller = dial(scene);
    const callee = await ringing;
    const again = setInterval(() => callee.status < 200 && callee.ring(), 100);
    t.teardown(() => clearInterval(again));
    await ringsTooLong(t, stack, caller, ringing);
  });
});

t.test('a call lasts as long as the least of all calls, its number and its carrier', async (t) => {
  const scene = await startDurations(t);
  const { stack, carrier, second, retell } = scene;
  const calls: [what: string, legs: Legs, seconds: number][] = [
    ['in, of the number', await inbound(stack, second, retell), OF_NUMBER],
    ['in, of the carrier', await inbound(stack, carrier, retell, { to: OTHER_NUMBER }), OF_CARRIER],
    ['in, of both', await inbound(stack, carrier, retell), OF_NUMBER],
    ['out, of the carrier', await outbound(stack, retell, carrier, { from: OTHER_NUMBER }), OF_CARRIER],
    ['out, of both', await outbound(stack, retell, carrier), OF_NUMBER],
  ];
  const unlimited = await inbound(stack, second, retell, { to: OTHER_NUMBER });
  await Promise.all(
    calls.map(([what, legs, seconds]) => t.test(what, (t) => timesOut(t, stack, legs, seconds))),
  );
  t.equal((await unlimited.caller.request('INFO')).status, 200, 'one that may last longer is still up');
  t.equal((await recordOf(stack, unlimited.caller.callId, 'answered')).max_duration_s, ALL);
  t.equal((await unlimited.caller.bye()).status, 200);
  await noDialogLeft(stack);
});

t.test('an outbound call lasts as long as the carrier allows that takes it', async (t) => {
  const scene = await startDurations(t);
  const { stack, carrier, second } = scene;
  refusing(carrier, 503);
  const caller = dialOut(scene, { from: OTHER_NUMBER });
  await caller.answered();
  const record = await recordOf(stack, caller.callId, 'answered');
  t.match(record, { carrier: 'second', max_duration_s: ALL });
  t.equal(failedAttempts(record).length, 1);
  t.equal((await caller.bye()).status, 200);
  t.equal(second.count('BYE'), 1);
});

t.test('requests within the dialog do not prolong a call', async (t) => {
  const { stack, carrier, retell } = await startDurations(t);
  const first = await inbound(stack, carrier, retell);
  const talking = await inbound(stack, carrier, retell, { to: OTHER_NUMBER });
  const quiet = await inbound(stack, carrier, retell, { to: OTHER_NUMBER });
  await timesOut(t, stack, first, OF_NUMBER);
  t.equal((await talking.caller.request('INFO')).status, 200);
  t.equal((await talking.callee.request('INFO')).status, 200);
  await timesOut(t, stack, quiet, OF_CARRIER);
  await timesOut(t, stack, talking, OF_CARRIER);
  const [talked, kept] = await Promise.all(
    [talking, quiet].map(({ caller }) => recordOf(stack, caller.callId, 'ended')),
  );
  t.ok(talked.ended_at <= kept.ended_at, 'it ends before one that was answered later');
});

t.test('the time counts from the answer, however long the call has rung', async (t) => {
  const scene = await startDurations(t);
  const { stack, second, retell } = scene;
  const arrived = nextCall(retell);
  const caller = dial({ ...scene, carrier: second });
  const callee = await arrived;
  await caller.response(180);
  await timesOut(t, stack, await inbound(stack, second, retell), OF_NUMBER);
  callee.answer();
  await caller.answered();
  await callee.acked;
  t.equal((await caller.request('INFO')).status, 200);
  await timesOut(t, stack, { caller, callee }, OF_NUMBER);
});

t.test('of many calls whose time is over at once both sides of each get a BYE', async (t) => {
  const { stack, second, retell } = await startDurations(t);
  const calls: Legs[] = [];
  while (calls.length < 60) calls.push(await inbound(stack, second, retell));
  for (const legs of calls) await timesOut(t, stack, legs, OF_NUMBER);
  await noDialogLeft(stack);
  // Kamailio's own words for a second BYE that it did not send (5 and 6), and a dialog released once too often.
  const lost = /terminating non-confirmed|already in deleted state|invalid unref'ing/;
  t.same(
    stack.kamailioLog.filter((line) => lost.test(line)),
    [],
  );
});

t.test('a call that went to its fallback is ended on both sides too', async (t) => {
  const desk = await startPeer(t, { host: '127.0.0.5' });
  const scene = await startScene(t, {
    config: {
      numbers: [
        {
          number: NUMBER,
          max_duration_s: OF_NUMBER,
          fallback: `sip:+14155550199@${desk.host}:${desk.port}`,
        },
      ],
    },
  });
  refusing(scene.retell, 503);
  const legs = await inbound(scene.stack, scene.carrier, desk);
  await timesOut(t, scene.stack, legs, OF_NUMBER);
  await noDialogLeft(scene.stack);
});

/** Has the stack go by a changed configuration file. */
async function reload({ api, configFile }: Stack, change: (config: Record<string, unknown>) => void) {
  const config = parse(await readFile(configFile, 'utf8'));
  change(config);
  await writeFile(configFile, stringify(config));
  return (await api.post('/v1/config/reload')).body;
}

t.test('after a reload the next call lasts as long as it says, and one that is up as before', async (t) => {
  const scene: Scene = await startScene(t);
  const { stack, carrier, retell } = scene;
  const before = await inbound(stack, carrier, retell);
  const durations = async () => {
    const legs = await inbound(stack, carrier, retell);
    const { max_duration_s } = await recordOf(stack, legs.caller.callId, 'answered');
    t.equal((await legs.caller.bye()).status, 200);
    return max_duration_s;
  };
  const applied = await reload(stack, (config) => {
    config.calls = { max_duration_s: 90 };
  });
  t.match(applied, { outcome: 'applied', changes: { keys: ['calls.max_duration_s'] } });
  t.equal(await durations(), 90);
  await reload(stack, (config) => {
    config.carriers = (config.carriers as object[]).map((one) => ({ ...one, max_duration_s: 80 }));
  });
  t.equal(await durations(), 80);
  await reload(stack, (config) => {
    config.numbers = [{ number: NUMBER, max_duration_s: OF_NUMBER }];
  });
  await timesOut(t, stack, await inbound(stack, carrier, retell), OF_NUMBER);
  t.equal((await before.caller.request('INFO')).status, 200);
  t.equal((await recordOf(stack, before.caller.callId, 'answered')).max_duration_s, 7200);
  t.equal((await before.caller.bye()).status, 200);
  await noDialogLeft(stack);
});

t.test('a call whose Kamailio was killed is ended in time all the same, from its record', async (t) => {
  const { stack, second, retell } = await startDurations(t);
  const { caller, callee } = await inbound(stack, second, retell);
  await recordOf(stack, caller.callId, 'answered');
  await stack.parts.kamailio.kill();
  await stack.parts.kamailio.start();
  await Promise.all([caller, callee].map((call) => call.next('BYE')));
  const record = await recordOf(stack, caller.callId, 'ended');
  t.match(record, { ended_by: 'timeout', max_duration_s: OF_NUMBER });
  t.match(
    record.timeline.find(({ type }: { type: string }) => type === 'hangup_requested'),
    { by: 'deadline', reason: 'maximum duration reached' },
  );
  t.same([await caller.ended, await callee.ended], ['remote', 'remote']);
});
