import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { type SippResult, SippRun } from '../../sipp-scenarios/sipp.js';
import { eventually } from '../harness/await.js';
import { noDialogLeft } from '../harness/scene.js';
import {
  CARRIER_HOST,
  NUMBER,
  RETELL_HOST,
  type Stack,
  type StackOptions,
  startStack,
  type TestLike,
} from '../harness/stack.js';

/**
 * A stack between SIPp on both sides. One worker: several may change the order of a 180 and its 200 on a machine that is
 * busy, and SIPp takes a late 180 for a failure.
 */
async function startVolumeStack(t: TestLike, options: Omit<StackOptions, 'gateways'> = {}): Promise<Stack> {
  const port = await freePort(RETELL_HOST);
  const retell = await SippRun.start({
    ...{ scenario: 'called/answer.xml', host: RETELL_HOST, port, timeoutS: 170 },
  });
  t.teardown(() => retell.stop());
  return startStack(t, {
    gateways: [{ uri: `sip:${RETELL_HOST}:${port}` }],
    config: { sip: { workers: 1 } },
    ...options,
  });
}

async function carrierRun(t: TestLike, { sip }: Stack, calls: number, rate: number): Promise<SippRun> {
  const run = await SippRun.start({
    scenario: 'carrier/inbound-answered.xml',
    host: CARRIER_HOST,
    target: `${sip.host}:${sip.port}`,
    number: NUMBER,
    calls,
    rate,
    holdMs: 1000,
    callIdPrefix: 'volume',
  });
  t.teardown(() => run.stop());
  return run;
}

interface Recorded {
  sip_call_id: string;
  state: string;
  ended_by: string;
  timeline: { type: string }[];
}

async function allRecords({ api }: Stack): Promise<Recorded[]> {
  const records: Recorded[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '' : `&cursor=${cursor}`;
    const { status, body } = await api.get(`/v1/calls?limit=500${query}`);
    if (status !== 200) throw new Error(`GET /v1/calls answers ${status}`);
    records.push(...body.items);
    cursor = body.next_cursor;
  } while (cursor !== null);
  return records;
}

/** Every call of the run succeeded on the wire, has one record that is ended, and left nothing in Kamailio. */
async function assertNothingLost(t: Test, stack: Stack, result: SippResult, calls: number): Promise<void> {
  t.same([result.created, result.successful], [calls, calls], 'every call on the wire');
  t.same(result.failures, {}, 'none failed');
  const records = await eventually('a record of every call that tells of all its events', async () => {
    const all = await allRecords(stack);
    return all.length >= calls && all.every(isWhole) && all;
  });
  t.equal(records.length, calls, 'one record each');
  t.equal(new Set(records.map((record) => record.sip_call_id)).size, calls, 'each of another call');
  t.same(
    new Set(records.map((record) => `${record.state} by ${record.ended_by}`)),
    new Set(['ended by carrier']),
  );
  t.equal(await stack.redis.zcard('calls:open'), 0, 'none open');
  await noDialogLeft(stack);
}

/** Whether the timeline has every event of an answered call, each once. */
function isWhole({ timeline }: Recorded): boolean {
  return (
    timeline
      .map(({ type }) => type)
      .sort()
      .join() === 'answered,bye_confirmed,ended,invite,ringing'
  );
}

t.test('1,000 calls at 100 a second give 1,000 records, none open, and no dialog is left', async (t) => {
  const stack = await startVolumeStack(t);
  const run = await carrierRun(t, stack, 1000, 100);
  await assertNothingLost(t, stack, await run.result(), 1000);
});

t.test('a control plane that is killed amid 500 calls loses none of them', async (t) => {
  const stack = await startVolumeStack(t, { controlPlane: 'process' });
  const run = await carrierRun(t, stack, 500, 100);
  await eventually('some calls are up', async () => (await stack.redis.zcard('calls:open')) >= 50);
  await stack.parts.controlPlane?.kill();
  await delay(1000);
  await stack.parts.controlPlane?.start();
  await assertNothingLost(t, stack, await run.result(), 500);
});

t.test('a Redis that is away for 5 s amid 500 calls loses none of them', async (t) => {
  const stack = await startVolumeStack(t);
  const run = await carrierRun(t, stack, 500, 100);
  await eventually('some calls are up', async () => (await stack.redis.zcard('calls:open')) >= 50);
  await stack.parts.redis.stop();
  await delay(5000);
  await stack.parts.redis.start();
  await assertNothingLost(t, stack, await run.result(), 500);
});

t.test('a Redis that is killed amid 500 calls and comes back loses none of them', async (t) => {
  const stack = await startVolumeStack(t);
  const run = await carrierRun(t, stack, 500, 100);
  await eventually('some calls are up', async () => (await stack.redis.zcard('calls:open')) >= 50);
  await stack.parts.redis.kill();
  await delay(1000);
  await stack.parts.redis.start();
  await assertNothingLost(t, stack, await run.result(), 500);
});
