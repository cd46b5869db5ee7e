import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import t from 'tap';
import { parse } from 'yaml';
import type { MemoryFigures } from '../../../bench/memory.js';
import { perCall } from '../../../bench/memory-report.js';
import { readRuns } from '../../../bench/runs.js';
import { ROOT } from '../../../control-plane/src/cli/paths.js';
import { KAMAILIO, REDIS } from '../../../control-plane/src/cli/size/figures.js';
import { sizeText } from '../../../control-plane/src/cli/size/size-text.js';
import { type Demand, sizeFor } from '../../../control-plane/src/cli/size/sizing.js';
import { addSize } from '../../../control-plane/src/cli/size.js';
import { configNode, type SchemaNode } from '../../../control-plane/src/config/schema.js';

const DEMAND: Demand = {
  cps: 200,
  durationS: 180,
  ringS: 10,
  retentionDays: 30,
  callsPerDay: 1_000_000,
  redisAwayS: 60,
};

/** The schema of a key of config.yaml. */
function keyOf(path: readonly string[]): SchemaNode | undefined {
  return path.reduce<SchemaNode | undefined>((node, key) => node?.properties?.[key], configNode);
}

/** Every key that holds a value, as a path, to its value. */
function leavesOf(section: Record<string, unknown>, path: string[] = []): [string[], unknown][] {
  return Object.entries(section).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null
      ? leavesOf(value as Record<string, unknown>, [...path, key])
      : [[[...path, key], value] as [string[], unknown]],
  );
}

for (const cps of [1, 200, 100_000]) {
  t.test(`what is set for ${cps} calls/s are keys of config.yaml, within their bounds`, async (t) => {
    const text = sizeText(sizeFor({ ...DEMAND, cps }));
    const [, yaml = ''] = /# config\.yaml\n([\s\S]*?)\n\n/.exec(text) ?? [];
    const leaves = leavesOf(parse(yaml));
    t.equal(leaves.length, 3);
    for (const [path, value] of leaves) {
      const node = keyOf(path);
      t.ok(node, path.join('.'));
      t.ok(Number(value) >= (node?.minimum ?? 0), `${path.join('.')}: ${value} is not too small`);
      t.ok(Number(value) <= (node?.maximum ?? 0), `${path.join('.')}: ${value} is not too big`);
    }
  });
}

t.test('calls at once follow from rate and length', async (t) => {
  const { calls, ringing } = sizeFor(DEMAND);
  t.same({ calls, ringing }, { calls: 38_000, ringing: 2000 });
});

t.test('shared memory holds the calls with room, and the events of a Redis that is away', async (t) => {
  const { config, sharedMemory, eventQueue } = sizeFor(DEMAND);
  const bytes = config.kamailio.shared_memory_mb * 2 ** 20;
  const used = Object.values(sharedMemory).reduce((sum, part) => sum + part, 0);
  t.ok(used < bytes * 0.7, 'below the alert');
  t.ok(eventQueue.seconds >= DEMAND.redisAwayS);
  const longer = sizeFor({ ...DEMAND, redisAwayS: 600 });
  t.ok(longer.eventQueue.seconds >= 600);
  t.ok(longer.config.kamailio.shared_memory_mb > config.kamailio.shared_memory_mb);
});

t.test('twice the calls take about twice of what calls take', async (t) => {
  const [once, twice] = [sizeFor(DEMAND), sizeFor({ ...DEMAND, cps: 400, callsPerDay: 2_000_000 })];
  t.equal(twice.sharedMemory.dialogs, 2 * once.sharedMemory.dialogs);
  t.equal(twice.sharedMemory.setups, 2 * once.sharedMemory.setups);
  t.equal(twice.redis.kept, 2 * once.redis.kept);
  t.equal(twice.sharedMemory.base, once.sharedMemory.base);
});

t.test('Redis is told to keep everything, with room below the alert at 80 %', async (t) => {
  const { redis } = sizeFor(DEMAND);
  const { maxmemory, ...parts } = redis;
  t.ok(Object.values(parts).reduce((sum, part) => sum + part, 0) < maxmemory * 0.8);
  t.match(sizeText(sizeFor(DEMAND)), 'maxmemory-policy noeviction');
});

t.test('a small rate keeps the defaults', async (t) => {
  const { config, receiveBuffer, cpus, problems, advice } = sizeFor({ ...DEMAND, cps: 1, callsPerDay: 1000 });
  t.match(config, { sip: { workers: 4 }, kamailio: { shared_memory_mb: 256 } });
  t.same(receiveBuffer.sysctl, { 'net.core.rmem_max': 1_048_576 });
  t.equal(cpus.cores, 2);
  t.same([problems, advice], [[], []]);
});

t.test('what one node cannot do is said', async (t) => {
  const { problems } = sizeFor({ ...DEMAND, cps: 100_000 });
  for (const what of ['control plane', 'Redis', 'kamailio.shared_memory_mb', 'sip.workers']) {
    t.ok(
      problems.some((problem) => problem.includes(what)),
      what,
    );
  }
  t.match(sizeText(sizeFor({ ...DEMAND, cps: 100_000 })), 'More than one node can do:');
});

t.test('records of many calls are better kept elsewhere', async (t) => {
  t.match(sizeFor(DEMAND).advice[0], 'records.directory');
});

for (const [args, message] of [
  [['--duration', '180'], /required option '--cps <n>' not specified/],
  [
    ['--cps', 'many', '--duration', '180'],
    /'--cps <n>' argument 'many' is invalid. Write a number from 0.01/,
  ],
  [['--cps', '0', '--duration', '180'], /argument '0' is invalid/],
  [['--cps', '', '--duration', '180'], /argument '' is invalid/],
  [['--cps', '5', '--duration', '1e9'], /from 1 to 86400/],
  [['--cps', '5', '--duration', '9', '--retention-days', '1.5'], /Write a whole number from 1 to 365/],
  [['--cps', '5', '--duration', '9', '--calls', '3'], /unknown option '--calls'/],
] as const) {
  t.test(`size ${args.join(' ')} is refused in one line`, async (t) => {
    let said = '';
    const program = new Command().exitOverride().configureOutput({
      writeErr: (text) => {
        said += text;
      },
    });
    addSize(program);
    t.throws(() => program.parse(['size', ...args], { from: 'user' }));
    t.match(said, message);
    t.equal(said.trimEnd().split('\n').length, 1);
  });
}

t.test('the memory that is reckoned with is what was measured last, or somewhat more', async (t) => {
  const { runs } = await readRuns(join(ROOT, 'docs/operations/performance.json'));
  const figures = runs.find(({ name }) => name === 'memory')?.figures as MemoryFigures;
  const measured = perCall(figures);
  for (const [name, reckoned, bytes] of [
    ['a call that is up', KAMAILIO.dialog, measured.dialog],
    ['a call that rings', KAMAILIO.ringing, figures.ringingBytes],
    ['a call a second', KAMAILIO.perCallPerSecond, measured.churn],
    ['an active call in Redis', REDIS.active, measured.redis - measured.redisStreams],
    ['an ended call in Redis', REDIS.kept, measured.keptRecord + measured.detailRecord],
    ['its raw events', REDIS.rawEvents, measured.rawEvents],
  ] as const) {
    t.ok(reckoned > bytes * 0.97 && reckoned < bytes * 1.3, `${name}: ${reckoned} for ${bytes} measured`);
  }
});

t.test('sizing.md names every setting that is printed', async (t) => {
  const page = readFileSync(join(ROOT, 'docs/operations/sizing.md'), 'utf8');
  const { config, receiveBuffer } = sizeFor(DEMAND);
  const keys = leavesOf(config).map(([path]) => path.join('.'));
  for (const key of [...keys, ...Object.keys(receiveBuffer.sysctl), 'maxmemory', 'net.core.rmem_max']) {
    t.match(page, `\`${key}\``, key);
  }
});
