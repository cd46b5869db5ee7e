import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.js';
import { type BenchFile, mergeRuns, readRuns } from './runs.js';

const MAIN = fileURLToPath(new URL('main.js', import.meta.url));

/**
 * Runs benchmarks one after the other, each in a process of its own: what one leaves in memory, and the cores that it
 * is kept on, are nothing to the next. One that fails does not keep the others from running.
 */
export async function runAll(benches: readonly Bench[], isQuick: boolean): Promise<BenchFile> {
  const directory = await mkdtemp(join(tmpdir(), 'retell-proxy-bench-'));
  try {
    const files: BenchFile[] = [];
    for (const { name } of benches) {
      process.stdout.write(`\n# ${name}\n\n`);
      const json = join(directory, `${name}.json`);
      const args = [MAIN, name, ...(isQuick ? ['--quick'] : []), '--json', json];
      const child = spawn(process.execPath, args, { stdio: 'inherit' });
      const [code, signal] = await once(child, 'exit');
      files.push(
        await readRuns(json).catch(() => ({
          runs: [],
          failures: [{ name, problem: `it ended without figures (${signal ?? `exit code ${code}`})` }],
        })),
      );
    }
    return mergeRuns(files);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
