/** Fields of a call's record. */
type RecordFields = Record<string, string>;

/** Percentiles of a delay (`p50` and so on), `min` and `max`, in ms, and `num`, how many values there are. */
export type LatencyPercentiles = Record<string, number>;

/** What Retell tells of a call besides its end (retell.md 3), as far as it is kept. All of it may be missing. */
export interface RetellDetails {
  agent_id?: string;
  agent_name?: string;
  agent_version?: string;
  duration_ms?: number;
  /** Retell's combined_cost, in US cents */
  cost_cents?: number;
  /** by part: e2e, llm, tts and so on */
  latency?: Record<string, LatencyPercentiles>;
  call_successful?: boolean;
  in_voicemail?: boolean;
  user_sentiment?: string;
  /** only where the configuration keeps it: a summary, what the owner's own analysis says, links and what was said */
  call_summary?: string;
  custom_analysis_data?: Record<string, unknown>;
  recording_url?: string;
  recording_multi_channel_url?: string;
  public_log_url?: string;
  transcript?: string;
}

/** Webhooks that tell details, the one that knows best last. */
const TELLERS = ['call_started', 'call_ended', 'call_analyzed'] as const;

/** The field of a record that holds what one webhook told: each has its own, so that their order does not matter. */
export function retellDetailsField(event: (typeof TELLERS)[number], details: RetellDetails): RecordFields {
  return { [`retell:${event}`]: JSON.stringify(details) };
}

/** All details in a record. */
export function retellDetailsOf(record: RecordFields): RetellDetails {
  const details: RetellDetails = {};
  for (const event of TELLERS) {
    const told = record[`retell:${event}`];
    if (told !== undefined) Object.assign(details, JSON.parse(told));
  }
  return details;
}
