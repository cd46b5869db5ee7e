import {
  isSipUser,
  parseAdvertise,
  parseBaseUrl,
  parseHost,
  parseHostName,
  parseHostPort,
  parseRedisUrl,
  parseRpcUrl,
  parseSipListen,
  parseSipUri,
  parseSipUserUri,
  parseWebhookUrl,
  SIP_USER_CHARACTERS,
} from './addresses.js';
import { parseNetwork } from './networks.js';
import { parseHepAddress, parseOtlpUrl } from './receivers.js';
import { Refusal } from './refusal.js';

const parsePrefix = requirePattern(
  /^\+\d{0,15}$/,
  'is not a prefix; write + and up to 15 digits, in quotes, like "+1", or "+" alone for every number',
);

/** The `format` of each kind of text in the schema, with the parser that accepts it or throws a `Refusal`. */
const formats: Record<string, (text: string) => unknown> = {
  advertise: parseAdvertise,
  'agent-id': requirePattern(
    /^[A-Za-z0-9_-]{1,128}$/,
    'is not an agent id; copy it from the Retell dashboard, like agent_0123456789',
  ),
  'agent-version': requirePattern(
    /^[\x21-\x7e]{1,64}$/,
    'is not a version; write a number, a tag, latest or latest_published',
  ),
  'api-key': requirePattern(
    /^[\x21-\x7e]{1,512}$/,
    'is not a key; copy it from the Retell dashboard, without spaces or line ends',
  ),
  'base-url': parseBaseUrl,
  // Spaces and line ends come in with a variable more often than they are meant.
  'digest-password': requirePattern(
    /^[\x21-\x7e]{1,128}$/,
    'is not a usable password; use 1 to 128 ASCII characters without spaces or line ends',
  ),
  // A user name holds no colon (RFC 7616 section 3.4.2), and is sent in quotes.
  'digest-username': requirePattern(
    /^(?!.*[:"\\])[\x21-\x7e]{1,128}$/,
    'is not a usable user name; use 1 to 128 ASCII characters without spaces, colons, quotes and \\',
  ),
  'header-value': requirePattern(
    /^[\x21-\x7e](?:[\x20-\x7e]{0,2046}[\x21-\x7e])?$/,
    'is not the value of a header; write 1 to 2048 ASCII characters without line ends',
  ),
  e164: requirePattern(
    /^\+[1-9]\d{6,14}$/,
    'is not an E.164 number; write + and the country code, 7 to 15 digits, in quotes, like "+14155550100"',
  ),
  // Kamailio's own configuration has it in quotes.
  file: requirePattern(
    /^(?!.*["\\])[^\p{Cc}]{1,1024}$/u,
    'is not a path; write it like /etc/retell-proxy/fullchain.pem, without quotes, \\ and line ends',
  ),
  'failure-notice': parseFailureNotice,
  'hep-address': parseHepAddress,
  'otlp-url': parseOtlpUrl,
  host: parseHost,
  'host-name': parseHostName,
  'host-port': parseHostPort,
  name: requirePattern(
    /^[a-z0-9][a-z0-9_-]{0,31}$/,
    'is not a name; use 1 to 32 lower-case letters, digits, - and _, and begin with a letter or digit',
  ),
  network: parseNetwork,
  prefix: parsePrefix,
  'prefix-or-host': (text) => (text.startsWith('+') ? parsePrefix(text) : parseHost(text)),
  // It is compared with, and sent as, a text in quotes.
  realm: requirePattern(
    /^(?!.*["\\])[\x20-\x7e]{1,128}$/,
    'is not a realm; write it as the challenge of the carrier has it, like sip.example.com',
  ),
  'redis-url': parseRedisUrl,
  'rpc-url': parseRpcUrl,
  'sip-listen': parseSipListen,
  'sip-uri': parseSipUri,
  'sip-user': (text) => {
    if (!isSipUser(text)) {
      throw new Refusal(`is not the user part of a SIP address; use ${SIP_USER_CHARACTERS}`);
    }
  },
  'sip-user-uri': parseSipUserUri,
  // What can stand in an Authorization header after `Bearer` (RFC 6750 section 2.1).
  token: requirePattern(
    /^(?=.{16,512}$)[\w.~+/-]+=*$/,
    'is not a usable token; write 16 to 512 letters, digits and - . _ ~ + / without spaces or line ends (openssl rand -hex 32 makes a good one)',
  ),
  'webhook-secret': parseWebhookSecret,
  'webhook-url': parseWebhookUrl,
};

/** The names of all formats, to tell the validator about. */
export const formatNames = Object.keys(formats);

/** What is wrong with `text`, as the rest of a sentence that begins with it; nothing if it has the format. */
export function formatFault(format: string, text: string): string | undefined {
  try {
    formats[format]?.(text);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) {
      return error.message;
    }
    throw error;
  }
}

/** The places of a failure notice that are filled in. */
const NOTICE_PLACES = ['{to}', '{reason}'];

function parseFailureNotice(text: string): void {
  if (!/^[^\p{Cc}]{1,500}$/u.test(text) || text.trim() === '') {
    throw new Refusal('is not a sentence to say; write 1 to 500 characters on one line');
  }
  const known = NOTICE_PLACES.reduce((rest, place) => rest.replaceAll(place, ''), text);
  if (/[{}]/.test(known)) {
    throw new Refusal('has { } around something that is not filled in; only {to} and {reason} are');
  }
}

/** A secret as the Standard Webhooks specification has it. */
function parseWebhookSecret(text: string): void {
  const [, base64 = ''] = /^whsec_(.*)$/s.exec(text) ?? [];
  const key = Buffer.from(base64, 'base64');
  if (key.length < 24 || key.length > 64 || key.toString('base64') !== base64) {
    throw new Refusal(
      'is not a secret for webhooks; write whsec_ and the base64 of 24 to 64 random bytes (echo "whsec_$(openssl rand -base64 32)" makes a good one)',
    );
  }
}

function requirePattern(pattern: RegExp, fault: string): (text: string) => void {
  return (text) => {
    if (!pattern.test(text)) {
      throw new Refusal(fault);
    }
  };
}
