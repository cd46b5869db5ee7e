import { isIP } from 'node:net';
import type { Config } from '../../config/schema.js';
import { type Destination, parseDestination } from './destination.js';
import { TransferError } from './errors.js';

/** What the headers of a REFER depend on besides its destination. */
export interface ReferContext {
  carrier: Config['carriers'][number];
  /** Host of the carrier's side of the call, for where its profile names none; without a port. */
  host: string;
  /** Our number of the call, as E.164 with +. */
  number: string | undefined;
  /** What else the request wants sent: X- headers and User-to-User. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Who it says transfers the call, in the forms of a destination; without it our number. */
  referredBy?: string | undefined;
}

/** A REFER as the carrier wants it. */
export interface ShapedRefer {
  /** the URI in Refer-To */
  referTo: string;
  /** in order, Refer-To first */
  headers: (readonly [name: string, value: string])[];
  /** what of the request this carrier does not get, in sentences */
  warnings: string[];
}

/** How many headers a request may ask for. */
const MOST_HEADERS = 10;

/** What the proxy itself says in headers of this name. */
const RESERVED = new Set(['x-call-ref', 'x-transferred-from']);

/**
 * The headers of the REFER that asks the carrier to take a call to `destination`, by its profile (RFC 3515, 3892,
 * 5806, 3325 and 7433).
 *
 * @throws TransferError `invalid`, its message begins with the field: `headers.X-Case` or `referred_by`;
 *   `unsupported` where the carrier takes no REFER
 */
export function shapeRefer(destination: Destination, context: ReferContext): ShapedRefer {
  const { carrier, number } = context;
  const { transfer, name } = carrier;
  const asked = checkedHeaders(context.headers ?? {});
  const referredBy = referrer(context);
  if (transfer.refer === 'unsupported') {
    throw new TransferError(
      'unsupported',
      `the carrier ${name} takes no REFER (transfer.refer is unsupported); have Retell transfer by sip_invite, or hang up`,
    );
  }
  const referTo = uriOf(destination, context);
  const ours = number === undefined ? undefined : `<sip:${written(number, carrier)}@${hostOf(context)}>`;
  const headers: (readonly [string, string] | false | undefined)[] = [
    ['Refer-To', `<${referTo}>`],
    transfer.referred_by === 'added' && asHeader('Referred-By', referredBy ?? ours),
    transfer.diversion === 'added' && asHeader('Diversion', ours),
    transfer.p_asserted_identity === 'added' && asHeader('P-Asserted-Identity', ours),
    ...(transfer.headers === 'kept' ? asked : []),
  ];
  const dropped = transfer.headers === 'dropped' ? asked.map(([header]) => header) : [];
  const warnings = [
    destination.kind === 'number' &&
      destination.parameters !== undefined &&
      `${destination.parameters} of to is not sent: a carrier gets the number alone.`,
    referredBy !== undefined &&
      transfer.referred_by === 'dropped' &&
      `referred_by is not sent: the carrier ${name} does not take Referred-By.`,
    ...dropped.map((header) => `${header} is not sent: the carrier ${name} does not hand it on.`),
  ];
  return {
    referTo,
    headers: headers.filter((header) => !!header),
    warnings: warnings.filter((text) => !!text) as string[],
  };
}

/** A destination as this carrier wants to see it. */
function uriOf(destination: Destination, context: ReferContext): string {
  if (destination.kind === 'uri') return destination.uri;
  const { transfer } = context.carrier;
  // Without its + it would be a local number, which needs a phone-context (RFC 3966 section 5.1.5).
  if (transfer.refer_to === 'tel') return `tel:${destination.number}`;
  return `${transfer.refer_to}:${written(destination.number, context.carrier)}@${hostOf(context)}`;
}

/** The host in a SIP URI, IPv6 without brackets. */
export function hostOfUri(uri: string): string {
  const [, bracketed, plain = ''] = /^sips?:(?:[^@]*@)?(?:\[([^\]]*)\]|([^:;?>]*))/i.exec(uri) ?? [];
  return bracketed ?? plain;
}

function hostOf({ carrier, host }: ReferContext): string {
  const used = carrier.transfer.host ?? host;
  return isIP(used) === 6 ? `[${used}]` : used;
}

function written(number: string, { number_format }: Config['carriers'][number]): string {
  return number_format === 'digits' ? number.slice(1) : number;
}

function referrer(context: ReferContext): string | undefined {
  if (context.referredBy === undefined) return undefined;
  try {
    const by = parseDestination(context.referredBy);
    return by.kind === 'uri'
      ? `<${by.uri}>`
      : `<sip:${written(by.number, context.carrier)}@${hostOf(context)}>`;
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    throw new TransferError(error.code, error.message.replace(/^to /, 'referred_by '));
  }
}

function checkedHeaders(headers: Readonly<Record<string, string>>): (readonly [string, string])[] {
  const entries = Object.entries(headers);
  if (entries.length > MOST_HEADERS) {
    throw invalid(`headers has ${entries.length} entries; at most ${MOST_HEADERS} are sent`);
  }
  const seen = new Set<string>();
  for (const [name, value] of entries) {
    const key = name.toLowerCase();
    if (!/^[A-Za-z0-9-]{1,64}$/.test(name) || !(/^x-./.test(key) || key === 'user-to-user')) {
      throw invalid('headers has a name that is not sent; use X- and letters, digits and -, or User-to-User');
    }
    if (RESERVED.has(key)) throw invalid(`headers.${name} is a header of the proxy's own; use another name`);
    if (seen.has(key)) throw invalid(`headers.${name} is there twice; leave one out`);
    seen.add(key);
    if (!/^[\x21-\x7e]([\x20-\x7e]{0,254}[\x21-\x7e])?$/.test(value)) {
      throw invalid(
        `headers.${name} is not 1 to 256 ASCII characters without line ends, with no space at its ends; change it`,
      );
    }
    if (value.includes('!!')) throw invalid(`headers.${name} has !!, which cannot be sent; write it without`);
  }
  return entries;
}

function asHeader(name: string, value: string | undefined): readonly [string, string] | undefined {
  return value === undefined ? undefined : [name, value];
}

function invalid(message: string): TransferError {
  return new TransferError('invalid', message);
}
