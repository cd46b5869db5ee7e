/**
 * From where on a value is bad, for every panel that colours it. They are those of the alert rules: who changes one
 * changes the other. Shares are from 0 to 1, times in seconds, memory in bytes.
 */
export interface Threshold {
  worse: 'above' | 'below';
  warning?: number;
  critical?: number;
}

const MIB = 1024 * 1024;
const DAY_S = 86_400;

export const THRESHOLDS = {
  ser: { worse: 'below', warning: 0.95, critical: 0.9 },
  seer: { worse: 'below', warning: 0.97, critical: 0.95 },
  isa: { worse: 'above', warning: 0.02, critical: 0.05 },
  srdP95: { worse: 'above', warning: 3 },
  /** Of hangups and of transfers: the share that came to nothing. */
  commandsFailing: { worse: 'above', warning: 0.01, critical: 0.05 },
  /** Of requests to Retell's API and of decisions. */
  requestsFailing: { worse: 'above', warning: 0.01, critical: 0.05 },
  /** Something that is to be up: 1, or the share of them that is. */
  up: { worse: 'below', critical: 1 },
  /** Something that is never to happen, or to lie about. */
  never: { worse: 'above', warning: 0.001 },
  sharedMemory: { worse: 'above', warning: 0.7, critical: 0.9 },
  privateMemoryFree: { worse: 'below', warning: MIB, critical: MIB / 4 },
  redisMemory: { worse: 'above', warning: 0.7, critical: 0.9 },
  concurrency: { worse: 'above', warning: 0.9, critical: 1 },
  limitUsed: { worse: 'above', warning: 0.9, critical: 1 },
  certificateLeft: { worse: 'below', warning: 14 * DAY_S, critical: 3 * DAY_S },
  queuedEvents: { worse: 'above', warning: 100, critical: 1000 },
  streamLag: { worse: 'above', warning: 1000, critical: 10_000 },
  overdue: { worse: 'above', warning: 10, critical: 100 },
  eventLagP95: { worse: 'above', warning: 1, critical: 5 },
  /** `retell.register_timeout_ms` is 2 s unless configured: beyond it calls go to their fallback. */
  retellApiP95: { worse: 'above', warning: 1, critical: 2 },
  webhookP95: { worse: 'above', warning: 1, critical: 5 },
  rpcP95: { worse: 'above', warning: 0.1, critical: 1 },
  hangupP99: { worse: 'above', warning: 1, critical: 5 },
  redisCommand: { worse: 'above', warning: 0.01, critical: 0.1 },
  eventLoopP99: { worse: 'above', warning: 0.1, critical: 0.5 },
  /** A run comes every 30 s. */
  reconciliationAge: { worse: 'above', warning: 120, critical: 300 },
  gatewayLatency: { worse: 'above', warning: 0.5, critical: 2 },
  fileDescriptors: { worse: 'above', warning: 0.7, critical: 0.9 },
} satisfies Record<string, Threshold>;
