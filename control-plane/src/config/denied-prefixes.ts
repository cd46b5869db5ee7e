import { PREMIUM_PREFIXES } from './premium-prefixes.js';
import type { Config } from './schema.js';

/**
 * The prefixes that calls may not be transferred to: those of `transfers.deny`, and the premium ones, except those
 * that `transfers.allow` names as they are.
 */
export function deniedPrefixes({ allow, deny, premium }: Config['transfers']): string[] {
  if (premium === 'allowed') return deny;
  const named = new Set(allow);
  return [...new Set([...deny, ...Object.keys(PREMIUM_PREFIXES).filter((prefix) => !named.has(prefix))])];
}
