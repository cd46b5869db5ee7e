import Type from 'typebox';
import { strict } from './common.js';

const ApiToken = Type.Object(
  {
    name: Type.String({
      description: 'Who uses it, for the log; unique',
      format: 'name',
      examples: ['ops'],
    }),
    token: Type.String({
      description: 'The bearer token, 16 to 512 characters; unique',
      format: 'token',
      secret: true,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
      examples: ['${API_TOKEN}'],
    }),
    scopes: Type.Array(
      Type.Enum(['read', 'control', 'admin'], {
        description:
          'read: look; control: place, end and transfer calls; admin: erase, reload, drain, resume and enable',
      }),
      {
        description: 'What the token may do; at least one of read, control, admin',
        minItems: 1,
        uniqueItems: true,
        examples: [['read', 'control', 'admin']],
      },
    ),
  },
  { ...strict, description: 'One caller of the API' },
);

export const Api = Type.Object(
  {
    listen: Type.String({
      description: 'host:port on which the API listens; IPv6 in brackets',
      format: 'host-port',
      default: '127.0.0.1:8080',
    }),
    trusted_proxies: Type.Array(
      Type.String({
        description: 'CIDR network or single address',
        format: 'network',
        examples: ['192.0.2.20'],
      }),
      {
        description: 'Reverse proxies whose X-Forwarded-For is believed',
        default: [],
        maxItems: 64,
        examples: [['192.0.2.20']],
      },
    ),
    tokens: Type.Array(ApiToken, {
      description: 'Who may use the API',
      minItems: 1,
      maxItems: 100,
    }),
  },
  { ...strict, description: 'The HTTP API' },
);
