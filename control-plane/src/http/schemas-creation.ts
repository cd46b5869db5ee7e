import Type from 'typebox';

/** Longest header value, in characters: with its name it stays below what Retell takes of a line. */
const LONGEST_VALUE = 256;
const E164 = '^\\+[1-9][0-9]{6,14}$';

/** Body of POST /v1/calls. */
export const CreationBody = Type.Object(
  {
    from: Type.String({ pattern: E164, description: 'Our number that calls, E.164 with +' }),
    to: Type.String({ pattern: E164, description: 'Whom it calls, E.164 with +' }),
    agent_id: Type.Optional(
      Type.String({
        pattern: '^[\\w-]{1,128}$',
        description: "Retell's agent, in place of the number's own",
      }),
    ),
    agent_version: Type.Optional(
      Type.Union([Type.Integer({ minimum: 0 }), Type.String({ minLength: 1, maxLength: 64 })], {
        description: 'Its version: a number, a tag, latest or latest_published',
      }),
    ),
    dynamic_variables: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: 'Variables of its prompt' }),
    ),
    metadata: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'Kept by Retell with the call; call_ref is ours',
      }),
    ),
    headers: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[Xx]-[A-Za-z0-9-]{1,62}$' }),
        Type.String({ maxLength: LONGEST_VALUE, pattern: '^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$' }),
        {
          maxProperties: 10,
          additionalProperties: false,
          description: "X- headers of Retell's INVITE; X-Call-Ref is ours",
        },
      ),
    ),
  },
  { additionalProperties: false },
);

export const CreationHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: '^[\\x21-\\x7e]*$',
      description: 'A request that is repeated with the key of the first places no second call, for 24 h',
    }),
  ),
});
