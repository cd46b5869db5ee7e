import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { answerClientError } from './client-errors.js';
import { lazyCompilers } from './lazy-compilers.js';
import { type ApiToken, authPlugin } from './plugins/auth.js';
import { errorsPlugin, problemOf } from './plugins/errors.js';
import { idleConnectionsPlugin } from './plugins/idle-connections.js';
import { openapiPlugin } from './plugins/openapi.js';
import { sendProblem } from './problems.js';
import { RequestLog } from './request-log.js';
import { type CallCreationRoutesOptions, callCreationRoutes } from './routes/call-creation.js';
import { callLadderRoutes } from './routes/call-ladder.js';
import { type CallRoutesOptions, callRoutes } from './routes/calls.js';
import { type CarrierRoutesOptions, carrierRoutes } from './routes/carriers.js';
import { type ConfigRoutesOptions, configRoutes } from './routes/config.js';
import { type DeadWebhookRoutesOptions, deadWebhookRoutes } from './routes/dead-webhooks.js';
import { type DetailRecordRoutesOptions, detailRecordRoutes } from './routes/detail-records.js';
import { type ErasureRoutesOptions, erasureRoutes } from './routes/erasure.js';
import { type EventRoutesOptions, eventRoutes } from './routes/events.js';
import { type FunctionRoutesOptions, functionRoutes } from './routes/functions.js';
import { type HangupRoutesOptions, hangupRoutes } from './routes/hangups.js';
import { type OperationsRoutesOptions, operationsRoutes } from './routes/operations.js';
import { type ReconciliationRoutesOptions, reconciliationRoutes } from './routes/reconciliation.js';
import { type StatusRoutesOptions, statusRoutes } from './routes/status.js';
import { type TransferRoutesOptions, transferRoutes } from './routes/transfers.js';
import { type WebhookEndpointRoutesOptions, webhookEndpointRoutes } from './routes/webhook-endpoints.js';
import { type WebhookRoutesOptions, webhookRoutes } from './routes/webhooks.js';

export interface AppOptions
  extends CallCreationRoutesOptions,
    CallRoutesOptions,
    CarrierRoutesOptions,
    ConfigRoutesOptions,
    DeadWebhookRoutesOptions,
    DetailRecordRoutesOptions,
    ErasureRoutesOptions,
    EventRoutesOptions,
    FunctionRoutesOptions,
    HangupRoutesOptions,
    OperationsRoutesOptions,
    ReconciliationRoutesOptions,
    StatusRoutesOptions,
    TransferRoutesOptions,
    WebhookEndpointRoutesOptions,
    WebhookRoutesOptions {
  logger: FastifyBaseLogger;
  tokens: readonly ApiToken[];
  /** Reverse proxies whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[];
  version: string;
}

/** No body that the API takes is larger, unless its route says so. */
const BODY_LIMIT = 64 * 1024;

/** Builds the HTTP API, without listening. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    loggerInstance: options.logger,
    logController: new RequestLog(),
    bodyLimit: BODY_LIMIT,
    connectionTimeout: 60_000,
    requestTimeout: 30_000,
    // Node looks for requests that are too slow only every 30 s by itself.
    http: { connectionsCheckingInterval: 5000, headersTimeout: 15_000 },
    clientErrorHandler: answerClientError,
    routerOptions: { maxParamLength: 300 },
    ...(options.trustedProxies.length > 0 && { trustProxy: [...options.trustedProxies] }),
    requestIdHeader: 'x-request-id',
    genReqId: () => randomUUID(),
    // Unknown members are told of, not quietly dropped.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: 'array', allErrors: true } },
    schemaController: { compilersFactory: lazyCompilers },
    // Errors before any route is found, such as a path that cannot be decoded.
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, problemOf(error)),
  }).withTypeProvider<TypeBoxTypeProvider>();

  takeJsonOnly(app);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  await app.register(idleConnectionsPlugin);
  await app.register(errorsPlugin);
  await app.register(authPlugin, { tokens: options.tokens });
  await app.register(openapiPlugin, { version: options.version });
  await app.register(operationsRoutes, options);
  await app.register(callRoutes, options);
  await app.register(callLadderRoutes, options);
  await app.register(callCreationRoutes, options);
  await app.register(hangupRoutes, options);
  await app.register(transferRoutes, options);
  await app.register(carrierRoutes, options);
  await app.register(configRoutes, options);
  await app.register(reconciliationRoutes, options);
  await app.register(webhookRoutes, options);
  await app.register(functionRoutes, options);
  await app.register(deadWebhookRoutes, options);
  await app.register(webhookEndpointRoutes, options);
  await app.register(detailRecordRoutes, options);
  await app.register(eventRoutes, options);
  await app.register(erasureRoutes, options);
  await app.register(statusRoutes, options);
  return app;
}

/** Bodies are JSON or nothing at all: many clients send a content type with an empty body. */
function takeJsonOnly(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else parseJson(request, body, done);
  });
}
