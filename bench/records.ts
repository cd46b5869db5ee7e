import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { ENDINGS, type Played, playEndings, startEndingsScene } from '../test/harness/scripted-endings.js';
import type { Stack } from '../test/harness/stack.js';
import { type BudgetResult, judge } from './budget.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { measureRecovery, type RecoveryFigures, reportRecovery } from './records-recovery.js';

export interface RecordsOptions {
  /** Calls to place, about; each ending is played as often. */
  calls: number;
  /** Calls at once. */
  concurrency: number;
  /** Calls during which parts are killed. */
  recoveryCalls: number;
}

/** What became of the calls with one ending. */
export interface EndingFigures {
  name: string;
  calls: number;
  /** Calls with a record. */
  records: number;
  /** Those whose record has Retell's side, of those that Retell had. */
  correlated: number;
  atRetell: number;
  /** Those whose explanation is right. */
  explained: number;
}

export interface RecordsFigures {
  options: RecordsOptions;
  endings: EndingFigures[];
  /** Records of calls that nobody placed. */
  surplus: number;
  seconds: number;
  /** From the last call's end until all records were whole, or given up. */
  settledSeconds: number;
  recovery: RecoveryFigures;
}

interface DetailRecord {
  sip_call_id: string;
  explanation: string;
  retell_disconnection_reason: string | null;
}

/** Retell's webhooks come late, and the calls are counted as lost after so long, in ms. */
const SETTLE_MS = 60_000;

/** Plays calls that end in every way, with webhooks late, doubled and out of order, and reads their records. */
export async function measureRecords(options: RecordsOptions): Promise<RecordsFigures> {
  const cleanup = new Cleanup();
  try {
    const scene = await startEndingsScene(cleanup, { controlPlane: 'process' });
    const started = now();
    const times = Math.ceil(options.calls / ENDINGS.length);
    const played = await playEndings(scene, times, options.concurrency);
    const ended = now();
    let records = await recordsOf(scene.stack);
    for (const deadline = ended + SETTLE_MS; now() < deadline; records = await recordsOf(scene.stack)) {
      if (played.every((call) => isWhole(call, records))) break;
      await delay(200);
    }
    return {
      options,
      endings: ENDINGS.map((ending) =>
        figuresOf(
          played.filter((call) => call.ending === ending),
          records,
        ),
      ),
      surplus: records.size - played.length,
      seconds: (ended - started) / 1000,
      settledSeconds: (now() - ended) / 1000,
      recovery: await measureRecovery(scene, options.recoveryCalls, (run) =>
        cleanup.teardown(() => run.stop()),
      ),
    };
  } finally {
    await cleanup.run();
  }
}

/** All records, by Call-ID. */
async function recordsOf({ api }: Stack): Promise<Map<string, DetailRecord>> {
  const reply = await request(`${api.url}/v1/records`, {
    headers: { authorization: `Bearer ${api.tokens.all}`, accept: 'application/x-ndjson' },
  });
  const lines = (await reply.body.text()).split('\n').filter((line) => line !== '');
  const records = lines.map((line) => JSON.parse(line) as DetailRecord);
  return new Map(records.map((record) => [record.sip_call_id, record]));
}

function isWhole({ ending, callId }: Played, records: ReadonlyMap<string, DetailRecord>): boolean {
  const record = records.get(callId);
  return record !== undefined && (!ending.atRetell || record.retell_disconnection_reason !== null);
}

function figuresOf(played: readonly Played[], records: ReadonlyMap<string, DetailRecord>): EndingFigures {
  const count = (test: (call: Played, record: DetailRecord) => boolean) =>
    played.filter((call) => {
      const record = records.get(call.callId);
      return record !== undefined && test(call, record);
    }).length;
  return {
    name: played[0]?.ending.name ?? '',
    calls: played.length,
    records: count(() => true),
    correlated: count((call, record) => call.ending.atRetell && record.retell_disconnection_reason !== null),
    atRetell: played.filter(({ ending }) => ending.atRetell).length,
    explained: count(({ ending }, { explanation }) => ending.explanation.test(explanation)),
  };
}

/** Every call has one record and no other, whatever happens to the parts meanwhile. */
export function budgetsOfRecords({ endings, surplus, recovery }: RecordsFigures): BudgetResult[] {
  const sum = sumOf(endings);
  const { calls, one, lost } = recovery;
  return [
    judge({
      name: `records of ${sum('calls')} calls that end in ${endings.length} ways: calls without exactly one`,
      ...{ measured: sum('calls') - sum('records') + Math.max(0, surplus), limit: { exactly: 0 } },
    }),
    judge({
      name: `records of ${calls} calls through kill -9 of the control plane and of Redis: calls without exactly one`,
      ...{ measured: calls - one, limit: { exactly: 0 } },
    }),
    judge({
      name: 'webhooks answered 2xx and not in the record, through the same',
      ...{ measured: lost, limit: { exactly: 0 } },
    }),
  ];
}

type Sum = (name: 'calls' | 'records' | 'correlated' | 'atRetell' | 'explained') => number;

function sumOf(endings: readonly EndingFigures[]): Sum {
  return (name) => endings.reduce((total, ending) => total + ending[name], 0);
}

/** The figures as Markdown. */
export function reportRecords(figures: RecordsFigures): string {
  const { endings, surplus, seconds, settledSeconds, recovery } = figures;
  const sum = sumOf(endings);
  return [
    `${sum('calls')} calls in ${seconds.toFixed(1)} s; all records were whole ${settledSeconds.toFixed(1)} s later. Records of calls that nobody placed: ${surplus}.`,
    '',
    '| ending | calls | records | correlated with Retell | explained rightly |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...endings.map(
      ({ name, calls, records, correlated, atRetell, explained }) =>
        `| ${name} | ${calls} | ${records} | ${atRetell === 0 ? 'not at Retell' : correlated} | ${explained} |`,
    ),
    `| all | ${sum('calls')} | ${sum('records')} | ${sum('correlated')} of ${sum('atRetell')} | ${sum('explained')} |`,
    '',
    reportRecovery(recovery),
    '',
  ].join('\n');
}
