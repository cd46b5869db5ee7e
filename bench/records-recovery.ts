import { setTimeout as delay } from 'node:timers/promises';
import { DETAIL_RECORDS } from '../control-plane/src/calls/detail-records.js';
import { type SippResult, SippRun } from '../sipp-scenarios/sipp.js';
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
  /** Of the calls with one: those whose record has Retell's side. */
  correlated: number;
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
  const isCorrelated = ({ correlated }: RecordsOfCall) => correlated;
  for (const until = now() + AMENDED_MS; now() < until && ![...counts.values()].every(isCorrelated); ) {
    await delay(500);
    counts = await countRecords(stack, callIdPrefix);
  }
  const each = [...counts.values()];
  return {
    ...{ calls, rate: RATE, faults, wire, settledSeconds },
    none: calls - each.length,
    one: each.filter(({ first }) => first === 1).length,
    more: each.filter(({ first }) => first > 1).length,
    correlated: each.filter(isCorrelated).length,
  };
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
  correlated: boolean;
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
      const before = counts.get(callId) ?? { first: 0, correlated: false };
      counts.set(callId, {
        first: before.first + (field('version') === '1' ? 1 : 0),
        correlated: before.correlated || record.retell_disconnection_reason !== null,
      });
    }
    const last = entries.at(-1);
    if (last === undefined || entries.length < READ_STEP) return counts;
    from = `(${last[0]}`;
  }
}

/** As Markdown. */
export function reportRecovery({ calls, rate, faults, wire, ...found }: RecoveryFigures): string {
  const { none, one, more, correlated, settledSeconds } = found;
  return [
    `${calls} answered calls at ${rate} a second, held ${HOLD_MS / 1000} s, while parts are killed:`,
    '',
    ...faults.map(({ atS, what }) => `- After ${atS.toFixed(1)} s: ${what}.`),
    `- On the wire: ${wire.successful} of ${wire.created} calls as they should be.`,
    `- Records: ${one} calls have exactly one, ${none} none, ${more} more than one. All were there ${settledSeconds.toFixed(1)} s after the last call.`,
    `- ${correlated} have Retell's side, from webhooks that Retell repeats three times.`,
  ].join('\n');
}
