import Type from 'typebox';
import { strict } from './common.js';

/** What the lists of prefixes share. */
function listed(description: string, example: string[]) {
  return { description, maxItems: 10_000, examples: [example] };
}

const prefix = Type.String({
  description: '+ and the digits that a number begins with; + alone is every number',
  format: 'prefix',
  examples: ['+1415'],
});

/**
 * A list that only ever narrows `transfers`.
 *
 * @param whose transfers it is for, as in "calls of this number"
 */
export function narrowerList(whose: string) {
  return Type.Array(
    Type.String({
      description: 'A prefix of numbers, or the host of SIP destinations',
      format: 'prefix-or-host',
      examples: ['+1415'],
    }),
    listed(
      `Where ${whose} may be transferred to, of what \`transfers\` allows: prefixes, and hosts of SIP destinations`,
      ['+1415', 'pbx.example.com'],
    ),
  );
}

const Agent = Type.Object(
  {
    agent_id: Type.String({
      description: "Retell's agent; each stands here once",
      format: 'agent-id',
      examples: ['agent_0123456789'],
    }),
    allow: narrowerList('calls by this agent'),
  },
  { ...strict, description: 'Where one agent may transfer calls to' },
);

export const Transfers = Type.Object(
  {
    allow: Type.Array(prefix, {
      ...listed(
        'Numbers that calls may be transferred to; the longest prefix of allow and deny decides, deny where they are equal',
        ['+1'],
      ),
      default: ['+'],
    }),
    deny: Type.Array(prefix, {
      ...listed('Numbers that calls may not be transferred to', ['+1900']),
      default: [],
    }),
    premium: Type.Enum(['denied', 'allowed'], {
      description: 'Premium-rate and satellite numbers of a list of our own; denied: as if they were in deny',
      default: 'denied',
    }),
    hosts: Type.Array(
      Type.String({
        description: 'Host of sip: and sips: destinations; IPv6 in brackets',
        format: 'host',
        examples: ['pbx.example.com'],
      }),
      {
        description:
          'Hosts that sip: and sips: destinations may have; a number as their user part must not be denied',
        default: [],
        maxItems: 1000,
        examples: [['pbx.example.com']],
      },
    ),
    per_minute: Type.Integer({
      description: "New transfers in each minute on each node, Retell's own included",
      unit: 'transfers/min',
      default: 60,
      minimum: 1,
      maximum: 100_000,
    }),
    agents: Type.Array(Agent, {
      description: 'Agents whose functions may transfer calls to less than the lists above allow',
      default: [],
      maxItems: 1000,
      examples: [[{ agent_id: 'agent_0123456789', allow: ['+1415'] }]],
    }),
    failure_notice: Type.String({
      description:
        'What the live agent is told of a transfer that did not work; {to} and {reason} are filled in',
      format: 'failure-notice',
      default: 'The transfer to {to} did not work: {reason}. Tell the caller and go on with the call.',
    }),
  },
  { ...strict, description: 'Where calls may be transferred to', default: {} },
);

/** How one carrier wants to see the REFER of a transfer. */
export const CarrierTransfer = Type.Object(
  {
    refer: Type.Enum(['accepted', 'unsupported'], {
      description: 'Whether it takes a REFER; unsupported: none is sent, and Retell gets 405 for its own',
      default: 'accepted',
    }),
    refer_to: Type.Enum(['sip', 'sips', 'tel'], {
      description: 'Scheme of a number in Refer-To',
      default: 'sip',
    }),
    host: Type.Optional(
      Type.String({
        description: 'Host of a number in Refer-To; without it the one that the call came from or went to',
        format: 'host',
        examples: ['198.51.100.10'],
      }),
    ),
    referred_by: Type.Enum(['added', 'dropped'], {
      description: 'Referred-By: added with our number, or dropped',
      default: 'added',
    }),
    diversion: Type.Enum(['added', 'dropped'], {
      description: 'Diversion: added with our number, or dropped',
      default: 'dropped',
    }),
    p_asserted_identity: Type.Enum(['added', 'dropped'], {
      description: 'P-Asserted-Identity: added with our number, or dropped',
      default: 'dropped',
    }),
    headers: Type.Enum(['kept', 'dropped'], {
      description: 'X- headers and User-to-User that a transfer asks for',
      default: 'kept',
    }),
    timeout_s: Type.Integer({
      description: 'A transfer whose end the carrier has not told of by then has timed out',
      unit: 's',
      default: 60,
      minimum: 5,
      maximum: 300,
    }),
  },
  { ...strict, description: 'How it takes transfers', default: {} },
);
