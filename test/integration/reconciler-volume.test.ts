import t from 'tap';
import { SippRun } from '../../sipp-scenarios/sipp.js';
import { eventually } from '../harness/await.js';
import { reconciling } from '../harness/reconciling.js';
import { noDialogLeft } from '../harness/scene.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, startStack } from '../harness/stack.js';
import { RetellSimulator } from '../retell-simulator/simulator.js';

const CALLS = 600;
/** What a run says that was not complete in its time: of the node, its breaker, its events, the run itself, Redis. */
const TOO_SLOW = /no answer in|failed repeatedly|not all written yet|due to timeout|timed out/;

t.test('calls that come and go while all are compared again and again are left alone', async (t) => {
  const simulator = await RetellSimulator.start({ host: RETELL_HOST, concurrencyLimit: 100_000 });
  t.teardown(() => simulator.stop());
  const stack = await startStack(t, { gateways: [{ uri: `sip:${RETELL_HOST}:${simulator.sip.port}` }] });
  const sipp = await SippRun.start({
    scenario: 'carrier/inbound-answered.xml',
    host: CARRIER_HOST,
    target: `${stack.sip.host}:${stack.sip.port}`,
    number: NUMBER,
    calls: CALLS,
    rate: 60,
    holdMs: 7000,
    callIdPrefix: 'reconciled',
  });
  t.teardown(() => sipp.stop());
  let over = false;
  const result = sipp.result().finally(() => {
    over = true;
  });
  let compared = 0;
  while (!over) {
    // The first run of each looks at the details of all calls, old enough to be judged.
    const { run, reconciler } = await reconciling(t, stack, { mode: 'on', graceMs: 2000 });
    const { nodes, findings } = await run();
    t.same(findings, []);
    // A busy machine's node may not answer in time; the run then says so, and the next one compares.
    if (nodes[0]?.error) t.match(nodes[0].error, TOO_SLOW);
    else if (nodes[0]?.compared) compared += 1;
    await reconciler.stop();
  }
  t.ok(compared > 0, 'all were compared while they came and went');
  t.match(await result, { created: CALLS, successful: CALLS, failed: 0 });
  await eventually('every record has ended', async () => (await stack.redis.zcard('calls:open')) === 0);
  const records: { ended_by: string }[] = (await stack.api.get('/v1/calls?limit=1000')).body.items;
  t.equal(records.length, CALLS);
  t.same(new Set(records.map(({ ended_by }) => ended_by)), new Set(['carrier']));
  await noDialogLeft(stack);
});
