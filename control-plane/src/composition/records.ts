import type { Redis } from 'ioredis';
import type { Call } from '../calls/call.js';
import { DetailRecordWriter } from '../calls/detail-record-writer.js';
import type { DetailRecords } from '../calls/detail-records.js';
import { RecordsFile } from '../calls/records-file.js';
import type { CallStore } from '../calls/store.js';
import type { Config } from '../config/schema.js';
import { type EventBacklog, RAW_EVENTS_KEPT_S } from '../kamailio/event-backlog.js';
import type { Metrics } from '../metrics/metrics.js';
import type { WebhookStore } from '../retell/webhook-store.js';

/** How often what is too old is forgotten, in ms. */
const TRIM_INTERVAL_MS = 10_000;

export interface RecordsParts {
  config: Config;
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  store: CallStore;
  detailRecords: DetailRecords;
  webhooks: WebhookStore;
  backlog: EventBacklog;
  /** Names of the nodes. */
  nodes: readonly string[];
  metrics: Metrics;
  /** Told of each call that has its first detail record. */
  ended: (call: Call) => void;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/**
 * Has detail records written of calls that have ended, and what is too old forgotten.
 *
 * @returns what has to be started and stopped
 */
export function createRecords(parts: RecordsParts): { start(): void; stop(): unknown }[] {
  const { config, redis, detailRecords, metrics, ended, warn } = parts;
  const { directory, file_days: fileDays } = config.records;
  const writer = new DetailRecordWriter({
    redis,
    detailRecords,
    written: (version, record, call) => {
      metrics.records.written(version);
      if (version > 1) return;
      metrics.calls.ended(record);
      ended(call);
    },
    warn,
  });
  return [
    writer,
    ...(directory === undefined ? [] : [new RecordsFile({ redis, directory, fileDays, warn })]),
    trimmingOf(parts),
  ];
}

function trimmingOf({ config, store, detailRecords, webhooks, backlog, nodes, warn }: RecordsParts) {
  const trim = async () => {
    const now = Date.now();
    await Promise.all([
      store.trim(now),
      detailRecords.trim(now),
      webhooks.trim(now - config.calls.retention_days * 86_400_000),
      ...nodes.map((node) => backlog.trim(node, now - RAW_EVENTS_KEPT_S * 1000)),
    ]);
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    start: () => {
      timer = setInterval(() => {
        trim().catch((err) => warn({ err }, 'what is too old was not forgotten'));
      }, TRIM_INTERVAL_MS);
    },
    stop: () => clearInterval(timer),
  };
}
