import { type Bench, type BenchOptions, commandOf } from './bench.js';
import { budgetSummary, budgetTable } from './budget.js';
import { type MachineTicks, readMachineTicks } from './cpu.js';
import { describeMachine, machineLines } from './machine.js';
import type { BenchRun } from './runs.js';

/** Runs one benchmark and says on the terminal what it found. @throws Error where it comes to no figures */
export async function runOne(bench: Bench, options: BenchOptions): Promise<BenchRun> {
  const machine = await describeMachine();
  const startedAt = new Date();
  const before = readMachineTicks();
  const figures = await bench.measure(options);
  const stolen = stolenSince(before);
  const run: BenchRun = {
    name: bench.name,
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    stolen,
    command: commandOf(bench, options),
    machine,
    budgets: bench.budgets(figures, machine),
    figures,
  };
  const text = [
    ...machineLines(machine),
    `- Command: \`${run.command}\``,
    `- Meanwhile ${(stolen * 100).toFixed(1)} % of the CPU time went to other machines on the host`,
    '',
    bench.report(figures, machine),
    budgetTable(run.budgets),
    '',
    budgetSummary(run.budgets),
    '',
  ].join('\n');
  process.stdout.write(text);
  return run;
}

function stolenSince(before: MachineTicks): number {
  const now = readMachineTicks();
  return (now.stolen - before.stolen) / Math.max(1, now.all - before.all);
}
