import { given } from '../calls/record.js';
import type { LatencyPercentiles, RetellDetails } from '../calls/retell-details.js';
import type { Config } from '../config/schema.js';
import { isObject, textOf } from './call-object.js';

/** What of a conversation may be kept. */
export type KeptContent = Config['retell']['keep'][number];

/** The longest transcript that is kept, in characters. */
const TRANSCRIPT_LENGTH = 200_000;
const SUMMARY_LENGTH = 10_000;
const URL_LENGTH = 4096;
/** The most of the owner's own analysis that is kept, in characters of JSON. */
const ANALYSIS_LENGTH = 20_000;
/** Parts that latency is told of: Retell knows seven. */
const MOST_PARTS = 20;
const PERCENTILES = ['p50', 'p90', 'p95', 'p99', 'min', 'max', 'num'] as const;
const LINKS = ['recording_url', 'recording_multi_channel_url', 'public_log_url'] as const;

/**
 * Reads Retell's call object for what a record tells of it (retell.md 3): loosely, and of what was said only what the
 * configuration keeps.
 */
export function readRetellDetails(value: unknown, keep: readonly KeptContent[]): RetellDetails {
  const call = isObject(value) ? value : {};
  const analysis = isObject(call.call_analysis) ? call.call_analysis : {};
  const cost = isObject(call.call_cost) ? call.call_cost.combined_cost : undefined;
  return given({
    agent_id: textOf(call.agent_id),
    agent_name: textOf(call.agent_name),
    agent_version: versionOf(call.agent_version),
    duration_ms: numberOf(call.duration_ms),
    cost_cents: numberOf(cost),
    latency: latencyOf(call.latency),
    call_successful: flagOf(analysis.call_successful),
    in_voicemail: flagOf(analysis.in_voicemail),
    user_sentiment: textOf(analysis.user_sentiment),
    ...(keep.includes('summary') && {
      call_summary: longText(analysis.call_summary, SUMMARY_LENGTH),
      custom_analysis_data: dataOf(analysis.custom_analysis_data),
    }),
    ...(keep.includes('links') &&
      Object.fromEntries(LINKS.map((name) => [name, longText(call[name], URL_LENGTH)]))),
    ...(keep.includes('transcript') && { transcript: longText(call.transcript, TRANSCRIPT_LENGTH) }),
  });
}

function latencyOf(value: unknown): RetellDetails['latency'] {
  if (!isObject(value)) return undefined;
  const parts = Object.entries(value).flatMap(([name, part]) => {
    if (!isObject(part) || !/^\w{1,64}$/.test(name)) return [];
    const figures: LatencyPercentiles = given(
      Object.fromEntries(PERCENTILES.map((p) => [p, numberOf(part[p])])),
    );
    return Object.keys(figures).length === 0 ? [] : [[name, figures] as const];
  });
  return parts.length === 0 ? undefined : Object.fromEntries(parts.slice(0, MOST_PARTS));
}

function versionOf(value: unknown): string | undefined {
  return textOf(typeof value === 'number' ? String(value) : value);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function flagOf(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

function longText(value: unknown, length: number): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, length) : undefined;
}

function dataOf(value: unknown): Record<string, unknown> | undefined {
  if (!isObject(value) || Object.keys(value).length === 0) return undefined;
  return JSON.stringify(value).length <= ANALYSIS_LENGTH ? value : undefined;
}
