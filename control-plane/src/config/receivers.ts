import { isWildcard, parseSipListen, type SipListen } from './addresses.js';
import { Refusal, readable } from './refusal.js';

/** Parsers for where copies of SIP and traces go; as those of addresses.ts. */

/** Parses the address of a capture server: `udp:address:port`. A name would have to be looked up for each message. */
export function parseHepAddress(text: string): SipListen {
  const form = 'write it like udp:192.0.2.30:9060 or udp:[2001:db8::30]:9060';
  const address = readable(parseSipListen, text);
  if (address?.transport !== 'udp') {
    throw new Refusal(`is not udp:address:port with an IP address; ${form}`);
  }
  if (isWildcard(address.host)) {
    throw new Refusal(`is not an address that can be sent to; ${form}`);
  }
  return address;
}

/** Parses the URL of an OpenTelemetry collector. */
export function parseOtlpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const form = 'write it like http://127.0.0.1:4318/v1/traces';
  if ((url?.protocol !== 'https:' && url?.protocol !== 'http:') || text.length > 2000) {
    throw new Refusal(`is not an http or https URL of up to 2000 characters; ${form}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new Refusal('has a user or password in it; leave them out and write them into traces.headers');
  }
  return url;
}
