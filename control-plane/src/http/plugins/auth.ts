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

const BASIC = 'Basic realm="retell-sip-proxy", charset="UTF-8"';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope that a token needs for this route. A route without one is open. */
    scope?: Scope;
    /** Whether the token may come by HTTP Basic too, as the password: for pages, as browsers send no bearer token. */
    takesBasic?: boolean;
  }
  interface FastifyRequest {
    /** Name of the token that the request came with; empty on open routes. */
    tokenName: string;
  }
}

/** Bearer tokens with scopes (RFC 6750), for pages HTTP Basic (RFC 7617). Routes say what they need in their config. */
export const authPlugin = fp<{ tokens: readonly ApiToken[] }>(
  async (app, { tokens }) => {
    const known = tokens.map((token) => ({ ...token, digest: digest(token.token) }));
    app.decorateRequest('tokenName', '');
    app.addHook('onRequest', async (request, reply) => {
      const { scope, takesBasic = false } = request.routeOptions.config;
      if (scope === undefined) return;
      const given = digest(bearerOf(request) || (takesBasic ? passwordOf(request) : ''));
      const match = known.find((token) => timingSafeEqual(token.digest, given));
      if (match === undefined) {
        if (takesBasic) reply.header('www-authenticate', BASIC);
        throw new Problem('unauthorized', 'send Authorization: Bearer <token> with a token of api.tokens');
      }
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

/** The password of HTTP Basic, whoever the user says to be. */
function passwordOf(request: FastifyRequest): string {
  const [, encoded = ''] = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(request.headers.authorization ?? '') ?? [];
  return /^[^:]*:(.*)$/s.exec(Buffer.from(encoded, 'base64').toString())?.[1] ?? '';
}

/** Digests are of one length, so comparing them tells nothing about a token's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
