import { basename } from 'node:path';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';

/**
 * `npm run config:check`: makes the checks of a start, and says in one line what the file holds.
 *
 * @throws ConfigError with one line for each problem
 */
export async function configCheck(file: string): Promise<void> {
  const config = await loadConfig(file);
  process.stdout.write(`${basename(file)} is right: ${contents(config)}\n`);
}

function contents({ carriers, numbers, retell, sip, kamailio, api, webhooks }: Config): string {
  return [
    count(carriers.length, 'carrier'),
    count(numbers.length, 'number'),
    count(retell.gateways.length, 'Retell gateway'),
    count(sip.listen.length, 'SIP socket'),
    count(kamailio.nodes.length, 'node'),
    count(api.tokens.length, 'API token'),
    ...(webhooks.length > 0 ? [count(webhooks.length, 'webhook endpoint')] : []),
  ].join(', ');
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
