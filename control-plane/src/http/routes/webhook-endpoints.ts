import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { iso, isoOrNull } from '../../calls/iso.js';
import { DELIVERY_OUTCOMES, type LoggedDelivery } from '../../owner-webhooks/delivery-log.js';
import { type Endpoint, shownUrl } from '../../owner-webhooks/endpoint.js';
import type { Endpoints, SeenEndpoint } from '../../owner-webhooks/endpoints.js';
import { ENTRY_ID } from '../../stream-entries.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';
import { DeliveryListSchema, EndpointListSchema, ReplayedSchema } from '../schemas-endpoints.js';

export interface WebhookEndpointRoutesOptions {
  endpoints: Endpoints;
}

const common = { tags: ['webhooks'], security: [{ bearer: [] }] };
const problems = { '4xx': ProblemSchema, '5xx': ProblemSchema };
const NameParams = Type.Object({ name: Type.String({ maxLength: 32 }) });
const NoBody = Type.Object({}, { additionalProperties: false });
const takesNoBody = async (request: { body: unknown }) => {
  request.body ??= {};
};

/** The owner's own systems that are told what happens to calls. */
export const webhookEndpointRoutes: FastifyPluginAsyncTypebox<WebhookEndpointRoutesOptions> = async (
  app,
  { endpoints },
) => {
  app.get(
    '/v1/webhooks/endpoints',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: 'Systems of your own that are told what happens to calls',
        response: { 200: EndpointListSchema, ...problems },
      },
    },
    async () => ({ items: (await endpoints.list()).map(endpointView) }),
  );

  app.post(
    '/v1/webhooks/endpoints/:name/enable',
    {
      config: { scope: 'admin' },
      preValidation: takesNoBody,
      schema: {
        ...common,
        summary: 'Have events sent again to an endpoint that was disabled',
        params: NameParams,
        body: NoBody,
        response: {
          200: Type.Object({ enabled: Type.Literal(true), was_disabled: Type.Boolean() }),
          ...problems,
        },
      },
    },
    async (request) => {
      const endpoint = found(endpoints, request.params.name);
      const was_disabled = await endpoints.enable(endpoint);
      request.log.info({ by: request.tokenName, endpoint: endpoint.name }, 'webhook endpoint enabled');
      return { enabled: true as const, was_disabled };
    },
  );

  app.get(
    '/v1/webhooks/endpoints/:name/deliveries',
    {
      config: { scope: 'read' },
      schema: {
        ...common,
        summary: "An endpoint's log: what became of each attempt, newest first",
        params: NameParams,
        querystring: Type.Object(
          {
            outcome: Type.Optional(Type.Enum([...DELIVERY_OUTCOMES])),
            limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
            cursor: Type.Optional(
              Type.String({ maxLength: 40, description: 'next_cursor of the page before' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: DeliveryListSchema, ...problems },
      },
    },
    async (request) => {
      const { outcome, limit, cursor } = request.query;
      const endpoint = found(endpoints, request.params.name);
      if (cursor !== undefined && !ENTRY_ID.test(cursor)) {
        throw new Problem('validation_failed', 'querystring.cursor is not one that this list handed out');
      }
      const page = await endpoints.deliveries(endpoint, outcome, limit, cursor);
      return {
        items: page.map(deliveryView),
        next_cursor: page.length < limit ? null : (page.at(-1)?.id ?? null),
      };
    },
  );

  app.post(
    '/v1/webhooks/endpoints/:name/deliveries/:event_id/replay',
    {
      config: { scope: 'control' },
      preValidation: takesNoBody,
      schema: {
        ...common,
        summary: 'Send an event to an endpoint once more',
        params: Type.Object({
          name: Type.String({ maxLength: 32 }),
          event_id: Type.String({ maxLength: 40 }),
        }),
        body: NoBody,
        response: { 202: ReplayedSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { name, event_id } = request.params;
      const endpoint = found(endpoints, name);
      const result = ENTRY_ID.test(event_id) ? await endpoints.replay(endpoint, event_id) : 'event_not_found';
      if (result === 'event_not_found') {
        throw new Problem(result, `no event ${event_id} is kept that ${name} wants`);
      }
      if (result === 'endpoint_disabled')
        throw new Problem(result, `nothing is sent to ${name}: enable it first`);
      request.log.info({ by: request.tokenName, endpoint: name, event: event_id }, 'event replayed');
      return reply.code(202).send({ replayed: true });
    },
  );
};

function found(endpoints: Endpoints, name: string): Endpoint {
  const endpoint = endpoints.find(name);
  if (endpoint === undefined)
    throw new Problem('endpoint_not_found', `the configuration has no endpoint ${name}`);
  return endpoint;
}

function endpointView({ endpoint, state }: SeenEndpoint) {
  const { name, url, events, carriers = null } = endpoint;
  return {
    ...{ name, url: shownUrl(url), events, carriers },
    state: state?.disabled_at === undefined ? ('enabled' as const) : ('disabled' as const),
    disabled_at: isoOrNull(state?.disabled_at),
    disabled_for: state?.disabled_for ?? null,
    last_success_at: isoOrNull(state?.last_success_at),
    consecutive_failures: state?.failures ?? 0,
  };
}

function deliveryView({ at, event_id, type, call_id, outcome, number, ...answer }: LoggedDelivery) {
  const { status, error, ms } = answer;
  return {
    at: iso(at),
    ...{ event_id, type, call_id, outcome, attempt: number },
    ...{ status: status ?? null, error: error ?? null, ms: ms ?? null },
  };
}
