import { readdir } from 'node:fs/promises';

/**
 * The tests of pure/, which start nothing and take no time, in one process: one for each file takes longer than all of
 * them. A single one runs as `node dist/test/unit/pure/NAME.test.js`.
 */
const folder = new URL('pure/', import.meta.url);
for (const name of (await readdir(folder)).sort()) {
  if (name.endsWith('.test.js')) await import(new URL(name, folder).href);
}
