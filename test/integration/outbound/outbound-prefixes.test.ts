import t from 'tap';
import {
  answering,
  carrierAt,
  counter,
  failedAttempts,
  oneCarrier,
  refusing,
} from '../../harness/outbound.js';
import { dialOut, recordOf, startPeer, startScene } from '../../harness/scene.js';

t.test(
  'calls that may not pass are refused with 403, told of and counted, and no carrier sees them',
  async (t) => {
    const scene = await oneCarrier(t, { first: { prefixes: ['+1', '+44'] } });
    for (const [what, options, reason, statistic] of [
      [
        'From is none of our numbers',
        { from: '+14155550199' },
        'from is none of our numbers',
        'refused_from',
      ],
      ['From has no number', { from: 'anonymous' }, 'from is none of our numbers', 'refused_from'],
      [
        'no prefix allows the destination',
        { to: '+33155550177' },
        'destination not allowed',
        'refused_destination',
      ],
      ['a prefix allows only longer ones', { to: '+4' }, 'destination not allowed', 'refused_destination'],
      [
        'the destination is no number',
        { to: '+1415555x177' },
        'destination not allowed',
        'refused_destination',
      ],
    ] as const) {
      await t.test(what, async (t) => {
        const before = await counter(scene.stack, statistic);
        const caller = dialOut(scene, options);
        const response = await caller.finalResponse();
        t.equal(response.status, 403);
        t.equal(response.get('reason'), `SIP;cause=403;text="${reason}"`);
        t.equal(await counter(scene.stack, statistic), before + 1);
        const record = await recordOf(scene.stack, caller.callId, 'ended');
        t.match(record, { direction: 'outbound', sip_status: 403, reason, ended_by: 'failure' });
      });
    }
    t.equal(scene.carrier.count('INVITE'), 0);
  },
);

t.test('the carriers of the longest prefix are tried first, those of shorter ones after them', async (t) => {
  const area = await startPeer(t, { host: '127.0.0.4' });
  const everywhere = await startPeer(t, { host: '127.0.0.5' });
  const scene = await startScene(t, {
    config: ({ carrier }) => ({
      carriers: [
        carrierAt('everywhere', everywhere, { prefixes: ['+'] }),
        carrierAt('country', carrier, { prefixes: ['+1', '+44'] }),
        carrierAt('area', area, { prefixes: ['+1415'], priority: 9 }),
      ],
    }),
  });
  const peers = { everywhere, country: scene.carrier, area };
  /** Who is tried for a destination when each of these refuses. */
  const tried = async (to: string, ...refuse: (keyof typeof peers)[]) => {
    for (const peer of Object.values(peers)) answering(peer);
    for (const name of refuse) refusing(peers[name], 503);
    const caller = dialOut(scene, { to });
    await caller.answered();
    const { carrier, timeline } = await recordOf(scene.stack, caller.callId, 'answered');
    t.equal((await caller.bye()).status, 200);
    return [...failedAttempts({ timeline }), { carrier }].map((attempt) => attempt.carrier);
  };
  t.same(await tried('+14155550177'), ['area']);
  t.same(await tried('+14155550177', 'area'), ['area', 'country']);
  t.same(await tried('+14155550177', 'area', 'country'), ['area', 'country', 'everywhere']);
  t.same(await tried('+12125550177'), ['country']);
  t.same(await tried('+442079460100', 'country'), ['country', 'everywhere']);
  t.same(await tried('+33155550177'), ['everywhere']);
});

t.test('two carriers of one prefix and priority share the calls, and stand in for each other', async (t) => {
  const other = await startPeer(t, { host: '127.0.0.4' });
  const scene = await startScene(t, {
    config: ({ carrier }) => ({ carriers: [carrierAt('one', carrier), carrierAt('other', other)] }),
  });
  answering(scene.carrier);
  answering(other);
  for (let i = 0; i < 30; i++) {
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await caller.bye()).status, 200);
  }
  t.ok(scene.carrier.count('INVITE') > 0 && other.count('INVITE') > 0, 'both get some');
  t.equal(scene.carrier.count('INVITE') + other.count('INVITE'), 30);
  refusing(other, 503);
  for (let i = 0; i < 5; i++) {
    const caller = dialOut(scene);
    await caller.answered();
    t.equal((await caller.bye()).status, 200);
  }
});
