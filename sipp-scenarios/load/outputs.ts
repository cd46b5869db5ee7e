import { writeFile } from 'node:fs/promises';
import { Cleanup } from '../../bench/cleanup.js';
import { describeMachine } from '../../bench/machine.js';
import { commandLine } from './command-line.js';
import type { Head } from './report.js';

const EXIT_INTERRUPTED = 130;

/** Runs what starts parts, and stops all of them at its end, when it fails, and on Ctrl-C. */
export async function withParts<T>(work: (parts: Cleanup) => Promise<T>): Promise<T> {
  const cleanup = new Cleanup();
  const interrupted = () => void cleanup.run().finally(() => process.exit(EXIT_INTERRUPTED));
  process.once('SIGINT', interrupted);
  try {
    return await work(cleanup);
  } finally {
    process.off('SIGINT', interrupted);
    await cleanup.run();
  }
}

/** When and where a run is. */
export async function headOf(): Promise<Head> {
  const machine = await describeMachine();
  return { startedAt: new Date().toISOString(), machine, command: commandLine() };
}

/** Writes a report to the terminal, and to the files that were asked for. */
export async function writeReport<R>(
  report: R,
  { text, page }: { text: (report: R) => string; page: (report: R) => string },
  { json, html }: { json?: string; html?: string },
): Promise<void> {
  process.stdout.write(text(report));
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (html !== undefined) await writeFile(html, page(report));
}
