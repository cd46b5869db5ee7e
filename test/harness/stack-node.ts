import { join } from 'node:path';
import { freePort } from '../../control-plane/src/cli/ports.js';
import { kamailioProcess } from '../../control-plane/src/cli/processes.js';
import type { Config } from '../../control-plane/src/config/schema.js';
import { writeDataFiles } from '../../control-plane/src/kamailio/data-files.js';
import { RpcClient } from '../../control-plane/src/kamailio/rpc-client.js';
import { Part, startPart } from './part.js';
import type { TestLike } from './stack.js';

/** Where a node takes SIP and RPC, chosen before the configuration is written. */
export interface NodePlace {
  name: string;
  /** An address of each node's own, by which both find their sockets in the one `sip.listen`. */
  host: string;
  sipPort: number;
  sipsPort: number;
  rpcPort: number;
  directory: string;
}

/** One Kamailio of a stack. */
export interface StackNode {
  name: string;
  /** Where it takes SIP over UDP and TCP. */
  sip: { host: string; port: number };
  /** Where it takes SIP over TLS, if it does. */
  sips: { host: string; port: number };
  rpc: RpcClient;
  part: Part;
  /** Its last lines of log. */
  log: string[];
}

const LOG_LINES = 200;

export async function placeNode(index: number, directory: string): Promise<NodePlace> {
  return {
    name: `node${index + 1}`,
    // 127.0.0.2 and .3 are the peers'.
    host: index === 0 ? '127.0.0.1' : `127.0.0.${index + 3}`,
    sipPort: await freePort(),
    sipsPort: await freePort(),
    rpcPort: await freePort(),
    directory: join(directory, index === 0 ? 'kamailio' : `kamailio${index + 1}`),
  };
}

export function rpcUrl({ rpcPort }: NodePlace): string {
  return `http://127.0.0.1:${rpcPort}/RPC`;
}

/** Starts a node that takes SIP on its own address alone. */
export async function startNode(
  t: TestLike,
  place: NodePlace,
  options: { config: Config; redisUrl: string; rpcToken: string },
): Promise<StackNode> {
  const { name, host, directory } = place;
  const { config, redisUrl, rpcToken } = options;
  const isOwn = (socket: string) => config.kamailio.nodes.length === 1 || socket.includes(`:${host}:`);
  const own = { ...config, sip: { ...config.sip, listen: config.sip.listen.filter(isOwn) } };
  const spec = await kamailioProcess({ config: own, node: name, directory, redisUrl, rpcToken });
  // As the control plane writes them, which has one configuration for all nodes.
  await writeDataFiles(config, directory);
  const log: string[] = [];
  const part = new Part(spec, (line) => {
    log.push(line);
    if (log.length > LOG_LINES) log.shift();
  });
  await startPart(t, part);
  const rpc = new RpcClient({ node: name, url: rpcUrl(place), token: rpcToken });
  t.teardown(() => rpc.close());
  return {
    name,
    sip: { host, port: place.sipPort },
    sips: { host, port: place.sipsPort },
    rpc,
    part,
    log,
  };
}
