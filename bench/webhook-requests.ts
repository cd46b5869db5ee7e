import { sign } from 'retell-sdk';

/** A call that webhooks are about. */
export interface WebhookCall {
  /** Ours, which Retell sends back as metadata. */
  id: string;
  /** Retell's. */
  callId: string;
  number: string;
  from: string;
  startedAt: number;
  endedAt: number;
}

export const EVENTS = ['call_started', 'call_ended', 'call_analyzed'] as const;
export type WebhookEvent = (typeof EVENTS)[number];

/** Webhook by webhook which call it is about: each event of each call once, those of one call far apart. */
export function planOf(calls: number, index: number): { call: number; event: number } {
  const event = index % EVENTS.length;
  const step = Math.floor(index / EVENTS.length);
  const lag = Math.floor((calls * event) / EVENTS.length);
  return { call: (step + calls - lag) % calls, event };
}

const LINES = [
  ['agent', 'Thank you for calling, this is the front desk. How may I help you today?'],
  ['user', 'Hi, I would like to move my appointment from Tuesday to some day later in the week.'],
  ['agent', 'Of course. May I have your name and your date of birth, so that I can find the appointment?'],
  ['user', 'Sure, it is John Doe, and I was born on the fourth of July in nineteen eighty.'],
  [
    'agent',
    'Thank you, John. I have Thursday at ten in the morning or Friday at half past two. What suits you?',
  ],
  ['user', 'Friday at half past two would be great, if it is with the same doctor as before.'],
  ['agent', 'It is. You are booked for Friday at half past two. Is there anything else that I can do?'],
  ['user', 'No, that was all, thank you very much and have a good day.'],
] as const;

/** As Retell has it: every word with its time. */
const TRANSCRIPT = LINES.map(([role, content], line) => ({
  role,
  content,
  words: content
    .split(' ')
    .map((word, i) => ({ word, start: line * 6 + i * 0.31, end: line * 6 + i * 0.31 + 0.27 })),
}));
const LATENCY = { p50: 812, p90: 1203, p95: 1511, p99: 2507, min: 497, max: 2711, num: 8 };

/** The body of a webhook as Retell sends it: `call_started` under 1 KiB, the others some 10 KiB. */
export function bodyOf(event: WebhookEvent, call: WebhookCall): string {
  const over = {
    ...{ end_timestamp: call.endedAt, duration_ms: call.endedAt - call.startedAt },
    disconnection_reason: 'user_hangup',
    transcript: LINES.map(([role, content]) => `${role === 'agent' ? 'Agent' : 'User'}: ${content}`).join(
      '\n',
    ),
    transcript_object: TRANSCRIPT,
    transcript_with_tool_calls: [],
    recording_url: `https://recordings.example.com/${call.callId}/recording.wav`,
    public_log_url: `https://recordings.example.com/${call.callId}/public.log`,
    latency: { e2e: LATENCY, llm: LATENCY, tts: LATENCY },
    call_cost: {
      combined_cost: 3.1,
      product_costs: [{ product: 'elevenlabs_tts', cost: 1.2, unit_price: 0.07 }],
      total_duration_seconds: 48,
    },
  };
  const analysis = {
    call_summary:
      'The caller moved an appointment from Tuesday to Friday at half past two, with the same doctor.',
    ...{ in_voicemail: false, user_sentiment: 'Positive', call_successful: true, custom_analysis_data: {} },
  };
  return JSON.stringify({
    event,
    call: {
      ...{ call_type: 'phone_call', call_id: call.callId, agent_id: 'agent_bench', agent_version: 3 },
      ...{ agent_name: 'Front desk', call_status: event === 'call_started' ? 'ongoing' : 'ended' },
      ...{ direction: 'inbound', from_number: call.from, to_number: call.number },
      start_timestamp: call.startedAt,
      metadata: { call_ref: call.id },
      retell_llm_dynamic_variables: { customer_name: 'John Doe' },
      ...(event !== 'call_started' && over),
      ...(event === 'call_analyzed' && { call_analysis: analysis }),
    },
  });
}

/** A whole HTTP request with a body that is signed as of now. */
export async function signedRequest(host: string, body: string, key: string): Promise<Buffer> {
  return Buffer.from(
    [
      'POST /webhooks/retell HTTP/1.1',
      `host: ${host}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      `x-retell-signature: ${await sign(body, key)}`,
      '',
      body,
    ].join('\r\n'),
  );
}
