import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { iso } from '../../calls/iso.js';
import { type DeadWebhook, WEBHOOK_LISTS, type WebhookStore } from '../../retell/webhook-store.js';
import { ENTRY_ID } from '../../stream-entries.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';

export interface DeadWebhookRoutesOptions {
  webhooks: WebhookStore;
}

const common = { tags: ['webhooks'], security: [{ bearer: [] }] };
const problems = { '4xx': ProblemSchema, '5xx': ProblemSchema };

const DeadWebhookSchema = Type.Object(
  {
    id: Type.String(),
    event: Type.String({ description: "Retell's name of the event" }),
    retell_call_id: Type.Union([Type.String(), Type.Null()]),
    reason: Type.Enum(['unmatched', 'failed', 'foreign'], {
      description:
        'unmatched: no call of ours came for it; failed: it could not be written; foreign: it is about no call that passed here',
    }),
    detail: Type.String(),
    received_at: Type.String({ format: 'date-time' }),
    dead_at: Type.String({ format: 'date-time', description: 'When it was given up' }),
  },
  { $id: 'DeadWebhook' },
);

/** Webhooks of Retell's that nobody could handle. */
export const deadWebhookRoutes: FastifyPluginAsyncTypebox<DeadWebhookRoutesOptions> = async (
  app,
  { webhooks },
) => {
  app.get(
    '/v1/webhooks/dead',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: "Retell's webhooks that were given up, newest first",
        querystring: Type.Object(
          {
            list: Type.Enum([...WEBHOOK_LISTS], {
              default: 'given_up',
              description: 'given_up; or foreign: those about calls that did not pass here',
            }),
            limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
            cursor: Type.Optional(
              Type.String({ maxLength: 40, description: 'next_cursor of the page before' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            items: Type.Array(DeadWebhookSchema),
            next_cursor: Type.Union([Type.String(), Type.Null()]),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const { list, limit, cursor } = request.query;
      if (cursor !== undefined && !ENTRY_ID.test(cursor)) {
        throw new Problem('validation_failed', 'querystring.cursor is not one that this list handed out');
      }
      const dead = await webhooks.dead(list, limit, cursor);
      return { items: dead.map(view), next_cursor: dead.length < limit ? null : (dead.at(-1)?.id ?? null) };
    },
  );

  app.post(
    '/v1/webhooks/dead/:id/replay',
    {
      config: { scope: 'control' },
      preValidation: async (request) => {
        request.body ??= {};
      },
      schema: {
        ...common,
        summary: 'Have a webhook that was given up handled anew',
        params: Type.Object({ id: Type.String({ maxLength: 40 }) }),
        body: Type.Object({}, { additionalProperties: false }),
        response: { 202: Type.Object({ replayed: Type.Literal(true) }), ...problems },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      if (!ENTRY_ID.test(id) || !(await webhooks.replay(id))) {
        throw new Problem('webhook_not_found', `no webhook that was given up has the id ${id}`);
      }
      request.log.info({ by: request.tokenName, webhook: id }, 'webhook replayed');
      return reply.code(202).send({ replayed: true });
    },
  );
};

function view({ id, reason, detail, deadAt, webhook }: DeadWebhook) {
  return {
    id,
    event: webhook.event,
    retell_call_id: webhook.call?.call_id ?? null,
    reason,
    detail,
    received_at: iso(webhook.receivedAt),
    dead_at: iso(deadAt),
  };
}
