import { isIP } from 'node:net';
import { Refusal } from './refusal.js';

/** An IP address as a number, so that networks can be compared. */
export interface Address {
  family: 4 | 6;
  value: bigint;
}

/** A block of addresses, from `first` to `last`, both included. */
export interface Network {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

const BITS = { 4: 32, 6: 128 } as const;

/** Parses an IPv4 or IPv6 address (no brackets, no zone). */
export function parseAddress(text: string): Address {
  const family = isIP(text);
  if (family === 4) {
    return { family, value: text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  }
  if (family === 6 && !text.includes('%')) {
    return { family, value: ipv6Value(text) };
  }
  throw new Refusal('is not an IP address; write it like 192.0.2.10 or 2001:db8::10');
}

/**
 * Parses a CIDR network or a single address, IPv4 or IPv6.
 *
 * Bits beyond the prefix are refused: they are a typing error more often than not, and a wrong network lets
 * strangers call.
 */
export function parseNetwork(text: string): Network {
  const [host = '', prefixText, ...rest] = text.split('/');
  const notNetwork = 'is not a CIDR network; write it like 198.51.100.0/24';
  if (isIP(host) === 0 || host.includes('%') || rest.length > 0) {
    throw new Refusal(notNetwork);
  }
  const { family, value } = parseAddress(host);
  const bits = BITS[family];
  if (family === 6 && value >> 32n === 0xffffn) {
    throw new Refusal('is IPv4 written as IPv6; write it as IPv4, like 198.51.100.0/24');
  }
  if (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText)) {
    throw new Refusal(notNetwork);
  }
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefix > bits) {
    throw new Refusal(notNetwork);
  }
  if (prefix === 0) {
    throw new Refusal('is the whole internet; write only the networks that really send calls');
  }
  const size = 1n << BigInt(bits - prefix);
  const first = value - (value % size);
  if (first !== value) {
    throw new Refusal(
      `has address bits beyond /${prefix}; write ${addressText(family, first)}/${prefix} for the network or ${host} for the one address`,
    );
  }
  return { family, first, last: first + size - 1n };
}

function ipv6Value(text: string): bigint {
  const hex = text.replace(/[\d.]+$/, (tail) => {
    if (!tail.includes('.')) {
      return tail;
    }
    const { value } = parseAddress(tail);
    return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
  });
  const [head = '', tail] = hex.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const left = groups(head);
  const right = groups(tail ?? '');
  const zeros: string[] = Array(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
}

function addressText(family: 4 | 6, value: bigint): string {
  const [parts, width] = family === 4 ? [4, 8] : [8, 16];
  const text = Array.from({ length: parts }, (_, index) => {
    const part = (value >> BigInt(width * (parts - 1 - index))) & ((1n << BigInt(width)) - 1n);
    return part.toString(family === 4 ? 10 : 16);
  }).join(family === 4 ? '.' : ':');
  // The URL parser shortens IPv6 as RFC 5952 wants it.
  return family === 4 ? text : new URL(`http://[${text}]`).hostname.slice(1, -1);
}

/** Whether an address is in one of these networks; an IPv4 one may be written as IPv6 (`::ffff:192.0.2.1`). */
export function isWithin(address: string, networks: readonly string[]): boolean {
  const { family, value } = parseAddress(address.replace(/^::ffff:(?=\d+\.)/i, ''));
  return networks.map(parseNetwork).some((n) => n.family === family && n.first <= value && value <= n.last);
}
