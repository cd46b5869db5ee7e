/**
 * From where on a value is bad, for every panel that colours it. Shares are from 0 to 1, times in seconds, memory in
 * bytes.
 */
export interface Threshold {
  worse: 'above' | 'below';
  warning?: number;
  critical?: number;
}

const MIB = 1024 * 1024;
const DAY_S = 86_400;

/** Those of the alert rules in monitoring/prometheus/rules: who changes one changes the other. */
export const OF_ALERTS = {
  ser: { worse: 'below', warning: 0.95, critical: 0.9 },
  /** What the success of calls is held to: inbound 0.95, outbound 0.9. */
  seer: { worse: 'below', warning: 0.95, critical: 0.9 },
  isa: { worse: 'above', critical: 0.25 },
  /** Too long for a call to Retell from 3 s on, for one to a telephone from 8 s on. */
  srdP95: { worse: 'above', warning: 3, critical: 8 },
  hangupsFailing: { worse: 'above', critical: 0.05 },
  transfersFailing: { worse: 'above', warning: 0.3 },
  retellApiFailing: { worse: 'above', critical: 0.1 },
  /** Something that is to be up: 1, or the share of them that is. */
  up: { worse: 'below', critical: 1 },
  /** Something that is never to happen, or to lie about. */
  never: { worse: 'above', warning: 0.001 },
  sharedMemory: { worse: 'above', warning: 0.7, critical: 0.9 },
  redisMemory: { worse: 'above', warning: 0.8 },
  concurrency: { worse: 'above', warning: 0.9, critical: 1 },
  limitUsed: { worse: 'above', warning: 0.95, critical: 1 },
  certificateLeft: { worse: 'below', warning: 14 * DAY_S, critical: 3 * DAY_S },
  nodeUptime: { worse: 'below', warning: 600 },
  queuedEvents: { worse: 'above', warning: 10_000 },
  streamLag: { worse: 'above', warning: 1000 },
  dueWorkOverdue: { worse: 'above', warning: 20 },
  eventLoopP99: { worse: 'above', warning: 0.25 },
  reconciliationAge: { worse: 'above', warning: 300 },
  /** A minute, of one node. */
  unknownSources: { worse: 'above', warning: 600 },
} satisfies Record<string, Threshold>;

/** Worth a look, not an alert: what they lead to has one. */
const OTHERS = {
  decisionsFailing: { worse: 'above', warning: 0.01, critical: 0.1 },
  privateMemoryFree: { worse: 'below', warning: MIB, critical: MIB / 4 },
  eventLagP95: { worse: 'above', warning: 1, critical: 5 },
  /** `retell.register_timeout_ms` is 2 s unless configured: beyond it calls go to their fallback. */
  retellApiP95: { worse: 'above', warning: 1, critical: 2 },
  webhookP95: { worse: 'above', warning: 1, critical: 5 },
  rpcP95: { worse: 'above', warning: 0.1, critical: 1 },
  hangupP99: { worse: 'above', warning: 1, critical: 5 },
  redisCommand: { worse: 'above', warning: 0.01, critical: 0.1 },
  gatewayLatency: { worse: 'above', warning: 0.5, critical: 2 },
  fileDescriptors: { worse: 'above', warning: 0.7, critical: 0.9 },
} satisfies Record<string, Threshold>;

export const THRESHOLDS = { ...OF_ALERTS, ...OTHERS };
