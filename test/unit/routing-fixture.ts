import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { parseConfig } from '../../control-plane/src/config/load.js';
import type { Config } from '../../control-plane/src/config/schema.js';
import { writeDataFiles } from '../../control-plane/src/kamailio/data-files.js';
import type { RoutingTables } from '../../control-plane/src/kamailio/routing-tables.js';
import { FakeNode } from './fake-node.js';

export const RETELL = 'sip:203.0.113.10:5060';
export const ACME = 'sip:198.51.100.10:5060';
export const GLOBEX = 'sip:192.0.2.10:5060';

/** A carrier named acme, with other keys where wanted. */
export function acme(keys: Record<string, unknown> = {}) {
  return {
    name: 'acme',
    networks: ['198.51.100.0/24'],
    gateways: [{ uri: ACME }],
    prefixes: ['+1'],
    ...keys,
  };
}

export function globex(keys: Record<string, unknown> = {}) {
  return { name: 'globex', networks: ['192.0.2.0/25'], gateways: [{ uri: GLOBEX }], ...keys };
}

/** A configuration with one carrier and one number, and other sections where wanted. */
export function configOf(sections: Record<string, unknown> = {}): Config {
  return parseConfig(
    stringify({
      sip: { listen: ['udp:192.0.2.200:5060', 'tcp:192.0.2.200:5060'] },
      retell: retell(),
      numbers: [{ number: '+14155550100' }],
      carriers: [acme()],
      api: { tokens: [{ name: 'ops', token: 'x'.repeat(16), scopes: ['read'] }] },
      ...sections,
    }),
    {},
  );
}

export function retell(keys: Record<string, unknown> = {}) {
  return { gateways: [{ uri: RETELL }], networks: ['203.0.113.0/24'], ...keys };
}

/** Nodes that run with this configuration. */
export async function startNodes(
  t: Test,
  config: Config,
  names: string[] = ['node1'],
): Promise<{ fakes: FakeNode[]; nodes: Map<string, RoutingTables>; directory: (node: string) => string }> {
  const root = await mkdtemp(join(tmpdir(), 'retell-proxy-test-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const directory = (node: string) => join(root, node);
  const fakes: FakeNode[] = [];
  const nodes = new Map<string, RoutingTables>();
  for (const name of names) {
    const fake = new FakeNode(name, directory(name));
    await writeDataFiles(config, directory(name));
    await fake.restart();
    fakes.push(fake);
    nodes.set(name, await fake.serve(t));
  }
  return { fakes, nodes, directory };
}
