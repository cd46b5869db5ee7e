import t from 'tap';
import { ConfigError } from '../../../control-plane/src/config/errors.js';
import { lengthClasses } from '../../../sipp-scenarios/load/call-lengths.js';
import { calledByNumber } from '../../../sipp-scenarios/load/called-by-number.js';
import { parseMix } from '../../../sipp-scenarios/load/mix.js';
import { factorAt, meanFactor } from '../../../sipp-scenarios/load/ramp.js';
import { rateStep } from '../../../sipp-scenarios/load/ramp-rates.js';
import { meanHoldMs, mixedTraffic } from '../../../sipp-scenarios/load/traffic.js';

/** What is wrong with the text of a mix. */
function problemsOf(text: string): string[] {
  try {
    parseMix(text);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
}

t.test('everything that is wrong with a mix is told at once, each with its path', async (t) => {
  t.same(
    problemsOf(`
calls:
  - { scenario: inbound-answerd, share: 0 }
  - { share: 1, length: { mean_s: -1, spread: wide } }
ramp:
  - { at: 2 }
`).map((problem) => problem.split(':')[0]),
    [
      'calls[0].scenario',
      'calls[0].share',
      'calls[1].scenario',
      'calls[1].length.spread',
      'calls[1].length.mean_s',
      'ramp[0].factor',
      'ramp[0].at',
    ],
  );
  t.match(problemsOf('calls: [{ scenario: inbound-answerd, share: 1 }]'), [/inbound-answered/]);
});

t.test('a mix without calls, of digest, or with a ramp out of order is refused', async (t) => {
  t.match(problemsOf(''), [/^calls: is missing/]);
  t.match(problemsOf('calls: []'), [/^calls: /]);
  t.match(problemsOf('calls: ['), [/./]);
  t.match(problemsOf('calls: [{ scenario: outbound-digest, share: 1 }]'), [/^calls\[0\]\.scenario: /]);
  const calls = 'calls: [{ scenario: inbound-answered, share: 1 }]';
  t.match(problemsOf(`${calls}\nramp: [{ at: 0.5, factor: 1 }, { at: 0.5, factor: 2 }]`), [
    /^ramp\[1\]\.at: 0\.5 does not come after/,
  ]);
});

t.test('the rate is shared out, and each scenario has a number of its own', async (t) => {
  const mix = parseMix(`
calls:
  - { scenario: inbound-answered, share: 30, length: { mean_s: 20, distribution: exponential } }
  - { scenario: outbound-busy, share: 10 }
`);
  const { entries } = mixedTraffic(mix, { rate: 100, holdMs: 1000 });
  t.same(
    entries.map(({ scenario, rate, number }) => [scenario.name, rate, number]),
    [
      ['inbound-answered', 75, '+14155550100'],
      ['outbound-busy', 25, '+14155550141'],
    ],
  );
  t.equal(entries[1]?.holdsMs[0], 1000, 'what says no length has the one of --hold');
});

t.test('classes of call lengths have the mean of their distribution', async (t) => {
  t.same(lengthClasses({ mean_s: 3, distribution: 'fixed' }), [3000]);
  const classes = lengthClasses({ mean_s: 10, distribution: 'exponential' });
  t.ok(Math.abs(meanHoldMs({ holdsMs: classes }) - 10_000) < 2, String(classes));
  t.same(
    [...classes].sort((a, b) => a - b),
    classes,
    'shortest first',
  );
});

t.test('a ramp goes on straight lines between its points', async (t) => {
  const ramp = [
    { at: 0.2, factor: 1 },
    { at: 0.4, factor: 3 },
  ];
  t.equal(factorAt(ramp, 0), 1);
  t.ok(Math.abs(factorAt(ramp, 0.3) - 2) < 1e-9);
  t.equal(factorAt(ramp, 1), 3);
  t.equal(factorAt([], 0.5), 1);
  t.ok(Math.abs(meanFactor(ramp) - (0.2 * 1 + 0.2 * 2 + 0.6 * 3)) < 0.01);
});

t.test('a rate is kept long enough for some calls, and makes up for what SIPp rounds down', async (t) => {
  t.same(rateStep(0, 100), { rate: 0, seconds: 1 });
  t.same(rateStep(100, 100), { rate: 100.5, seconds: 1 });
  t.same(rateStep(2, 100), { rate: 2.25, seconds: 2 });
  t.equal(rateStep(0.001, 150).seconds, 10);
});

t.test('several ways to take calls become one, by the number that is called', async (t) => {
  const xml = (status: string, first: string) => `<scenario name="x">
  <recv request="OPTIONS" optional="true" next="probed"/>
  ${first}
  <pause/>
  <send>${status}</send>
  <recv request="INFO" optional="true" next="info"/>
  <recv request="ACK" next="over"/>
  <label id="info"/>
  <label id="probed"/>
  <send>200</send>
  <label id="over"/>
</scenario>`;
  const action = '<recv request="INVITE" rrs="true"><action><ereg assign_to="v"/></action></recv>';
  const merged = calledByNumber([
    { number: '+14155550100', xml: xml('486', '<recv request="INVITE"/>'), holdMs: 100 },
    { number: '+14155550101', xml: xml('404', action), holdMs: 250 },
  ]);
  t.equal(merged.match(/request="OPTIONS"/g)?.length, 1);
  t.match(merged, /regexp="14155550101"[^>]*assign_to="is_1"/);
  t.match(merged, /<ereg assign_to="v"\/>/);
  t.match(
    merged,
    /<label id="play_0"\/>[\s\S]*milliseconds="100"[\s\S]*486[\s\S]*next="info_0"[\s\S]*"info_0"/,
  );
  t.match(merged, /<label id="play_1"\/>[\s\S]*milliseconds="250"[\s\S]*404[\s\S]*next="info_1"/);
  t.equal(merged.match(/<label id="probed"\/>/g)?.length, 1);
  t.equal(merged.match(/<label id="over"\/>/g)?.length, 1);
  t.throws(() => calledByNumber([{ number: '+1', xml: '<scenario/>', holdMs: 0 }]), /laid out/);
});
