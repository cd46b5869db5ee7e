import Type from 'typebox';
import { PUBLIC_EVENT_TYPES } from '../../calls/public-events.js';
import { strict } from './common.js';

const Endpoint = Type.Object(
  {
    name: Type.String({
      description: 'Name in the API, the log and the metrics; unique',
      format: 'name',
      examples: ['crm'],
    }),
    url: Type.String({
      description: 'Where events are posted to: https, or http on a private network',
      format: 'webhook-url',
      // Its path or query may be what lets one post there.
      secret: true,
      examples: ['https://crm.example.com/hooks/calls'],
    }),
    secrets: Type.Array(
      Type.String({
        description: 'whsec_ and the base64 of 24 to 64 bytes',
        format: 'webhook-secret',
        secret: true,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
        examples: ['${CRM_WEBHOOK_SECRET}'],
      }),
      {
        description: 'What events are signed with; two while one is being replaced',
        minItems: 1,
        maxItems: 2,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
        examples: [['${CRM_WEBHOOK_SECRET}']],
      },
    ),
    events: Type.Array(Type.Enum([...PUBLIC_EVENT_TYPES]), {
      description: 'Types of events that it wants',
      default: ['call.ended', 'record.created', 'record.amended'],
      minItems: 1,
      uniqueItems: true,
    }),
    carriers: Type.Optional(
      Type.Array(Type.String({ description: 'Name of a carrier', format: 'name', examples: ['acme'] }), {
        description: 'Only events of calls of these carriers; without it, of all calls',
        minItems: 1,
        maxItems: 1000,
        uniqueItems: true,
        examples: [['acme']],
      }),
    ),
    disable_after: Type.Integer({
      description: 'After so many failed attempts in a row, over 15 minutes at least, nothing is sent there',
      unit: 'attempts',
      default: 50,
      minimum: 1,
      maximum: 100_000,
    }),
  },
  { ...strict, description: 'One system that events are sent to' },
);

export const Webhooks = Type.Array(Endpoint, {
  description: 'Systems of your own that are told what happens to calls',
  default: [],
  maxItems: 20,
});
