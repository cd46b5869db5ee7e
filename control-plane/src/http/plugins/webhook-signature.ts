import fp from 'fastify-plugin';
import { verify } from 'retell-sdk';
import type { Config } from '../../config/schema.js';
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
      const signature = request.headers[HEADER];
      request.isStale = isStale(signature);
      await requireSignature(request.rawBody, signature, keys());
      request.body = parseJson(request.rawBody);
    });
  },
  { name: 'webhook-signature', dependencies: ['errors'] },
);

/** How far its time may be off, in ms (retell.md 5.3). */
const WINDOW_MS = 300_000;

function isStale(signature: string | string[] | undefined): boolean {
  const [, time] = /^v=(\d{1,16}),d=[0-9a-f]+$/i.exec(String(signature)) ?? [];
  return time !== undefined && Math.abs(Date.now() - Number(time)) > WINDOW_MS;
}

/** @throws Problem invalid_signature */
async function requireSignature(
  raw: string,
  signature: string | string[] | undefined,
  keys: readonly string[],
): Promise<void> {
  if (keys.length === 0) {
    throw new Problem(
      'invalid_signature',
      'no signature can be checked: neither retell.webhook_keys nor retell.api_key is configured',
    );
  }
  if (typeof signature !== 'string') throw new Problem('invalid_signature', 'there is no X-Retell-Signature');
  for (const key of keys) {
    if (await verify(raw, key, signature)) return;
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
