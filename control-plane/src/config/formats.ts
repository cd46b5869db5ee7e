import {
  parseAdvertise,
  parseHostPort,
  parseNetwork,
  parseRedisUrl,
  parseRpcUrl,
  parseSipListen,
  parseSipUri,
  Refusal,
} from './addresses.js';

/** The `format` of each kind of text in the schema, with the parser that accepts it or throws a `Refusal`. */
const formats: Record<string, (text: string) => unknown> = {
  advertise: parseAdvertise,
  e164: requirePattern(
    /^\+[1-9]\d{6,14}$/,
    'is not an E.164 number; write + and the country code, 7 to 15 digits, in quotes, like "+14155550100"',
  ),
  'host-port': parseHostPort,
  name: requirePattern(
    /^[a-z0-9][a-z0-9_-]{0,31}$/,
    'is not a name; use 1 to 32 lower-case letters, digits, - and _, and begin with a letter or digit',
  ),
  network: parseNetwork,
  'redis-url': parseRedisUrl,
  'rpc-url': parseRpcUrl,
  'sip-listen': parseSipListen,
  'sip-uri': parseSipUri,
  // What can stand in an Authorization header after `Bearer` (RFC 6750 section 2.1).
  token: requirePattern(
    /^(?=.{16,512}$)[\w.~+/-]+=*$/,
    'is not a usable token; write 16 to 512 letters, digits and - . _ ~ + / without spaces or line ends (openssl rand -hex 32 makes a good one)',
  ),
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

function requirePattern(pattern: RegExp, fault: string): (text: string) => void {
  return (text) => {
    if (!pattern.test(text)) {
      throw new Refusal(fault);
    }
  };
}
