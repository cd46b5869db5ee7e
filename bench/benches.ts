import { asBench, type Bench, count, milliseconds, zeroOrOne } from './bench.js';
import { budgetsOfCallRate, measureCallRate, reportCallRate } from './call-rate.js';
import { measureHangup } from './hangup.js';
import { budgetsOfHangupRaces, raceHangups, reportHangupRaces } from './hangup-races.js';
import { budgetsOfHangup, reportHangup } from './hangup-report.js';
import { measureMemory } from './memory.js';
import { budgetsOfMemory, reportMemory } from './memory-report.js';
import { measurePostDialDelay } from './post-dial-delay.js';
import { budgetsOfPostDialDelay, reportPostDialDelay } from './post-dial-delay-report.js';
import { budgetsOfRecords, measureRecords, reportRecords } from './records.js';
import { budgetsOfScrape, measureScrape, reportScrape } from './scrape.js';
import { budgetsOfStart, measureStart, reportStart } from './start.js';
import { budgetsOfWebhooks, reportWebhooks } from './webhook-report.js';
import { measureWebhooks } from './webhooks.js';

/** Every benchmark, in the order in which all of them are run: one for each budget of the design, or for several. */
export const BENCHES: readonly Bench[] = [
  asBench({
    name: 'start',
    description: 'how long npm start takes until it is ready, where everything is installed',
    options: [{ flags: '--times <n>', description: 'starts each way', parse: count, value: 5, quick: 2 }],
    measure: measureStart,
    report: reportStart,
    budgets: budgetsOfStart,
  }),
  asBench({
    name: 'call-rate',
    description: 'the highest clean call rate, next to SIPp alone and two bare Kamailios',
    options: [
      {
        flags: '--duration <s>',
        description: 'how long a rate has to be clean',
        parse: count,
        ...{ value: 30, quick: 5 },
      },
      { flags: '--pairs <n>', description: 'SIPps on each side', parse: count, value: 2 },
      { flags: '--hold-ms <ms>', description: 'how long a call is held', parse: milliseconds, value: 1000 },
      {
        flags: '--coarse <0|1>',
        description: '1: one search for each in coarse steps, for a look',
        parse: zeroOrOne,
        ...{ value: 0, quick: 1 },
      },
    ],
    measure: measureCallRate,
    report: reportCallRate,
    budgets: budgetsOfCallRate,
  }),
  asBench({
    name: 'post-dial-delay',
    description: 'what the proxy adds to the time until the callee rings, next to a bare Kamailio',
    page: 'post-dial-delay.md',
    options: [
      {
        flags: '--calls <n>',
        description: 'calls each way in each series',
        parse: count,
        ...{ value: 500, quick: 100 },
      },
      {
        flags: '--warm-up <n>',
        description: 'calls each way before that',
        parse: count,
        ...{ value: 100, quick: 50 },
      },
      { flags: '--rate <n>', description: 'calls a second in the second series', parse: count, value: 50 },
      {
        flags: '--retell-ms <ms>',
        description: "how long Retell's API thinks about a request",
        ...{ parse: milliseconds, value: 0 },
      },
    ],
    measure: measurePostDialDelay,
    report: reportPostDialDelay,
    budgets: budgetsOfPostDialDelay,
  }),
  asBench({
    name: 'hangup',
    description: 'how long hangups take, one by one and many at once',
    page: 'hangup.md',
    options: [
      {
        flags: '--calls <n>',
        description: 'calls ended by one POST /v1/hangups',
        parse: count,
        ...{ value: 5000, quick: 1000 },
      },
      { flags: '--rate <n>', description: 'hangups a second in it', parse: count, value: 1000 },
      {
        flags: '--samples <n>',
        description: 'calls ended one by one in each series',
        parse: count,
        ...{ value: 500, quick: 100 },
      },
      {
        flags: '--step <s>',
        description: 'how long each rate of the ramp is kept up',
        parse: count,
        ...{ value: 5, quick: 2 },
      },
    ],
    measure: measureHangup,
    report: reportHangup,
    budgets: budgetsOfHangup,
  }),
  asBench({
    name: 'hangup-races',
    description: 'whether a hangup ever ends one side of a call alone',
    page: 'hangup.md',
    options: [
      {
        flags: '--calls <n>',
        description: 'calls up, ended one by one',
        parse: count,
        ...{ value: 5000, quick: 1000 },
      },
      { flags: '--concurrency <n>', description: 'requests at once', parse: count, value: 16 },
    ],
    measure: raceHangups,
    report: reportHangupRaces,
    budgets: budgetsOfHangupRaces,
  }),
  asBench({
    name: 'webhooks',
    description: 'how fast webhooks are answered and written, next to a receiver that only checks them',
    page: 'webhooks.md',
    options: [
      {
        flags: '--rate <n>',
        description: 'webhooks a second in the first series',
        parse: count,
        value: 3000,
      },
      {
        flags: '--duration <s>',
        description: 'how long that goes on; the second series has as many webhooks',
        parse: count,
        ...{ value: 10, quick: 3 },
      },
      {
        flags: '--calls <n>',
        description: 'calls that the webhooks of a series are about (default: one for every three)',
        parse: count,
      },
    ],
    measure: measureWebhooks,
    report: reportWebhooks,
    budgets: budgetsOfWebhooks,
  }),
  asBench({
    name: 'records',
    description: 'whether every call has one record, however it ends and whatever part is killed',
    page: 'records.md',
    options: [
      {
        flags: '--calls <n>',
        description: 'calls that end in every way, about',
        parse: count,
        ...{ value: 1000, quick: 220 },
      },
      { flags: '--concurrency <n>', description: 'of those at once', parse: count, value: 24 },
      {
        flags: '--recovery-calls <n>',
        description: 'calls during which the control plane and Redis are killed',
        parse: count,
        ...{ value: 1500, quick: 500 },
      },
    ],
    measure: measureRecords,
    report: reportRecords,
    budgets: budgetsOfRecords,
  }),
  asBench({
    name: 'memory',
    description: 'what calls take of the memory of each part, and of its CPU',
    page: 'sizing.md',
    options: [
      {
        flags: '--low <n>',
        description: 'calls up at first',
        parse: count,
        ...{ value: 2000, quick: 500 },
      },
      {
        flags: '--high <n>',
        description: 'calls up then',
        parse: count,
        ...{ value: 6000, quick: 1500 },
      },
      {
        flags: '--rate <n>',
        description: 'calls a second that come and go after that',
        parse: count,
        ...{ value: 200, quick: 100 },
      },
      {
        flags: '--duration <s>',
        description: 'how long they do',
        parse: count,
        ...{ value: 30, quick: 15 },
      },
      {
        flags: '--ringing <n>',
        description: 'calls that ring in the end',
        parse: count,
        ...{ value: 1000, quick: 300 },
      },
    ],
    measure: measureMemory,
    report: reportMemory,
    budgets: budgetsOfMemory,
  }),
  asBench({
    name: 'scrape',
    description: 'how long Prometheus waits for the metrics while many calls are up',
    page: 'scrape.md',
    options: [
      { flags: '--calls <n>', description: 'calls up', parse: count, value: 10_000 },
      { flags: '--scrapes <n>', description: 'scrapes', parse: count, value: 50, quick: 10 },
      { flags: '--carriers <n>', description: 'carriers', parse: count, value: 10 },
    ],
    measure: measureScrape,
    report: reportScrape,
    budgets: budgetsOfScrape,
  }),
];
