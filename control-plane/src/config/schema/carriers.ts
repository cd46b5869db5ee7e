import Type from 'typebox';
import { digestPassword, digestUsername, gateways, limits, maxDuration, strict, tlsName } from './common.js';
import { CarrierTransfer } from './transfers.js';

const Digest = Type.Object(
  {
    username: digestUsername('User name at the carrier', 'acme-user'),
    password: digestPassword(
      'Password at the carrier',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own way to name a variable
      '${ACME_PASSWORD}',
    ),
    realm: Type.Optional(
      Type.String({
        description: "Realm that is answered; without it whatever realm the carrier's challenge names",
        format: 'realm',
        examples: ['sip.acme.example.com'],
      }),
    ),
  },
  { ...strict, description: "Answers the carrier's 401 and 407" },
);

const Register = Type.Object(
  {
    registrar: Type.String({
      description: 'sip:host of the registrar, with :port and ;transport=udp, tcp or tls where wanted',
      format: 'sip-uri',
      examples: ['sip:sip.acme.example.com'],
    }),
    expires_s: Type.Integer({
      description: 'For how long to register; done again in good time',
      unit: 's',
      default: 600,
      minimum: 60,
      maximum: 86_400,
    }),
    user: Type.Optional(
      Type.String({
        description: 'User part of the registered address; without it digest.username',
        format: 'sip-user',
        examples: ['acme-user'],
      }),
    ),
  },
  { ...strict, description: 'A SIP registration at the carrier; needs digest' },
);

const CallerId = Type.Object(
  {
    user: Type.Optional(
      Type.String({
        description: 'User part of From in place of the number',
        format: 'sip-user',
        examples: ['+14155550100'],
      }),
    ),
    host: Type.Optional(
      Type.String({
        description: 'Host of From in place of the one that Retell wrote; IPv6 in brackets',
        format: 'host',
        examples: ['sip.example.com'],
      }),
    ),
    p_asserted_identity: Type.Enum(['kept', 'added', 'dropped'], {
      description: 'kept: as Retell sent it; added: with the number in From where there is none; dropped',
      default: 'kept',
    }),
    override: Type.Enum(['dropped', 'kept'], {
      description:
        "From of a transfer by Retell's second call that is the caller's number: dropped: our number in its place; kept",
      default: 'dropped',
    }),
  },
  { ...strict, description: 'Who outbound calls seem to come from', default: {} },
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
    gateways: gateways({
      one: "One of the carrier's SIP addresses",
      all: 'Where calls for the carrier go',
      uri: 'sip:198.51.100.10',
    }),
    digest: Type.Optional(Digest),
    register: Type.Optional(Register),
    prefixes: Type.Array(
      Type.String({
        description: '+ and the digits that a number begins with; + alone is every number',
        format: 'prefix',
        examples: ['+1'],
      }),
      {
        description: 'Outbound destinations that it takes; the longest of all carriers wins',
        default: [],
        maxItems: 10_000,
        examples: [['+1']],
      },
    ),
    number_format: Type.Enum(['e164', 'digits'], {
      description: 'How it wants numbers written: e164 with +, digits without',
      default: 'e164',
    }),
    caller_id: CallerId,
    transfer: CarrierTransfer,
    x_headers: Type.Enum(['kept', 'dropped'], {
      description: "X- headers of Retell's INVITE towards it",
      default: 'kept',
    }),
    probe: Type.Boolean({
      description: 'Whether its gateways are asked with OPTIONS if they are there',
      default: true,
    }),
    tls_name: tlsName(
      "Name that its certificate must bear, in both directions; without it the host of each gateway's URI",
      'sip.acme.example.com',
    ),
    max_duration_s: maxDuration('from and to this carrier'),
    limits: limits('from and to this carrier'),
  },
  { ...strict, description: 'One carrier' },
);

export const Carriers = Type.Array(Carrier, {
  description: 'Carriers that send calls and take them',
  default: [],
  maxItems: 1000,
});
