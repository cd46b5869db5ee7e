import { readdir } from 'node:fs/promises';

/**
 * Runs the tests of the folder that a test file is named after, one after the other in its process: one process for each
 * takes longer to start than most of them take. A single one runs as `node dist/test/KIND/FOLDER/NAME.test.js`.
 *
 * @param runner URL of that file
 */
export async function runFolder(runner: string): Promise<void> {
  const folder = new URL(runner.replace(/\.test\.js$/, '/'));
  for (const name of (await readdir(folder)).sort()) {
    if (name.endsWith('.test.js')) await import(new URL(name, folder).href);
  }
}
