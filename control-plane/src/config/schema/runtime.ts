import Type from 'typebox';
import { strict } from './common.js';

export const Redis = Type.Object(
  {
    url: Type.String({
      description: 'redis://, as both the control plane and Kamailio reach it',
      format: 'redis-url',
      // It may hold a password.
      secret: true,
      examples: ['redis://127.0.0.1:6379'],
    }),
  },
  { ...strict, description: 'The Redis to use; without this section npm start runs its own' },
);

const Node = Type.Object(
  {
    name: Type.String({
      description: 'Name in the API, the records and the metrics; unique',
      format: 'name',
      examples: ['node1'],
    }),
    rpc_url: Type.String({
      description: "The node's JSON-RPC, http only, path /RPC; unique",
      format: 'rpc-url',
      examples: ['http://127.0.0.1:8088/RPC'],
    }),
    rpc_token: Type.Optional(
      Type.String({
        description: 'Bearer token for it, 16 to 512 characters; without it npm start makes one up',
        format: 'token',
        secret: true,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
        examples: ['${KAMAILIO_RPC_TOKEN}'],
      }),
    ),
    data_directory: Type.Optional(
      Type.String({
        description: "Directory with Kamailio's data files; without it the one where npm start puts them",
        format: 'file',
        examples: ['/var/lib/retell-proxy/data'],
      }),
    ),
  },
  { ...strict, description: 'One Kamailio' },
);

export const Kamailio = Type.Object(
  {
    nodes: Type.Array(Node, {
      description: 'The Kamailio nodes',
      default: [{ name: 'node1', rpc_url: 'http://127.0.0.1:8088/RPC' }],
      minItems: 1,
      maxItems: 64,
    }),
    shared_memory_mb: Type.Integer({
      description: "Kamailio's shared memory, which holds its dialogs and transactions",
      unit: 'MiB',
      default: 256,
      minimum: 64,
      maximum: 65_536,
    }),
  },
  { ...strict, description: 'Kamailio itself', default: {} },
);

export const Log = Type.Object(
  {
    level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], {
      description: 'The least severe line that is written',
      default: 'info',
    }),
    numbers: Type.Enum(['masked', 'full'], {
      description: 'How telephone numbers are written: masked as +1415***23, or full',
      default: 'masked',
    }),
  },
  { ...strict, description: "The control plane's log", default: {} },
);
