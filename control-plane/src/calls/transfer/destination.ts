import { isSipUser, parseHost, SIP_USER_CHARACTERS } from '../../config/addresses.js';
import { deniedPrefixes } from '../../config/denied-prefixes.js';
import { readable } from '../../config/refusal.js';
import type { Config } from '../../config/schema.js';
import { TransferError } from './errors.js';

/**
 * Where a call may be transferred to. kamailio/destinations.cfg checks Retell's own REFER by the same rules:
 * test/harness/transfer-destinations.ts holds both to one table.
 */

/** Where a call is to go. */
export type Destination =
  | {
      kind: 'number';
      /** E.164 with + */
      number: string;
      /** parameters of a tel: URI, which a number as such does not have, like `;ext=102` */
      parameters?: string;
    }
  | {
      kind: 'uri';
      /** as it is sent */
      uri: string;
      /** lower-case; IPv6 in brackets */
      host: string;
      /** the number that its user part stands for, as E.164 with + */
      number: string | undefined;
    };

/** Longest destination that is looked at. */
const LONGEST = 255;

const FORMS = 'write it like +14155550123, tel:+14155550123 or sip:200@pbx.example.com';

/**
 * Parses what a transfer is asked to: E.164 with +, `tel:` (RFC 3966, global numbers), or `sip:` and `sips:` with a
 * user part, and where wanted a port, `transport` and `user=phone`.
 *
 * Nothing else can get into Refer-To with it: no header part, no other parameter, no escape, no line end, no `!!`
 * (tm puts an address in its place).
 *
 * @throws TransferError `invalid`, its message begins with `to `
 */
export function parseDestination(to: string): Destination {
  if (to === '') throw invalid(`to is empty; ${FORMS}`);
  if (to.length > LONGEST) throw invalid(`to is longer than ${LONGEST} characters; ${FORMS}`);
  if (!/^[\x21-\x7e]+$/.test(to)) {
    throw invalid(`to has a space, a line end or a character that is not ASCII; ${FORMS}`);
  }
  if (/[<>"]/.test(to)) throw invalid('to has brackets or quotes; write the bare number or URI');
  if (to.includes('%')) throw invalid('to has an escape (%), which is not supported; write it without');
  if (to.includes('!!')) throw invalid('to has !!, which cannot be sent; write it without');
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/i.exec(to) ?? [];
  switch (scheme.toLowerCase()) {
    case 'tel':
      return parseTel(rest);
    case 'sip':
    case 'sips':
      return parseSip(scheme.toLowerCase(), rest);
    case '':
      return parseNumber(to);
    default:
      throw invalid(`to has a scheme other than tel, sip and sips; ${FORMS}`);
  }
}

/**
 * Why the configuration does not let a call go there, as a sentence; undefined where it does.
 *
 * @param who whose lists narrow the general ones: our number of the call, and the agent that asks
 */
export function refusalOf(
  destination: Destination,
  config: Pick<Config, 'transfers' | 'numbers'>,
  who: { number?: string | undefined; agentId?: string | undefined },
): string | undefined {
  const { transfers, numbers } = config;
  return (
    refusalOfAll(destination, transfers) ??
    refusalOfNarrower(
      destination,
      numbers.find(({ number }) => number === who.number)?.transfer_allow,
      'calls of this number',
    ) ??
    refusalOfNarrower(
      destination,
      transfers.agents.find(({ agent_id }) => agent_id === who.agentId)?.allow,
      'this agent',
    )
  );
}

function refusalOfAll(destination: Destination, transfers: Config['transfers']): string | undefined {
  const { number } = destination;
  const allowed = number === undefined ? 0 : longest(transfers.allow, number);
  const denied = number === undefined ? 0 : longest(deniedPrefixes(transfers), number);
  if (destination.kind === 'number') {
    if (allowed > denied) return undefined;
    return denied > 0
      ? 'Transfers to numbers that begin like this one are denied.'
      : 'Transfers to numbers that begin like this one are not allowed.';
  }
  if (!transfers.hosts.some((host) => host.toLowerCase() === destination.host)) {
    return 'Transfers to SIP addresses at this host are not allowed.';
  }
  return denied > 0 && allowed <= denied
    ? 'Transfers to SIP addresses with a number that begins like this one are denied.'
    : undefined;
}

/** @param list undefined where there is none; @param whose as in "calls of this number" */
function refusalOfNarrower(
  destination: Destination,
  list: readonly string[] | undefined,
  whose: string,
): string | undefined {
  if (list === undefined) return undefined;
  const found =
    destination.kind === 'number'
      ? longest(list, destination.number) > 0
      : list.some((entry) => entry.toLowerCase() === destination.host);
  return found ? undefined : `The list of ${whose} does not allow transfers there.`;
}

/** The length of the longest prefix that the number begins with; 0 for none. */
function longest(prefixes: readonly string[], number: string): number {
  return prefixes.reduce(
    (best, prefix) => (number.startsWith(prefix) ? Math.max(best, prefix.length) : best),
    0,
  );
}

function parseNumber(text: string): Destination {
  if (isE164(text)) return { kind: 'number', number: text };
  if (/^\d+$/.test(text)) {
    throw invalid('to has no + and country code; write all of the number, like +14155550123');
  }
  if (text.includes('@'))
    throw invalid(`to has no scheme; write sip: before it, like sip:200@pbx.example.com`);
  throw invalid(`to is no number or URI; ${FORMS}`);
}

/** Visual separators of RFC 3966 section 3. */
const SEPARATORS = /[-.()]/g;

function parseTel(rest: string): Destination {
  const [, written = '', parameters = ''] = /^([^;]*)(.*)$/.exec(rest) ?? [];
  const number = written.replace(SEPARATORS, '');
  if (!isE164(number)) {
    throw invalid(
      'to is a tel: URI without a global number; write + and the country code, 7 to 15 digits, like tel:+14155550123',
    );
  }
  if (!/^(;[A-Za-z0-9-]+(=[A-Za-z0-9+.()_~*!-]+)?)*$/.test(parameters)) {
    throw invalid('to is a tel: URI with a parameter that cannot be read; write it without');
  }
  return parameters === '' ? { kind: 'number', number } : { kind: 'number', number, parameters };
}

function parseSip(scheme: string, rest: string): Destination {
  const form = `write it like ${scheme}:200@pbx.example.com`;
  const [, user, authority = '', parameters = ''] = /^(?:([^@]*)@)?([^;?@]*)(.*)$/.exec(rest) ?? [];
  if (user === undefined) throw invalid(`to is a SIP URI without a user part; ${form}`);
  if (!isSipUser(user)) {
    throw invalid(`to has a user part that cannot be one; use ${SIP_USER_CHARACTERS}, ${form}`);
  }
  if (rest.includes('?')) throw invalid('to has a header part (?), which is not supported; write it without');
  const [, host = '', port] = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(authority) ?? [];
  if (readable(parseHost, host) === undefined) throw invalid(`to has no name or address as host; ${form}`);
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    throw invalid('to has a port out of range; ports go from 1 to 65535');
  }
  const once = !/;(transport|user)=.*;\1=/i.test(parameters);
  if (!once || !/^(;(transport=(udp|tcp|tls)|user=phone))*$/i.test(parameters)) {
    throw invalid(
      'to has parameters other than transport=udp, tcp or tls and user=phone; leave the others out',
    );
  }
  return { kind: 'uri', uri: `${scheme}:${rest}`, host: host.toLowerCase(), number: numberOf(user) };
}

/**
 * The number that a user part may be dialled as: an E.164 number with or without +, 00 or 011, and whatever stands
 * between its digits. A shorter one is an extension, one with letters a name.
 */
function numberOf(user: string): string | undefined {
  if (/[A-Za-z]/.test(user)) return undefined;
  const digits = user.replace(/\D/g, '').replace(/^(00|011)/, '');
  return isE164(`+${digits}`) ? `+${digits}` : undefined;
}

function isE164(text: string): boolean {
  return /^\+[1-9]\d{6,14}$/.test(text);
}

function invalid(message: string): TransferError {
  return new TransferError('invalid', message);
}
