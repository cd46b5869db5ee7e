import Type from 'typebox';

const orNull = <T extends Type.TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
const time = { format: 'date-time' };
const Time = (description: string) =>
  orNull(Type.String(time), `${description}, ISO 8601 UTC with milliseconds; null where it has not been`);

export const TransferBody = Type.Object(
  {
    to: Type.String({
      description:
        'E.164 with +, or a tel:, sip: or sips: URI; where calls may go is in `transfers` of the configuration',
    }),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: 'X- headers and User-to-User of the REFER, at most 10',
      }),
    ),
    referred_by: Type.Optional(
      Type.String({ description: 'Number or URI for Referred-By, in place of our number of the call' }),
    ),
    on_failure: Type.Enum(['resume', 'hangup'], {
      default: 'resume',
      description: 'resume: the call goes on and its agent is told; hangup: it is ended',
    }),
  },
  { additionalProperties: false },
);

export const TransferSchema = Type.Object(
  {
    id: Type.String(),
    state: Type.Enum(
      [
        ...['requested', 'accepted', 'trying', 'ringing'],
        ...['succeeded', 'rejected', 'failed', 'timed_out', 'call_ended'],
      ],
      {
        description:
          'The first four while it is under way. rejected: the REFER was refused; failed: the carrier told of a failure, or it could not be sent; timed_out: it told of no outcome; call_ended: the call ended first',
      },
    ),
    source: Type.Enum(['api', 'function', 'retell'], {
      description: "A command; the agent's function; a REFER of Retell's own",
    }),
    by: Type.String({ description: 'Name of the token, the agent, or retell' }),
    to: Type.String({ description: 'As it was asked for' }),
    refer_to: orNull(Type.String(), 'The URI in Refer-To, as the carrier got it; null where it got none'),
    on_failure: Type.Enum(['resume', 'hangup']),
    requested_at: Type.String({ ...time, description: 'When it was asked for' }),
    accepted_at: Time('When the carrier accepted the REFER'),
    trying_at: Time('When it told that it tries'),
    ringing_at: Time('When it told that the destination rings'),
    ended_at: Time('When it ended'),
    status: orNull(
      Type.Integer(),
      'SIP status that ended it: of the REFER, or of the call to the destination',
    ),
    reason: orNull(Type.String(), 'Why it ended so, where no status says it'),
    agent_told: orNull(
      Type.Boolean(),
      'Whether the live agent was told of a failure; null where there was nothing to tell',
    ),
    warnings: Type.Array(Type.String(), {
      description: 'What the carrier does not get of what was asked for',
    }),
  },
  { $id: 'Transfer' },
);

/** What a custom function of Retell's posts: all of it, or its arguments alone. */
export const FunctionBody = Type.Record(Type.String(), Type.Unknown(), {
  description: 'name, call and args; or the arguments alone, with call_id among them',
});

export const FunctionReply = Type.Object({
  result: Type.String({ description: 'A sentence for the agent' }),
  ok: Type.Boolean({ description: 'Whether it is done or under way' }),
});
