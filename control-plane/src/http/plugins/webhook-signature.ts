import fp from 'fastify-plugin';
import type { Config } from '../../config/schema.js';
import { isSignedWith, isStale, parseSignature, type Signature } from '../../retell/signature.js';
import { Problem } from '../problems.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The body as it came. */
    rawBody: string;
    /** Whether its signature is too old rather than wrong. */
    isStale: boolean;
  }
}

export interface WebhookSignatureOptions {
  /** The keys that a webhook may be signed with, as they are at this moment. */
  keys: () => readonly string[];
}

/** The keys that Retell may have signed with: those of webhooks, or the one of its API where there are none. */
export function signatureKeys({ retell }: Config): readonly string[] {
  if (retell.webhook_keys.length > 0) return retell.webhook_keys;
  return retell.api_key === undefined ? [] : [retell.api_key];
}

const HEADER = 'x-retell-signature';

/**
 * Lets only what Retell has signed pass to the routes of the plugin that registers this (retell.md 5.3):
 * `X-Retell-Signature: v=<unix ms>,d=<HMAC-SHA256 of the raw body and v>`, at most five minutes old. The
 * body is read as JSON after that.
 */
export const webhookSignaturePlugin = fp<WebhookSignatureOptions>(
  async (app, { keys }) => {
    // The signature is over the body as it came.
    app.removeContentTypeParser('application/json');
    app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (_request, body, done) =>
      done(null, body),
    );
    app.decorateRequest('rawBody', '');
    app.decorateRequest('isStale', false);
    app.addHook('preValidation', async (request) => {
      request.rawBody = typeof request.body === 'string' ? request.body : '';
      const header = request.headers[HEADER];
      const signature = typeof header === 'string' ? parseSignature(header) : undefined;
      request.isStale = signature !== undefined && isStale(signature);
      requireSignature(request.rawBody, header === undefined ? 'none' : signature, keys());
      request.body = parseJson(request.rawBody);
    });
  },
  { name: 'webhook-signature', dependencies: ['errors'] },
);

/** @throws Problem invalid_signature */
function requireSignature(
  raw: string,
  signature: Signature | 'none' | undefined,
  keys: readonly string[],
): void {
  if (keys.length === 0) {
    throw new Problem(
      'invalid_signature',
      'no signature can be checked: neither retell.webhook_keys nor retell.api_key is configured',
    );
  }
  if (signature === 'none') throw new Problem('invalid_signature', 'there is no X-Retell-Signature');
  if (signature !== undefined && !isStale(signature)) {
    if (keys.some((key) => isSignedWith(raw, key, signature))) return;
  }
  throw new Problem(
    'invalid_signature',
    'X-Retell-Signature is not that of this body with a configured key, or is more than 5 minutes off',
  );
}

/** @throws Problem bad_request */
function parseJson(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    throw new Problem('bad_request', 'the body is not JSON');
  }
}
