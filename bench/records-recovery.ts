import { setTimeout as delay } from 'node:timers/promises';
import { DETAIL_RECORDS } from '../control-plane/src/calls/detail-records.js';
import { type SippResult, SippRun } from '../sipp-scenarios/sipp.js';
import { eventually } from '../test/harness/await.js';
import { type EndingsScene, NUMBERS } from '../test/harness/scripted-endings.js';
import { CARRIER_HOST, type Stack } from '../test/harness/stack.js';
import { now } from './clock.js';

export interface RecoveryFigures {
  calls: number;
  /** Calls a second. */
  rate: number;
  /** What was done to which part, and when, in s since the first call. */
  faults: { atS: number; what: string }[];
  /** What the caller saw of its calls. */
  wire: SippResult;
  /** Calls with no detail record, with exactly one, and with more. */
  none: number;
  one: number;
  more: number;
  /** Calls whose end Retell has told, and was answered 2xx: each record has to have it. */
  told: number;
  /** Those among them whose record has it not. */
  lost: number;
  /** From the last call's end until every call had a record, or given up, in s. */
  settledSeconds: number;
}

const RATE = 50;
const HOLD_MS = 1000;
/** How long a part that was killed stays away, in ms. */
const AWAY_MS = 1000;
/** Without any new record for so long the rest is lost, in ms: one is written some seconds after a call's end. */
const GIVE_UP_MS = 30_000;
/** Webhooks amend records that are there already, in ms: Retell's repetitions and our second version take so long. */
const AMENDED_MS = 20_000;
const READ_STEP = 1000;

/** Places calls, kills the control plane and Redis meanwhile, and counts what records there are. */
export async function measureRecovery(
  scene: EndingsScene,
  calls: number,
  onRun: (run: SippRun) => void,
): Promise<RecoveryFigures> {
  const { stack } = scene;
  const callIdPrefix = 'recovery';
  await eventually('no webhook of other calls', () => scene.simulator.webhooks.pending === 0, GIVE_UP_MS);
  const startedMs = Date.now();
  const run = await SippRun.start({
    scenario: 'carrier/inbound-answered.xml',
    host: CARRIER_HOST,
    target: `${stack.sip.host}:${stack.sip.port}`,
    number: NUMBERS.trunk,
    ...{ calls, rate: RATE, holdMs: HOLD_MS, callIdPrefix },
    timeoutS: calls / RATE + 120,
  });
  onRun(run);
  const faults = await breakParts(stack, calls / RATE);
  const wire = await run.result();
  const ended = now();
  let counts = await countRecords(stack, callIdPrefix);
  for (let progressed = now(); counts.size < calls && now() - progressed < GIVE_UP_MS; ) {
    await delay(500);
    const later = await countRecords(stack, callIdPrefix);
    if (later.size > counts.size) progressed = now();
    counts = later;
  }
  const settledSeconds = (now() - ended) / 1000;
  await eventually('the last webhook', () => scene.simulator.webhooks.pending === 0, GIVE_UP_MS);
  const told = toldSince(scene, startedMs);
  const untold = () => told.filter((retellId) => !retellIds(counts).has(retellId));
  for (const until = now() + AMENDED_MS; now() < until && untold().length > 0; ) {
    await delay(500);
    counts = await countRecords(stack, callIdPrefix);
  }
  const each = [...counts.values()];
  return {
    ...{ calls, rate: RATE, faults, wire, settledSeconds },
    none: calls - each.length,
    one: each.filter(({ first }) => first === 1).length,
    more: each.filter(({ first }) => first > 1).length,
    told: told.length,
    lost: untold().length,
  };
}

/** Retell's ids of the calls whose end it has told and was answered 2xx. */
function toldSince({ simulator }: EndingsScene, sinceMs: number): string[] {
  const told = simulator.webhooks.deliveries.items.filter(
    ({ event, status, at }) => event === 'call_ended' && status >= 200 && status < 300 && at >= sinceMs,
  );
  return [...new Set(told.map(({ call_id }) => call_id))];
}

function retellIds(counts: ReadonlyMap<string, RecordsOfCall>): Set<string> {
  return new Set([...counts.values()].flatMap(({ retellId }) => retellId ?? []));
}

/** Each fault at its part of the time in which calls are placed. */
async function breakParts({ parts }: Stack, seconds: number): Promise<RecoveryFigures['faults']> {
  const started = now();
  const faults: RecoveryFigures['faults'] = [];
  const strike = async (at: number, name: string, part: typeof parts.redis | undefined) => {
    await delay(Math.max(0, started + at * seconds * 1000 - now()));
    faults.push({
      atS: (now() - started) / 1000,
      what: `kill -9 of ${name}, back after ${AWAY_MS / 1000} s`,
    });
    await part?.kill();
    await delay(AWAY_MS);
    await part?.start();
  };
  await strike(0.2, 'the control plane', parts.controlPlane);
  await strike(0.45, 'Redis', parts.redis);
  await strike(0.7, 'the control plane', parts.controlPlane);
  return faults;
}

interface RecordsOfCall {
  /** How often version 1 was written, which is once. */
  first: number;
  /** Retell's id of the call, once its end at Retell is in a record. */
  retellId: string | undefined;
}

/** The detail records that were written, by Call-ID. */
async function countRecords({ redis }: Stack, callIdPrefix: string): Promise<Map<string, RecordsOfCall>> {
  const counts = new Map<string, RecordsOfCall>();
  for (let from = '-'; ; ) {
    const entries = await redis.xrange(DETAIL_RECORDS, from, '+', 'COUNT', READ_STEP);
    for (const [, fields] of entries) {
      const field = (name: string) => fields[fields.indexOf(name) + 1] ?? '';
      const record = JSON.parse(field('record'));
      const callId = String(record.sip_call_id);
      if (!callId.startsWith(callIdPrefix)) continue;
      const before = counts.get(callId) ?? { first: 0, retellId: undefined };
      counts.set(callId, {
        first: before.first + (field('version') === '1' ? 1 : 0),
        retellId: record.retell_disconnection_reason === null ? before.retellId : record.retell_call_id,
      });
    }
    const last = entries.at(-1);
    if (last === undefined || entries.length < READ_STEP) return counts;
    from = `(${last[0]}`;
  }
}

/** As Markdown. */
export function reportRecovery({ calls, rate, faults, wire, ...found }: RecoveryFigures): string {
  const { none, one, more, told, lost, settledSeconds } = found;
  return [
    `${calls} answered calls at ${rate} a second, held ${HOLD_MS / 1000} s, while parts are killed:`,
    '',
    ...faults.map(({ atS, what }) => `- After ${atS.toFixed(1)} s: ${what}.`),
    `- On the wire: ${wire.successful} of ${wire.created} calls as they should be.`,
    `- Records: ${one} calls have exactly one, ${none} none, ${more} more than one. All were there ${settledSeconds.toFixed(1)} s after the last call.`,
    `- Retell's webhooks, which it repeats three times: of ${told} calls that it told the end of and was answered 2xx, ${told - lost} have it in their record and ${lost} not. For ${calls - told} calls it was not answered, as nobody was there.`,
  ].join('\n');
}
