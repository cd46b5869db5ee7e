import Type from 'typebox';
import { digestPassword, digestUsername, gateways, strict, tlsName } from './common.js';

const Digest = Type.Object(
  {
    username: digestUsername("User name that Retell's number has for our trunk", 'retell'),
    password: digestPassword(
      "Password that Retell's number has for our trunk",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
      '${RETELL_SIP_PASSWORD}',
    ),
  },
  { ...strict, description: 'With it, an INVITE from Retell has to prove that it knows this password' },
);

export const Retell = Type.Object(
  {
    api_key: Type.Optional(
      Type.String({
        description: "Key for Retell's API; needed by numbers with method register",
        format: 'api-key',
        secret: true,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
        examples: ['${RETELL_API_KEY}'],
      }),
    ),
    base_url: Type.String({
      description: "Where Retell's API is",
      format: 'base-url',
      default: 'https://api.retellai.com',
    }),
    webhook_keys: Type.Array(
      Type.String({
        description: 'A key that webhooks may be signed with',
        format: 'api-key',
        secret: true,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
        examples: ['${RETELL_WEBHOOK_KEY}'],
      }),
      {
        description: "Keys that Retell's webhooks may be signed with; none: api_key is the key",
        default: [],
        maxItems: 5,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
        examples: [['${RETELL_WEBHOOK_KEY}']],
      },
    ),
    webhook_networks: Type.Array(
      Type.String({
        description: 'CIDR network or single address',
        format: 'network',
        examples: ['100.20.5.228'],
      }),
      {
        description: "Where Retell's webhooks come from; with none, from anywhere: their signature counts",
        default: [],
        maxItems: 64,
        examples: [['100.20.5.228']],
      },
    ),
    keep: Type.Array(Type.Enum(['summary', 'links', 'transcript']), {
      description:
        "What records keep of what was said, as Retell's webhooks tell it: its summary and your own analysis, links to recording and log, the transcript. By default nothing",
      default: [],
      uniqueItems: true,
      examples: [['summary', 'links']],
    }),
    gateways: gateways({
      one: "One of Retell's SIP addresses",
      all: 'Where calls for Retell go',
      uri: 'sip:sip.retellai.com;transport=tcp',
    }),
    networks: Type.Array(
      Type.String({
        description: 'CIDR network or single address',
        format: 'network',
        examples: ['18.98.16.120/30'],
      }),
      {
        description: 'Where SIP from Retell comes from; everybody else is no Retell',
        // From docs.retellai.com as of 2026-08: Retell may change them, so check there before going live.
        default: [
          '18.98.16.120/30',
          '3.42.144.0/23',
          '153.57.128.0/18',
          '143.223.88.0/21',
          '161.115.160.0/19',
        ],
        minItems: 1,
        maxItems: 256,
      },
    ),
    digest: Type.Optional(Digest),
    tls_name: tlsName(
      "Name that Retell's certificate must bear; without it the host of each gateway's URI",
      'sip.retellai.com',
    ),
    register_timeout_ms: Type.Integer({
      description: 'A call with method register that Retell has not registered by then takes its fallback',
      unit: 'ms',
      default: 2000,
      minimum: 200,
      maximum: 10_000,
    }),
    reserved_inbound: Type.Integer({
      description: "Of Retell's concurrency, what outbound calls leave free for inbound ones",
      unit: 'calls',
      default: 0,
      minimum: 0,
      maximum: 100_000,
    }),
    concurrency_interval_s: Type.Integer({
      description: 'How often Retell is asked for its concurrency, with api_key only; 0 is never',
      unit: 's',
      default: 15,
      minimum: 0,
      maximum: 3600,
    }),
  },
  { ...strict, description: 'Retell' },
);
