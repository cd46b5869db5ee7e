import { availableParallelism } from 'node:os';
import Type from 'typebox';

/**
 * The schema of config.yaml, and with it the type of the configuration.
 *
 * To add a key, add it here (description, unit of a quantity, default or example) and in
 * docs/reference/config.md. `format` names a parser of formats.ts. `secret` keeps a value out of every message.
 * `default_text` is how the documentation writes a default that depends on the machine.
 */

/** What code that walks the schema reads of a key. */
export interface SchemaNode {
  type?: string;
  description?: string;
  unit?: string;
  default?: unknown;
  default_text?: string;
  examples?: unknown[];
  secret?: boolean;
  format?: string;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  required?: string[];
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
}

/** The keywords that this schema adds to JSON Schema's own. */
export const schemaKeywords = ['unit', 'secret', 'default_text'];

const strict = { additionalProperties: false };

/** Kamailio worker processes for each UDP socket when the file names none. */
const defaultWorkers = Math.min(32, Math.max(4, 2 * availableParallelism()));

const Sip = Type.Object(
  {
    listen: Type.Array(
      Type.String({
        description: 'transport:address:port; transports udp and tcp',
        format: 'sip-listen',
        examples: ['udp:0.0.0.0:5060', 'tcp:[::1]:5060'],
      }),
      {
        description: 'Sockets on which Kamailio takes SIP',
        minItems: 1,
        maxItems: 32,
        examples: [['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060']],
      },
    ),
    advertise: Type.Optional(
      Type.String({
        description: 'Public name or address, with :port if it differs, for Via, Contact and Record-Route',
        format: 'advertise',
        examples: ['sip.example.com'],
      }),
    ),
    workers: Type.Integer({
      description: 'Kamailio worker processes for each UDP socket',
      unit: 'processes',
      default: defaultWorkers,
      default_text: 'CPU cores times 2, 4 to 32',
      minimum: 1,
      maximum: 128,
    }),
  },
  { ...strict, description: 'The SIP side of Kamailio' },
);

const RetellGateway = Type.Object(
  {
    uri: Type.String({
      description: 'sip:host, with :port and ;transport=udp or ;transport=tcp where wanted',
      format: 'sip-uri',
      examples: ['sip:sip.retellai.com;transport=tcp'],
    }),
    weight: Type.Integer({
      description: 'Share of the calls among gateways of one priority',
      unit: 'relative share',
      default: 1,
      minimum: 1,
      maximum: 100,
    }),
    priority: Type.Integer({
      description: 'The lowest number is used first, the next when none of those before it answers',
      unit: 'rank',
      default: 1,
      minimum: 1,
      maximum: 100,
    }),
  },
  { ...strict, description: "One of Retell's SIP addresses" },
);

const Retell = Type.Object(
  {
    gateways: Type.Array(RetellGateway, {
      description: 'Where calls for Retell go',
      minItems: 1,
      maxItems: 64,
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
  },
  { ...strict, description: "Retell's SIP side" },
);

const NumberEntry = Type.Object(
  {
    number: Type.String({
      description: 'E.164 with +, 7 to 15 digits, in quotes',
      format: 'e164',
      examples: ['+14155550100'],
    }),
    method: Type.Enum(['trunk'], {
      description: "How calls to it reach Retell; trunk is Retell's elastic SIP trunking",
      default: 'trunk',
    }),
  },
  { ...strict, description: 'One number' },
);

const Carrier = Type.Object(
  {
    name: Type.String({
      description: 'Name in the API, the records and the metrics; unique',
      format: 'name',
      examples: ['acme'],
    }),
    networks: Type.Array(
      Type.String({
        description: 'CIDR network or single address',
        format: 'network',
        examples: ['198.51.100.0/24'],
      }),
      {
        description: "Where the carrier's SIP comes from; no network may be in two carriers or be Retell's",
        minItems: 1,
        maxItems: 256,
      },
    ),
  },
  { ...strict, description: 'One carrier' },
);

const Calls = Type.Object(
  {
    max_duration_s: Type.Integer({
      description: 'An answered call is ended after this time',
      unit: 's',
      default: 7200,
      minimum: 1,
      maximum: 86_400,
    }),
    ring_timeout_s: Type.Integer({
      description: 'A call that is not answered is given up after this time',
      unit: 's',
      default: 120,
      minimum: 1,
      maximum: 600,
    }),
    hangup_timeout_ms: Type.Integer({
      description: 'A hangup that the wire has not confirmed by then has failed',
      unit: 'ms',
      default: 5000,
      minimum: 100,
      maximum: 60_000,
    }),
    retention_days: Type.Integer({
      description: 'How long the record of an ended call is kept',
      unit: 'days',
      default: 7,
      minimum: 1,
      maximum: 365,
    }),
  },
  { ...strict, description: 'Limits of every call', default: {} },
);

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
        description: 'read: look; control: end calls; admin: for later commands',
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

const Api = Type.Object(
  {
    listen: Type.String({
      description: 'host:port on which the API listens; IPv6 in brackets',
      format: 'host-port',
      default: '127.0.0.1:8080',
    }),
    tokens: Type.Array(ApiToken, {
      description: 'Who may use the API',
      minItems: 1,
      maxItems: 100,
    }),
  },
  { ...strict, description: 'The HTTP API' },
);

const Redis = Type.Object(
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
  },
  { ...strict, description: 'One Kamailio' },
);

const Kamailio = Type.Object(
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

const Log = Type.Object(
  {
    level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], {
      description: 'The least severe line that is written',
      default: 'info',
    }),
  },
  { ...strict, description: "The control plane's log", default: {} },
);

/** JSON Schema of the whole file. */
export const ConfigSchema = Type.Object(
  {
    sip: Sip,
    retell: Retell,
    numbers: Type.Array(NumberEntry, {
      description: 'Numbers that callers dial',
      default: [],
      maxItems: 100_000,
    }),
    carriers: Type.Array(Carrier, {
      description: 'Carriers that may send calls',
      default: [],
      maxItems: 1000,
    }),
    calls: Calls,
    api: Api,
    redis: Type.Optional(Redis),
    kamailio: Kamailio,
    log: Log,
  },
  strict,
);

/** The configuration as the program uses it: checked, variables filled in, every default applied. */
export type Config = Type.Static<typeof ConfigSchema>;
