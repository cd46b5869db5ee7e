import Type from 'typebox';
import { limits, maxDuration, strict } from './common.js';
import { narrowerList } from './transfers.js';

/** JSON of any kind, as Retell keeps it. */
type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

const NumberEntry = Type.Object(
  {
    number: Type.String({
      description: 'E.164 with +, 7 to 15 digits, in quotes',
      format: 'e164',
      examples: ['+14155550100'],
    }),
    method: Type.Enum(['trunk', 'register'], {
      description:
        "How calls to it reach Retell; trunk is Retell's elastic SIP trunking, register its dial to SIP URI",
      default: 'trunk',
    }),
    agent_id: Type.Optional(
      Type.String({
        description: "Retell's agent that takes the call; for trunk the inbound webhook's answer names it",
        format: 'agent-id',
        examples: ['agent_0123456789'],
      }),
    ),
    agent_version: Type.Optional(
      Type.Unsafe<string | number>({
        type: ['string', 'integer'],
        description: 'Version of the agent: a number, a tag, latest or latest_published',
        format: 'agent-version',
        minimum: 0,
        maximum: 1_000_000,
        examples: ['latest_published'],
      }),
    ),
    dynamic_variables: Type.Optional(
      Type.Unsafe<Record<string, string>>({
        type: 'object',
        description: 'Texts for the {{name}} places of the prompt',
        additionalProperties: { type: 'string', description: 'One text', examples: ['gold'] },
        maxProperties: 100,
        examples: [{ tier: 'gold' }],
      }),
    ),
    metadata: Type.Optional(
      Type.Unsafe<Record<string, Json>>({
        type: 'object',
        description: "What Retell keeps with its call; the name call_ref is the proxy's own",
        additionalProperties: true,
        maxProperties: 100,
        examples: [{ department: 'sales' }],
      }),
    ),
    reject: Type.Boolean({
      description: "For trunk: the inbound webhook's answer has Retell reject the call",
      default: false,
    }),
    fallback: Type.Optional(
      Type.String({
        description: 'Where a call goes that cannot reach Retell',
        format: 'sip-user-uri',
        examples: ['sip:+14155550199@198.51.100.10'],
      }),
    ),
    transfer_allow: Type.Optional(narrowerList('calls of this number')),
    max_duration_s: maxDuration('to and from this number'),
    limits: limits('to this number'),
  },
  { ...strict, description: 'One number' },
);

export const Numbers = Type.Array(NumberEntry, {
  description: 'Numbers that callers dial, and that outbound calls come from',
  default: [],
  maxItems: 100_000,
});
