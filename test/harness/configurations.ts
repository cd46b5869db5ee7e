import { stringify } from 'yaml';
import { ConfigError, type ConfigProblem } from '../../control-plane/src/config/errors.js';
import { parseConfig } from '../../control-plane/src/config/load.js';
import type { Config } from '../../control-plane/src/config/schema.js';

/** Configurations for the tests of the configuration itself. */

/** A secret that no message may show. */
export const secret = 'canary-0123456789abcdef';
/** The environment that the configurations below are read with. */
export const env = { API_TOKEN: secret, KAMAILIO_RPC_TOKEN: 'rpc-0123456789abcdef' };

/** A text with ${NAME} in it, as the file has it. */
export const tokenReference = `\${API_TOKEN}`;

/** The least that a configuration needs, with sections replaced or added. */
export function minimal(sections: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    sip: { listen: ['udp:0.0.0.0:5060', 'tcp:0.0.0.0:5060'] },
    retell: { gateways: [{ uri: 'sip:sip.retellai.com' }] },
    api: { tokens: [{ name: 'ops', token: tokenReference, scopes: ['read'] }] },
    ...sections,
  };
}

/** The least configuration with `sections`, read. */
export function load(
  sections: Record<string, unknown> = {},
  variables: Record<string, string> = env,
): Config {
  return parseConfig(stringify(minimal(sections)), variables);
}

/** What is wrong with the text; nothing if it is right. */
export function problemsOf(text: string, variables: Record<string, string> = env): ConfigProblem[] {
  try {
    parseConfig(text, variables);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems;
    }
    throw error;
  }
  return [];
}

/** The problems of the least configuration with `sections`, as lines. */
export function lines(sections: Record<string, unknown>, variables: Record<string, string> = env): string[] {
  return problemsOf(stringify(minimal(sections)), variables).map(
    ({ path, message }) => `${path}: ${message}`,
  );
}

/** A carrier with these networks and a gateway of its own. */
export function carrier(name: string, ...networks: string[]): Record<string, unknown> {
  return { name, networks, gateways: [{ uri: `sip:${name}.example.com` }] };
}

/** A carrier named acme with these keys replaced or added. */
export function acme(keys: Record<string, unknown>): Record<string, unknown> {
  return { ...carrier('acme', '198.51.100.0/24'), ...keys };
}

/** A number with these keys replaced or added. */
export function number(keys: Record<string, unknown>): Record<string, unknown> {
  return { number: '+14155550100', ...keys };
}

/** Retell's section with these keys replaced or added. */
export function retell(keys: Record<string, unknown>): Record<string, unknown> {
  return { gateways: [{ uri: 'sip:sip.retellai.com' }], ...keys };
}

/** The api section with these keys replaced or added. */
export function api(overrides: Record<string, unknown>): Record<string, unknown> {
  return { tokens: [{ name: 'ops', token: tokenReference, scopes: ['read'] }], ...overrides };
}

/** The api section with these keys of its token replaced. */
export function token(overrides: Record<string, unknown>): Record<string, unknown> {
  return { api: api({ tokens: [{ name: 'ops', token: tokenReference, scopes: ['read'], ...overrides }] }) };
}

export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;

/** An endpoint of webhooks named crm with these keys replaced or added. */
export function endpoint(keys: Record<string, unknown>): Record<string, unknown> {
  return { name: 'crm', url: 'https://crm.example.com/hooks', secrets: [WEBHOOK_SECRET], ...keys };
}
