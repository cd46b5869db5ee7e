import { request } from 'undici';
import { DETAIL_RECORDS } from '../../control-plane/src/calls/detail-records.js';
import { ENDED } from '../../control-plane/src/calls/merge-script.js';
import { ALL, recordKey } from '../../control-plane/src/calls/store.js';
import { type Stack, startStack, type TestLike } from '../../test/harness/stack.js';
import type { Scenario } from '../scenarios.js';
import type { CommandApi } from './commands.js';
import { MetricsText } from './metrics-text.js';
import type { Address, Transport } from './pairs.js';

/** What a load run calls through, and what it can be asked. */
export interface System {
  sip: Address;
  /** Process groups of its parts on this machine, by name; none where it runs elsewhere. */
  groups: () => Record<string, number | undefined>;
  /** Its metrics; undefined where it has none, and where it does not answer. */
  metrics: () => Promise<MetricsText | undefined>;
  /** Redis' own figures, where they can be had. */
  redis?: Stack['redis'];
  /** Where calls can be hung up and transferred; undefined where they cannot. */
  api?: CommandApi;
  /** Calls of this run with a detail record; undefined where that cannot be had. */
  countRecords: (callIdPrefix: string) => Promise<number | undefined>;
}

/** A stack that was started for the run. */
export interface OwnSystem extends System {
  stack: Stack;
  redis: Stack['redis'];
  /** Counts the calls that are over and takes them out of Redis. To be called while none is up and none waits. */
  forgetCalls: () => Promise<void>;
}

export interface OwnSystemOptions {
  transport: Transport;
  /** Who takes calls as Retell. */
  retell: readonly Address[];
  /** Who takes calls as a carrier. */
  carrier: readonly Address[];
  /** Our numbers. */
  numbers: readonly string[];
  sharedMemoryMb: number;
  /** Credentials that Retell and carriers are asked for and give. */
  digest?: Scenario['digest'] | undefined;
  ringTimeoutS?: number | undefined;
}

/** Worker processes of each UDP socket, ours and those of what ours is compared with. */
export const WORKERS = 4;
/** Entries of Redis' stream read at once. */
const READ_STEP = 1000;
/** Keys of Redis looked at at once. */
const DELETE_STEP = 5000;

/** Starts Redis, Kamailio and the control plane between the pairs, with no limit on calls. */
export async function startOwnSystem(t: TestLike, options: OwnSystemOptions): Promise<OwnSystem> {
  const { transport, retell, carrier, numbers, digest, ringTimeoutS } = options;
  const uri = ({ host, port }: Address) => ({ uri: `sip:${host}:${port};transport=${transport}` });
  // What only calls still has to have a gateway, which nobody is sent to.
  const nobodyAt = (host: string) => [{ host, port: 9 }];
  const stack = await startStack(t, {
    gateways: (retell.length === 0 ? nobodyAt('127.2.0.255') : retell).map(uri),
    controlPlane: 'process',
    config: {
      sip: { workers: WORKERS },
      retell: { networks: ['127.2.0.0/24'], ...(digest && { digest: digest.retell }) },
      numbers: numbers.map((number) => ({ number })),
      carriers: [
        {
          name: 'load',
          networks: ['127.1.0.0/24'],
          gateways: (carrier.length === 0 ? nobodyAt('127.1.0.255') : carrier).map(uri),
          probe: carrier.length > 0,
          ...(carrier.length > 0 && { prefixes: ['+1'] }),
          ...(digest && { digest: digest.carrier }),
        },
      ],
      transfers: { per_minute: 100_000 },
      ...(ringTimeoutS !== undefined && { calls: { ring_timeout_s: ringTimeoutS } }),
      kamailio: { shared_memory_mb: options.sharedMemoryMb },
    },
  });
  const countRecords = streamedRecords(stack.redis);
  return {
    stack,
    sip: stack.sip,
    redis: stack.redis,
    // From the first event of all: no call is answered before it is heard.
    api: { url: stack.api.url, token: stack.api.tokens.all ?? '', after: '0-0' },
    groups: () => ({
      Kamailio: stack.parts.kamailio.pid,
      'control plane': stack.parts.controlPlane?.pid,
      Redis: stack.parts.redis.pid,
    }),
    metrics: () => readMetrics(stack.api.url),
    countRecords,
    forgetCalls: async () => {
      await countRecords('');
      await deleteCalls(stack.redis);
    },
  };
}

/** Deletes what Redis has of calls that are over. */
async function deleteCalls(redis: Stack['redis']): Promise<void> {
  for (const match of [recordKey('*'), 'call-id:*']) {
    for await (const keys of redis.scanStream({ match, count: DELETE_STEP })) {
      if (keys.length > 0) await redis.unlink(...keys);
    }
  }
  await redis.unlink(ALL, ENDED);
  await redis.xtrim(DETAIL_RECORDS, 'MAXLEN', 0);
}

/** Counts the calls in the stream of detail records, which is read once however often it is counted. */
function streamedRecords(redis: Stack['redis']): System['countRecords'] {
  let from = '-';
  /** By their Call-IDs without the counter at the end. */
  const calls = new Map<string, number>();
  const count = ([, fields]: [string, string[]]) => {
    const value = (name: string) => fields[fields.indexOf(name) + 1] ?? '';
    // Of each call version 1 is written once, whatever comes later.
    if (value('version') !== '1') return;
    const [, head = ''] = /"sip_call_id":"([^"]*)-/.exec(value('record')) ?? [];
    calls.set(head, (calls.get(head) ?? 0) + 1);
  };
  return async (callIdPrefix) => {
    for (;;) {
      const entries = await redis.xrange(DETAIL_RECORDS, from, '+', 'COUNT', READ_STEP);
      entries.forEach(count);
      const last = entries.at(-1);
      if (last !== undefined) from = `(${last[0]}`;
      if (entries.length < READ_STEP) break;
    }
    const own = [...calls].filter(([head]) => head.startsWith(`${callIdPrefix}-`));
    return own.reduce((sum, [, number]) => sum + number, 0);
  };
}

export interface RunningSystemOptions {
  sip: Address;
  /** Base of its HTTP API; without it nothing but the calls themselves is seen. */
  api?: string;
  /** A token with the scope `read`. */
  token?: string;
}

/** A stack that runs already. */
export function aimAtRunning({ sip, api, token }: RunningSystemOptions): System {
  const since = new Date().toISOString();
  return {
    sip,
    ...(api !== undefined && token !== undefined && { api: { url: api, token } }),
    groups: () => ({}),
    metrics: () => (api === undefined ? Promise.resolve(undefined) : readMetrics(api)),
    countRecords: async (callIdPrefix) => {
      if (api === undefined || token === undefined) return undefined;
      const reply = await request(`${api}/v1/records?from=${since}`, {
        headers: { authorization: `Bearer ${token}`, accept: 'application/x-ndjson' },
      });
      const text = await reply.body.text();
      if (reply.statusCode !== 200) throw new Error(`GET /v1/records answers ${reply.statusCode}: ${text}`);
      const lines = text.split('\n').filter((line) => line !== '');
      return lines.filter((line) => String(JSON.parse(line).sip_call_id).startsWith(`${callIdPrefix}-`))
        .length;
    },
  };
}

/** @returns undefined where it does not answer */
async function readMetrics(api: string): Promise<MetricsText | undefined> {
  try {
    const reply = await request(`${api}/metrics`, { headersTimeout: 5000, bodyTimeout: 5000 });
    return new MetricsText(await reply.body.text());
  } catch {
    return undefined;
  }
}
