import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether only requests that are refused or fail are logged: for routes with thousands of requests a second. */
    logsRefusalsOnly?: boolean;
  }
}

/** Logs requests as Fastify does, except those of routes that log refusals only: these in one line each. */
export class RequestLog extends LogController {
  override incomingRequest(request: FastifyRequest, reply: FastifyReply): void {
    if (!request.routeOptions.config.logsRefusalsOnly) super.incomingRequest(request, reply);
  }

  override requestCompleted(
    error: Error | null | undefined,
    request: FastifyRequest,
    reply: FastifyReply,
  ): void {
    if (!request.routeOptions.config.logsRefusalsOnly || error) {
      super.requestCompleted(error, request, reply);
    } else if (reply.statusCode >= 400) {
      reply.log.info({ req: request, res: reply, responseTime: reply.elapsedTime }, 'request refused');
    }
  }
}
