import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { ActiveConfig } from '../../config/active.js';
import { isWithin } from '../../config/networks.js';
import type { InboundCorrelation } from '../../retell/correlation.js';
import {
  type InboundOutcome,
  inboundAnswer,
  outcomeOf,
  readInboundQuestion,
} from '../../retell/inbound-webhook.js';
import { settingsOf } from '../../retell/number-settings.js';
import { readWebhook } from '../../retell/stored-webhook.js';
import type { WebhookStore } from '../../retell/webhook-store.js';
import { signatureKeys, webhookSignaturePlugin } from '../plugins/webhook-signature.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';

/** How a webhook was answered; what is not an outcome of its own by the kind of its status. */
export type WebhookOutcome =
  | InboundOutcome
  | 'stored'
  | 'invalid_signature'
  | 'stale_signature'
  | 'source_not_allowed'
  | 'malformed'
  | 'failed';

export interface WebhookRoutesOptions {
  /** The configuration in force. */
  config: ActiveConfig;
  correlation: InboundCorrelation;
  webhooks: WebhookStore;
  /** Told of every webhook: how it was answered, and how long that took, in seconds. */
  webhookDone: (outcome: WebhookOutcome, seconds: number) => void;
}

declare module 'fastify' {
  interface FastifyRequest {
    webhookOutcome: WebhookOutcome | undefined;
  }
}

const BODY_LIMIT = 64 * 1024;
/** Of call events, which hold the whole transcript. */
const CALL_BODY_LIMIT = 1024 * 1024;
/**
 * Longest wait for the call that a webhook is about, in ms: the caller hears nothing until Retell has its
 * answer, which must not depend on Redis.
 */
const CORRELATION_MS = 50;

const InboundBody = Type.Object(
  {
    event: Type.Literal('call_inbound'),
    call_inbound: Type.Record(Type.String(), Type.Unknown(), {
      description: 'from_number, to_number, agent_id, call_id, custom_sip_headers; all of them optional',
    }),
  },
  { additionalProperties: true },
);
const CallBody = Type.Object(
  {
    event: Type.String(),
    call: Type.Optional(Type.Unknown({ description: "Retell's call object" })),
  },
  { additionalProperties: true },
);
const InboundReply = Type.Object({
  call_inbound: Type.Object(
    {
      reject: Type.Optional(Type.Boolean()),
      override_agent_id: Type.Optional(Type.String()),
      override_agent_version: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
      dynamic_variables: Type.Optional(Type.Record(Type.String(), Type.String())),
      metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    },
    { description: 'Empty where the number is none of ours' },
  ),
});

/** What Retell asks us. These routes need no token: Retell signs what it sends. */
export const webhookRoutes: FastifyPluginAsyncTypebox<WebhookRoutesOptions> = async (
  app,
  { config, correlation, webhooks, webhookDone },
) => {
  await app.register(webhookSignaturePlugin, { keys: () => signatureKeys(config.current) });
  app.decorateRequest('webhookOutcome', undefined);
  app.addHook('onRequest', async (request) => {
    const networks = config.current.retell.webhook_networks;
    if (networks.length === 0 || isWithin(request.ip, networks)) return;
    request.webhookOutcome = 'source_not_allowed';
    throw new Problem('source_not_allowed', `${request.ip} is in none of retell.webhook_networks`);
  });
  app.addHook('onResponse', async (request, reply) => {
    webhookDone(
      request.webhookOutcome ?? outcomeOfStatus(reply.statusCode, request.isStale),
      reply.elapsedTime / 1000,
    );
  });

  app.post(
    '/webhooks/retell/inbound',
    {
      bodyLimit: BODY_LIMIT,
      schema: {
        summary: "Retell's inbound-call webhook: which agent takes a call to an imported number",
        description: 'Signed by Retell (X-Retell-Signature); no token is needed.',
        tags: ['webhooks'],
        body: InboundBody,
        response: { 200: InboundReply, '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request) => {
      const question = readInboundQuestion(request.body);
      const settings = settingsOf(config.current, question.to);
      const outcome = outcomeOf(settings);
      request.webhookOutcome = outcome;
      const agentId = outcome === 'rejected' ? undefined : (settings?.agent_id ?? question.agentId);
      const found = correlation.find(question, { outcome, agentId }, CORRELATION_MS);
      return { call_inbound: inboundAnswer(settings, question.callRef ?? (await found)) };
    },
  );

  app.post(
    '/webhooks/retell',
    {
      bodyLimit: CALL_BODY_LIMIT,
      config: { logsRefusalsOnly: true },
      schema: {
        summary: "Retell's webhook of what happens to a call",
        description:
          'Signed by Retell (X-Retell-Signature); no token is needed. Answered once it is in Redis; it is written into the record of its call right after.',
        tags: ['webhooks'],
        body: CallBody,
        response: { 204: Type.Null(), '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const webhook = readWebhook(request.body, request.rawBody, Date.now(), config.current.retell.keep);
      if (webhook === undefined)
        throw new Problem('validation_failed', 'body is no event about a call of Retell');
      if (!(await webhooks.add(webhook))) throw new Problem('webhooks_full', 'send it again later');
      request.webhookOutcome = 'stored';
      return reply.code(204).send(null);
    },
  );
};

function outcomeOfStatus(status: number, isStale: boolean): WebhookOutcome {
  if (status === 401) return isStale ? 'stale_signature' : 'invalid_signature';
  return status < 500 ? 'malformed' : 'failed';
}
