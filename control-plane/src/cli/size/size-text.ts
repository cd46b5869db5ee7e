import { stringify } from 'yaml';
import type { Sizing } from './sizing.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** The answer as it is read on a terminal. */
export function sizeText(sizing: Sizing): string {
  const { demand, calls, ringing, config, redis, receiveBuffer, cpus, eventQueue, sharedMemory } = sizing;
  const { cps, durationS, ringS, retentionDays, callsPerDay, redisAwayS } = demand;
  const sysctl = Object.entries(receiveBuffer.sysctl);
  const { maxmemory, ...inRedis } = redis;
  return [
    `For ${number(cps)} calls/s, ${number(durationS)} s long after ${number(ringS)} s of ringing, ${number(callsPerDay)} a day:`,
    `${number(calls)} calls at once, ${number(ringing)} of them ringing.`,
    '',
    '# config.yaml',
    stringify(config).trimEnd(),
    '',
    '# redis.conf, where Redis is your own',
    `maxmemory ${Math.ceil(maxmemory / MIB)}mb`,
    'maxmemory-policy noeviction',
    'hash-max-listpack-value 1024',
    '',
    '# sysctl, at least',
    ...sysctl.map(([name, value]) => `${name} = ${value}`),
    '',
    'What it follows from:',
    ...rows([
      [
        'cores',
        `${cpus.cores}, half of them busy: Kamailio ${cpu(cpus.kamailio)}, control plane ${cpu(cpus.controlPlane)}, Redis ${cpu(cpus.redis)}`,
      ],
      ['memory', `${size(sizing.machineMemory)}, where all parts are on one machine`],
      ['shared memory', parts(sharedMemory)],
      [
        'event queue',
        `${number(eventQueue.events)} events: Redis may be away for ${number(eventQueue.seconds)} s (asked for: ${number(redisAwayS)} s)`,
      ],
      ['Redis', parts(inRedis)],
      ['kept', `${number(retentionDays)} days x ${number(callsPerDay)} calls`],
      ['receive buffer', `${size(receiveBuffer.bytes)} for each UDP socket, half a second of datagrams`],
    ]),
    ...(sizing.problems.length === 0
      ? []
      : ['', 'More than one node can do:', ...sizing.problems.map((problem) => `- ${problem}`)]),
    ...sizing.advice.map((line) => `\nBetter: ${line}.`),
    '',
    'Measured on one machine, see docs/operations/sizing.md: measure on yours before you rely on it.',
    '',
  ].join('\n');
}

function rows(all: readonly [string, string][]): string[] {
  const width = Math.max(...all.map(([name]) => name.length));
  return all.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
}

const NAMES: Readonly<Record<string, string>> = {
  dialogs: 'calls that are up',
  ringing: 'calls that ring',
  setups: 'transactions',
  hangups: '2,500 hangups by command at once',
  base: 'without calls',
  active: 'active calls',
  kept: 'ended calls',
  rawEvents: 'raw events',
  other: 'the rest',
};

function parts(all: Readonly<Record<string, number>>): string {
  return Object.entries(all)
    .map(([name, bytes]) => `${NAMES[name] ?? name} ${size(bytes)}`)
    .join(', ');
}

function size(bytes: number): string {
  if (bytes < MIB) return `${Math.ceil(bytes / 1024)} KiB`;
  return bytes >= 10 * GIB ? `${(bytes / GIB).toFixed(1)} GiB` : `${Math.ceil(bytes / MIB)} MiB`;
}

function cpu(busy: number): string {
  return busy.toFixed(2);
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
