import { stringify } from 'yaml';
import { HANGUP_TIMEOUT_MS } from './await.js';
import { CARRIER_HOST, NUMBER, RETELL_HOST, type StackOptions } from './stack.js';
import { type NodePlace, rpcUrl } from './stack-node.js';

/** What of a stack's configuration is chosen anew for each. */
export interface StackConfig {
  places: readonly [NodePlace, ...NodePlace[]];
  apiListen: string;
  redisUrl: string;
  rpcToken: string;
  tokens: Readonly<Record<string, string>>;
}

/** The configuration file of a stack. */
export function renderConfig(options: StackOptions, own: StackConfig): string {
  return stringify({
    sip: {
      listen: own.places.flatMap(({ host: four, sipPort, sipsPort }) =>
        [four, ...(options.ipv6 ? ['[::1]'] : [])].flatMap((host) => [
          `udp:${host}:${sipPort}`,
          `tcp:${host}:${sipPort}`,
          ...(options.tls ? [`tls:${host}:${sipsPort}`] : []),
        ]),
      ),
      workers: 4,
      ...(options.tls && { tls: options.tls }),
      ...options.config?.sip,
    },
    retell: { gateways: options.gateways, networks: [RETELL_HOST], ...options.config?.retell },
    numbers: options.config?.numbers ?? [{ number: NUMBER }],
    carriers: options.config?.carriers ?? [
      // A carrier that only calls: nothing is sent to its gateway.
      {
        name: 'acme',
        networks: [CARRIER_HOST],
        gateways: [{ uri: `sip:${CARRIER_HOST}:${own.places[0].sipPort}` }],
        probe: false,
      },
    ],
    ...(options.config?.transfers && { transfers: options.config.transfers }),
    ...(options.config?.capture && { capture: options.config.capture }),
    ...(options.config?.traces && { traces: options.config.traces }),
    ...(options.config?.webhooks && { webhooks: options.config.webhooks }),
    calls: { hangup_timeout_ms: HANGUP_TIMEOUT_MS, ...options.config?.calls },
    api: {
      listen: own.apiListen,
      tokens: [
        { name: 'all', token: own.tokens.all, scopes: ['read', 'control', 'admin'] },
        { name: 'reader', token: own.tokens.reader, scopes: ['read'] },
      ],
    },
    redis: { url: own.redisUrl },
    kamailio: {
      nodes: own.places.map((place) => ({
        name: place.name,
        rpc_url: rpcUrl(place),
        rpc_token: own.rpcToken,
        data_directory: place.directory,
      })),
      shared_memory_mb: 64,
      ...options.config?.kamailio,
    },
    log: { level: 'warn', ...options.config?.log },
  });
}
