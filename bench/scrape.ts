import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { fieldsOfEvent, type RecordFields } from '../control-plane/src/calls/record.js';
import { CallStore } from '../control-plane/src/calls/store.js';
import { freePort } from '../control-plane/src/cli/ports.js';
import { eventually } from '../test/harness/await.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, type Stack, startStack } from '../test/harness/stack.js';
import { type BudgetResult, judge } from './budget.js';
import { Cleanup } from './cleanup.js';
import { now } from './clock.js';
import { type Summary, summarise } from './statistics.js';

export interface ScrapeOptions {
  /** Calls up. */
  calls: number;
  /** Scrapes that are measured. */
  scrapes: number;
  /** Carriers that the calls are of; each has a limit. */
  carriers: number;
}

export interface ScrapeFigures {
  options: ScrapeOptions;
  /** From the request to the last byte of the answer, in ms. */
  time: Summary & { longest: number };
  series: number;
  /** Calls up by the metrics. */
  counted: number;
  bytes: number;
}

/** A scrape may take so long, in ms, and have so many series. */
const BUDGET = { ms: 50, series: 2000 };
/** Longer than anything that a scrape reads is kept, so that each reads all of it. */
const PAUSE_MS = 2100;
/** Records written at once. */
const MERGE_STEP = 1000;

/** Asks a control plane for its metrics while calls are up by their records. */
export async function measureScrape(options: ScrapeOptions): Promise<ScrapeFigures> {
  const cleanup = new Cleanup();
  try {
    const stack = await startStack(cleanup, {
      gateways: [{ uri: `sip:${RETELL_HOST}:${await freePort(RETELL_HOST)}` }],
      controlPlane: 'process',
      config: {
        // No node has the calls: the reconciler would end them.
        calls: { limits: { concurrent_calls: options.calls }, reconcile_interval_s: 3600 },
        carriers: Array.from({ length: options.carriers }, (_, n) => ({
          name: nameOf(n),
          networks: [`198.51.100.${n}`],
          gateways: [{ uri: `sip:198.51.100.${n}` }],
          prefixes: ['+1'],
          probe: false,
          limits: { concurrent_calls: options.calls },
        })),
      },
    });
    await addCalls(stack, options);
    await eventually('the calls in the metrics', async () => counted(await scrape(stack)) === options.calls);
    const times: number[] = [];
    let text = '';
    for (let n = 0; n < options.scrapes; n += 1) {
      await delay(PAUSE_MS);
      const started = now();
      text = await scrape(stack);
      times.push(now() - started);
    }
    return {
      options,
      time: { ...summarise(times), longest: Math.max(...times) },
      series: text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length,
      counted: counted(text),
      bytes: Buffer.byteLength(text),
    };
  } finally {
    await cleanup.run();
  }
}

async function scrape({ api }: Stack): Promise<string> {
  const reply = await request(`${api.url}/metrics`);
  return reply.body.text();
}

function counted(text: string): number {
  const values = [...text.matchAll(/^retell_proxy_calls_active\{.*\} (\d+)$/gm)].map(([, n]) => Number(n));
  return values.reduce((sum, n) => sum + n, 0);
}

function nameOf(carrier: number): string {
  return `carrier${carrier}`;
}

/** Of five calls three are answered and up, one rings, and one has ended: those have their series too. */
async function addCalls({ redis }: Stack, { calls, carriers }: ScrapeOptions): Promise<void> {
  const store = new CallStore(redis, 3600);
  const records: RecordFields[] = [];
  for (let n = 0, up = 0; up < calls; n += 1) {
    const isOver = n % 5 === 4;
    if (!isOver) up += 1;
    records.push(recordOf(nameOf(Math.floor(n / 5) % carriers), n % 5 === 3, isOver));
  }
  for (let at = 0; at < records.length; at += MERGE_STEP) {
    const some = records.slice(at, at + MERGE_STEP);
    await store.merge(some.map((fields) => ({ id: randomUUID(), atMs: Date.now(), fields })));
  }
}

function recordOf(carrier: string, rings: boolean, isOver: boolean): RecordFields {
  const id = randomUUID();
  const gateway = `sip:${RETELL_HOST}:5060`;
  const at = (ms: number) => ({ id, at: (Date.now() - 60_000 + ms) * 1000 });
  const leg = (host: string) => ({
    ...{ tag: id.slice(0, 13), contact: `sip:${NUMBER}@${host}:5060`, route_set: [], cseq: 1 },
    socket: 'udp:127.0.0.1:5060',
  });
  const events = [
    {
      ...({ type: 'invite', ...at(0), direction: 'inbound', carrier } as const),
      ...{ source: `${CARRIER_HOST}:5060`, sip_call_id: `${id}@${CARRIER_HOST}`, from_tag: id.slice(0, 13) },
      ...{ from: '+14155550123', to: NUMBER, number: NUMBER },
    },
    { type: 'ringing', ...at(80), gateway, code: 180 } as const,
    {
      ...({ type: 'answered', ...at(900), carrier, gateway, h_entry: 1, h_id: 2 } as const),
      ...{ max_duration_s: 7200, from_uri: `sip:1@${CARRIER_HOST}`, to_uri: `sip:2@${RETELL_HOST}` },
      ...{ caller: leg(CARRIER_HOST), callee: leg(RETELL_HOST) },
    },
    { type: 'ended', ...at(48_000), by: 'carrier', reason: undefined } as const,
  ];
  return events
    .slice(0, isOver ? 4 : rings ? 2 : 3)
    .reduce<RecordFields>((fields, event) => Object.assign(fields, fieldsOfEvent(event, 'node1')), {});
}

export function budgetsOfScrape({ time, series, counted: up }: ScrapeFigures): BudgetResult[] {
  return [
    judge({
      name: `/metrics with ${up} calls up: p99`,
      ...{ measured: time.p99, unit: 'ms', limit: { under: BUDGET.ms } },
    }),
    judge({ name: '/metrics: series', measured: series, limit: { atMost: BUDGET.series } }),
  ];
}

/** The figures as Markdown. */
export function reportScrape({ options, time, series, counted: up, bytes }: ScrapeFigures): string {
  const { scrapes, carriers } = options;
  return [
    `${up} calls up by the metrics, of ${carriers} carriers. ${scrapes} scrapes, each of which reads everything anew, in milliseconds:`,
    '',
    '| median | p99 | longest | series | KiB |',
    '| ---: | ---: | ---: | ---: | ---: |',
    `| ${[time.median, time.p99, time.longest].map((ms) => ms.toFixed(1)).join(' | ')} | ${series} | ${(bytes / 1024).toFixed(0)} |`,
    '',
  ].join('\n');
}
