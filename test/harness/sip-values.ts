/** A SIP URI taken apart. `user`, `host` and parameter values keep the case they were written in. */
export interface SipUri {
  readonly scheme: string;
  readonly user: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly params: ReadonlyMap<string, string>;
}

/** A From, To, Contact, Route or Refer-To value (RFC 3261 20.10): `"Name" <uri>;params`. */
export interface NameAddr {
  readonly display: string;
  readonly uri: string;
  readonly params: ReadonlyMap<string, string>;
}

/** The parts of one Via value (RFC 3261 20.42). */
export interface Via {
  readonly transport: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly params: ReadonlyMap<string, string>;
}

/** Thrown for text that is not a SIP message, or lacks a header that every message needs. */
export class SipParseError extends Error {
  override readonly name = 'SipParseError';
}

const LIST_SEPARATOR = ',';

/** Splits a list at its commas, leaving those inside quotes and angle brackets alone. */
export function splitList(value: string): string[] {
  if (!value.includes(LIST_SEPARATOR)) return [value.trim()];
  const items: string[] = [];
  let start = 0;
  let quoted = false;
  let bracketed = false;
  for (let i = 0; i < value.length; i += 1) {
    const char = value[i];
    if (char === '\\' && quoted) i += 1;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && char === '<') bracketed = true;
    else if (!quoted && char === '>') bracketed = false;
    else if (char === LIST_SEPARATOR && !quoted && !bracketed) {
      items.push(value.slice(start, i).trim());
      start = i + 1;
    }
  }
  items.push(value.slice(start).trim());
  return items.filter((item) => item !== '');
}

function parseParams(text: string): Map<string, string> {
  const params = new Map<string, string>();
  for (const part of text.split(';')) {
    const [name = '', ...value] = part.split('=');
    if (name.trim() !== '') params.set(name.trim().toLowerCase(), value.join('=').trim());
  }
  return params;
}

/** Takes a From, To, Contact or Route value apart; without angle brackets the parameters are the header's. */
export function parseNameAddr(value: string): NameAddr {
  const bracketed = /^\s*("(?:[^"\\]|\\.)*"|[^<"]*)\s*<([^>]*)>(.*)$/s.exec(value);
  if (bracketed) {
    const display = (bracketed[1] ?? '').trim().replace(/^"(.*)"$/s, '$1');
    return { display, uri: bracketed[2] ?? '', params: parseParams(bracketed[3] ?? '') };
  }
  const semicolon = value.indexOf(';');
  const uri = (semicolon < 0 ? value : value.slice(0, semicolon)).trim();
  return { display: '', uri, params: parseParams(semicolon < 0 ? '' : value.slice(semicolon)) };
}

/** The tag of a From or To value; empty if there is none. */
export function tagOf(value: string): string {
  return value.includes('tag=') ? (parseNameAddr(value).params.get('tag') ?? '') : '';
}

/** A host as URIs and Via write it: IPv6 in brackets. */
export function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** A host as sockets take it: without the brackets of IPv6. */
export function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

/** @throws SipParseError if the text is not a sip: or sips: URI (RFC 3261 19.1). */
export function parseUri(uri: string): SipUri {
  const match = /^(sips?):(?:([^@]*)@)?(\[[^\]]+\]|[^:;?]+)(?::(\d+))?((?:;[^?]*)?)(?:\?.*)?$/i.exec(
    uri.trim(),
  );
  if (!match) throw new SipParseError(`not a SIP URI: ${uri}`);
  return {
    scheme: (match[1] ?? '').toLowerCase(),
    user: (match[2] ?? '').replace(/[:;].*$/, ''),
    host: match[3] ?? '',
    port: match[4] === undefined ? undefined : Number(match[4]),
    params: parseParams(match[5] ?? ''),
  };
}

/** @throws SipParseError if the text is not a Via value. */
export function parseVia(value: string): Via {
  const match = /^SIP\s*\/\s*2\.0\s*\/\s*(\w+)\s+(\[[^\]]+\]|[^:;\s]+)\s*(?::\s*(\d+))?\s*(;.*)?$/s.exec(
    value,
  );
  if (!match) throw new SipParseError(`not a Via value: ${value.slice(0, 80)}`);
  return {
    transport: (match[1] ?? '').toLowerCase(),
    host: match[2] ?? '',
    port: match[3] === undefined ? undefined : Number(match[3]),
    params: parseParams(match[4] ?? ''),
  };
}
