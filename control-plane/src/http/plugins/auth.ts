import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { Problem } from '../problems.js';

export type Scope = 'read' | 'control' | 'admin';

export interface ApiToken {
  name: string;
  token: string;
  scopes: readonly Scope[];
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope that a token needs for this route. A route without one is open. */
    scope?: Scope;
  }
  interface FastifyRequest {
    /** Name of the token that the request came with; empty on open routes. */
    tokenName: string;
  }
}

/** Bearer tokens with scopes (RFC 6750). Routes say the scope that they need in their config. */
export const authPlugin = fp<{ tokens: readonly ApiToken[] }>(
  async (app, { tokens }) => {
    const known = tokens.map((token) => ({ ...token, digest: digest(token.token) }));
    app.decorateRequest('tokenName', '');
    app.addHook('onRequest', async (request) => {
      const { scope } = request.routeOptions.config;
      if (scope === undefined) return;
      const given = digest(bearerOf(request));
      const match = known.find((token) => timingSafeEqual(token.digest, given));
      if (match === undefined)
        throw new Problem('unauthorized', 'send Authorization: Bearer <token> with a token of api.tokens');
      if (!match.scopes.includes(scope)) {
        throw new Problem('forbidden', `token ${match.name} lacks the scope ${scope}`, {
          required_scope: scope,
        });
      }
      request.tokenName = match.name;
    });
  },
  { name: 'auth', dependencies: ['errors'] },
);

function bearerOf(request: FastifyRequest): string {
  return /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
}

/** Digests are of one length, so comparing them tells nothing about a token's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
