import type { Readable } from 'node:stream';
import Type from 'typebox';
import { RetellDetailsSchema } from './schemas-retell.js';
import { TransferSchema } from './schemas-transfers.js';

const Time = (description: string) =>
  Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: `${description}, ISO 8601 UTC with milliseconds`,
  });
const Tie = (call: string) =>
  Type.Object({
    call_id: Type.String({ description: `Our id of ${call}` }),
    by: Type.Enum(['header', 'caller', 'numbers'], {
      description:
        "header: X-Transferred-From named it; caller: From is the caller's number; numbers: it was the only call of the same number",
    }),
  });
/** A body that is not JSON, sent as it is made. */
export const StreamSchema = (description: string) => Type.Unsafe<Readable>({ type: 'string', description });
const Text = (description: string) => Type.Union([Type.String(), Type.Null()], { description });
const Whole = (description: string) => Type.Union([Type.Integer(), Type.Null()], { description });
const Milliseconds = (description: string) =>
  Type.Union([Type.Number(), Type.Null()], { description: `${description}, in ms, exact to a microsecond` });

export const CallStateSchema = Type.Enum(['routing', 'ringing', 'answered', 'ended'], {
  description: "The call's state",
});
export const DirectionSchema = Type.Enum(['inbound', 'outbound'], {
  description: 'inbound: carrier to Retell; outbound: Retell to carrier',
});
export const EndedBySchema = Type.Enum([
  'carrier',
  'retell',
  'api',
  'function',
  'timeout',
  'reaper',
  'failure',
]);
const LegSchema = Type.Enum(['carrier', 'retell']);

const AttemptSchema = Type.Object({
  carrier: Text("The gateway's carrier; null for Retell's gateways and fallbacks"),
  gateway: Type.String({ description: 'SIP URI of the gateway or fallback' }),
  at: Type.String({
    format: 'date-time',
    description: 'When it refused, answered or was given up, ISO 8601 UTC with milliseconds',
  }),
  ringing_at: Time('When its first provisional response above 100 came'),
  status: Whole(
    'Its final response; 408 where none came in time, 477 where nothing could be sent; null where the call was hung up first',
  ),
  q850_cause: Whole("Q.850 cause in that response's Reason header"),
  reason: Text('Text of that Reason header'),
});

export const CallSchema = Type.Object(
  {
    id: Type.String({ description: 'Our id of the call; Retell gets it as X-Call-Ref with inbound calls' }),
    state: CallStateSchema,
    direction: DirectionSchema,
    source: Text('Address and port that the INVITE came from'),
    carrier: Text(
      'Name of the carrier; for an outbound call the one that answered, or the last that was tried',
    ),
    gateway: Text('SIP URI of the gateway that took the call, or of the last that was tried'),
    node: Text('Kamailio node that carries the call; null until its INVITE has come'),
    number: Text(
      'The configured number: dialled for an inbound call, the caller for an outbound one; null where it is none of ours',
    ),
    from: Text("The caller's number, as it was sent"),
    to: Text('The dialled number, as it was sent'),
    sip_call_id: Text('SIP Call-ID, the same on both legs'),
    retell_call_id: Text(
      "Retell's id of the call; null until Retell has told it, and where it does not say which call it means",
    ),
    retell_matched_by: Type.Union(
      [
        Type.Enum([
          'register',
          'create',
          'call_inbound',
          'metadata',
          'header',
          'dynamic_variable',
          'numbers',
        ]),
        Type.Null(),
      ],
      {
        description:
          "What told that Retell's call is this one: the answer to its registration or creation, the inbound webhook, our id in its metadata, headers or dynamic variables, or its numbers and time",
      },
    ),
    agent_id: Text("Retell's id of the agent, where the call was registered for it or a webhook named it"),
    created_at: Time('When the call was asked for by POST /v1/calls, else when the INVITE came'),
    invited_at: Time('When the INVITE came'),
    ringing_at: Time('When the first provisional response above 100 came'),
    answered_at: Time('When the 200 came'),
    max_duration_s: Type.Union([Type.Integer(), Type.Null()], {
      description: 'How long it may last from the answer, in seconds; null until it is answered',
    }),
    ended_at: Time('When the call ended'),
    ended_by: Type.Union([EndedBySchema, Type.Null()], { description: 'Who ended it' }),
    sip_status: Whole("Final status of the call's INVITE"),
    reason: Text('Why it failed or timed out, where we know'),
    q850_cause: Whole(
      "Q.850 cause in the Reason header of a side's BYE, or of an unanswered call in that of the last gateway's final response",
    ),
    reason_text: Text('Text of that Reason header'),
    codec: Text("First codec of the audio in the 200's SDP, in capitals, e.g. PCMU"),
    srd_ms: Milliseconds(
      'Session request delay (RFC 6076 section 4.3): from the INVITE to the first provisional response above 100, or the final one where none came',
    ),
    setup_ms: Milliseconds('From the INVITE to the 200'),
    duration_ms: Milliseconds('Session duration time (RFC 6076 section 4.5): from the answer to the end'),
    sdd_ms: Milliseconds(
      'Session disconnect delay (RFC 6076 section 4.4): from the BYE to its final response; where the proxy sent a BYE to both legs the longer of the two',
    ),
    attempts: Type.Array(AttemptSchema, {
      description: 'The gateways that were tried and refused, answered or were given up, in order',
    }),
    retell_ended_at: Time('When the call ended at Retell, by its own word'),
    retell_disconnection_reason: Text("Retell's disconnection_reason"),
    retell_stopped_at: Time('When it was stopped at Retell, where it went on after its end here'),
    erased_at: Time('When its data was erased'),
    explanation: Text('Who ended the call and why, in one sentence; null while it is up'),
    retell: RetellDetailsSchema,
    transfers: Type.Array(TransferSchema, {
      description: 'Transfers of this call by REFER, the oldest first',
    }),
    transferred_from: Type.Union([Tie('the first call'), Type.Null()], {
      description: 'The call that Retell transferred with this one, its second call',
    }),
    transferred_to: Type.Array(Tie('the second call'), {
      description: "Retell's second calls that this one was transferred with, in order",
    }),
    timeline: Type.Array(
      Type.Object(
        { at: Type.String({ format: 'date-time' }), type: Type.String() },
        { additionalProperties: true },
      ),
      { description: 'What happened, in order' },
    ),
  },
  { $id: 'Call' },
);

export const CallListSchema = Type.Object(
  {
    items: Type.Array(CallSchema),
    next_cursor: Text('Pass it as cursor for the next page; null on the last one'),
  },
  { $id: 'CallList' },
);

export const RecordListSchema = Type.Object(
  {
    items: Type.Array(Type.Omit(CallSchema, ['timeline'])),
    next_cursor: Text('Pass it as cursor for the next page; null on the last one'),
  },
  { $id: 'RecordList' },
);

export const LegOutcomeSchema = Type.Object({
  leg: LegSchema,
  method: Type.Union([Type.Enum(['BYE', 'CANCEL', 'INVITE']), Type.Null()], {
    description:
      'BYE; CANCEL to a callee that had not answered; INVITE for a caller that got our final response to it; null where nothing was sent',
  }),
  status: Type.Union([Type.Integer(), Type.Literal('timeout'), Type.Null()], {
    description:
      "The reply to the BYE, the callee's final response to the canceled INVITE, or the response that the caller acknowledged; timeout where that never came",
  }),
  sent: Type.Integer({ description: "How often it was sent, without SIP's own retransmissions" }),
});

export const HangupResultSchema = Type.Object(
  {
    outcome: Type.Enum(['ended', 'already_ended', 'partial', 'failed'], {
      description:
        'ended: every leg confirmed its end; partial: one did; failed: none did, or nothing could be sent; already_ended: the call had ended before',
    }),
    legs: Type.Array(LegOutcomeSchema),
  },
  { $id: 'HangupResult' },
);

export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'Stable code, see docs/reference/errors.md' }),
    instance: Type.String({ description: 'Id of the request, as in the log and in X-Request-Id' }),
  },
  { $id: 'Problem', additionalProperties: true },
);
