import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The top of the checkout, seen from the built file. */
export const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

/** Where a run leaves files: Redis' data, Kamailio's rendered files, the demo's API token. */
export function varDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return env.RETELL_PROXY_VAR ?? join(ROOT, 'var');
}

/** Where Kamailio's rendered files are, for a node whose `data_directory` is not configured. */
export function kamailioDirectory(): string {
  return join(varDirectory(), 'kamailio');
}
