import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BudgetResult } from './budget.js';
import type { Machine } from './machine.js';

/** One benchmark that was run. */
export interface BenchRun {
  name: string;
  /** ISO 8601. */
  startedAt: string;
  seconds: number;
  /** Part of the machine's CPU time that the host gave to other machines meanwhile, where that was looked at. */
  stolen?: number;
  /** As it can be given again. */
  command: string;
  machine: Machine;
  budgets: BudgetResult[];
  /** What the benchmark itself makes of it. */
  figures: unknown;
}

/** One that came to no figures. */
export interface BenchFailure {
  name: string;
  problem: string;
}

/** What a JSON file of benchmarks holds. */
export interface BenchFile {
  runs: BenchRun[];
  failures: BenchFailure[];
}

/** @throws Error where a file is not there or is none of ours */
export async function readRuns(path: string): Promise<BenchFile> {
  const file = JSON.parse(await readFile(path, 'utf8')) as Partial<BenchFile>;
  if (!Array.isArray(file.runs)) throw new Error(`${path} is no JSON file of npm run bench`);
  return { runs: file.runs, failures: file.failures ?? [] };
}

export async function writeRuns(path: string, file: BenchFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(file, undefined, 2)}\n`);
}

/** All of several files: of a benchmark that is in more than one, the last has its say. */
export function mergeRuns(files: readonly BenchFile[]): BenchFile {
  const latest = new Map<string, BenchFile>();
  for (const { runs, failures } of files) {
    for (const run of runs) latest.set(run.name, { runs: [run], failures: [] });
    for (const failure of failures) latest.set(failure.name, { runs: [], failures: [failure] });
  }
  const merged = [...latest.values()];
  return {
    runs: merged.flatMap(({ runs }) => runs),
    failures: merged.flatMap(({ failures }) => failures),
  };
}
