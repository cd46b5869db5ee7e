import Type from 'typebox';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const text = (description: string) => nullable(Type.String(), description);
const number = (description: string) => nullable(Type.Number(), description);
const flag = (description: string) => nullable(Type.Boolean(), description);
const kept = (what: string, key: string) => text(`${what}; only with ${key} in retell.keep`);

/** What Retell tells of a call besides its end. */
export const RetellDetailsSchema = Type.Object(
  {
    agent_name: text('Name of the agent'),
    agent_version: text('Version of the agent'),
    duration_ms: number('How long the call lasted at Retell, in ms'),
    cost_cents: number("Retell's combined_cost, in US cents"),
    latency: nullable(
      Type.Record(
        Type.String(),
        Type.Record(Type.String(), Type.Number(), { description: 'p50, p90, p95, p99, min, max in ms; num' }),
      ),
      "Delays by part, such as e2e, llm and tts; e2e is without the network's",
    ),
    call_successful: flag("Retell's analysis: whether the call reached its goal"),
    in_voicemail: flag("Retell's analysis: whether a voicemail was reached"),
    user_sentiment: text("Retell's analysis: Positive, Neutral, Negative, Unknown"),
    call_summary: kept("Retell's analysis: what the call was about", 'summary'),
    custom_analysis_data: nullable(
      Type.Record(Type.String(), Type.Unknown()),
      'What your own analysis at Retell found; only with summary in retell.keep',
    ),
    recording_url: kept('Where the recording is', 'links'),
    recording_multi_channel_url: kept('Where the recording with one channel for each side is', 'links'),
    public_log_url: kept("Where Retell's log of the call is", 'links'),
    transcript: kept('What was said', 'transcript'),
  },
  { $id: 'RetellDetails' },
);
