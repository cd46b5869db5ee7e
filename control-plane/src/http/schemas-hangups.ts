import Type from 'typebox';
import { DirectionSchema, LegOutcomeSchema } from './schemas.js';

const orNull = <T extends Type.TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const Time = (description: string) =>
  orNull(Type.String({ format: 'date-time' }), `${description}, ISO 8601 UTC with milliseconds`);
const Name = (description: string, maxLength: number) =>
  Type.String({ minLength: 1, maxLength, description });

export const HangupOutcomeSchema = Type.Enum(['ended', 'already_ended', 'partial', 'failed'], {
  description: 'As of one hangup; failed also where none could be tried, see code',
});

/** Which members a filter may have besides `call_ids`. */
const criteria = {
  carrier: Type.Optional(Name('Name of the carrier', 32)),
  number: Type.Optional(Name('Our number in the call', 32)),
  agent_id: Type.Optional(Name("Retell's id of the agent", 128)),
  node: Type.Optional(Name('Kamailio node', 32)),
  direction: Type.Optional(DirectionSchema),
  state: Type.Optional(
    Type.Enum(['routing', 'ringing', 'answered'], { description: "The call's state when the job is made" }),
  ),
  // From 1: some clients send null for what is not set, which is read as 0 and would mean all calls.
  older_than_s: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 31_536_000, description: 'Seconds since the INVITE, at least' }),
  ),
};

export const HangupJobBody = Type.Object(
  {
    filter: Type.Object(
      {
        ...criteria,
        call_ids: Type.Optional(
          Type.Array(Name('Our id of a call', 64), {
            minItems: 1,
            maxItems: 10_000,
            description: 'Only these calls, as far as they are open',
          }),
        ),
      },
      { additionalProperties: false, description: 'Open calls that fit every member' },
    ),
    all: Type.Boolean({ default: false, description: 'Has to be true where the filter is empty' }),
    rate: Type.Integer({
      minimum: 1,
      maximum: 2000,
      default: 500,
      description: 'Hangups started per second',
    }),
    dry_run: Type.Boolean({ default: false, description: 'Only say which calls fit' }),
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'Goes into the Reason header' }),
    ),
  },
  { additionalProperties: false },
);

export const HangupDryRunSchema = Type.Object(
  {
    matched: Type.Integer({ description: 'Open calls that fit' }),
    calls: Type.Array(Type.String(), { description: 'The first hundred of them, oldest first' }),
  },
  { $id: 'HangupDryRun' },
);

export const HangupJobSchema = Type.Object(
  {
    id: Type.String(),
    state: Type.Enum(['running', 'done', 'cancelled']),
    by: Type.String({ description: 'Name of the token that asked' }),
    reason: orNull(Type.String(), 'As it was given'),
    filter: Type.Object(
      {
        ...criteria,
        call_ids: Type.Optional(Type.Integer({ description: 'How many ids were given' })),
      },
      { description: 'As it was given, with the number of call_ids in their place' },
    ),
    rate: Type.Integer({ description: 'Hangups started per second' }),
    created_at: Time('When it was made'),
    finished_at: Time('When its last call was done with, or when it was cancelled'),
    total: Type.Integer({ description: 'Calls that fitted' }),
    pending: Type.Integer({ description: 'Calls without an outcome' }),
    outcomes: Type.Object(
      {
        ended: Type.Integer(),
        already_ended: Type.Integer(),
        partial: Type.Integer(),
        failed: Type.Integer(),
      },
      { description: 'Calls by their outcome' },
    ),
  },
  { $id: 'HangupJob' },
);

export const HangupJobListSchema = Type.Object(
  { items: Type.Array(HangupJobSchema) },
  { $id: 'HangupJobList' },
);

export const HangupJobCallsSchema = Type.Object(
  {
    items: Type.Array(
      Type.Object({
        call_id: Type.String(),
        outcome: HangupOutcomeSchema,
        legs: Type.Array(LegOutcomeSchema),
        code: Type.Optional(
          Type.String({ description: 'Code of the error, where no hangup could be tried' }),
        ),
      }),
    ),
    next_cursor: orNull(Type.String(), 'Pass it as cursor for the next page; null on the last one'),
  },
  { $id: 'HangupJobCalls' },
);
