import type { FastifyError } from 'fastify';
import fp from 'fastify-plugin';
import { CallError } from '../../calls/errors.js';
import { TransferError } from '../../calls/transfer/errors.js';
import { ConfigError } from '../../config/errors.js';
import { Problem, type ProblemCode, sendProblem } from '../problems.js';

const BY_STATUS: Record<number, ProblemCode> = {
  413: 'payload_too_large',
  415: 'unsupported_media_type',
};

/** Turns every error, also those of Fastify itself and unknown paths, into application/problem+json. */
export const errorsPlugin = fp(
  async (app) => {
    app.setErrorHandler(async (error: FastifyError, request, reply) => {
      const problem = problemOf(error);
      if (problem.code === 'internal_error') request.log.error({ err: error }, 'request failed');
      return sendProblem(reply, problem);
    });
    app.setNotFoundHandler(async (request, reply) =>
      sendProblem(
        reply,
        new Problem('not_found', `${request.method} ${request.url.split('?')[0]} does not exist`),
      ),
    );
  },
  { name: 'errors' },
);

/** What the API answers for an error, whoever threw it. */
export function problemOf(error: FastifyError): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof CallError) return new Problem(error.code, error.message);
  if (error instanceof TransferError) return problemOfTransfer(error);
  if (error instanceof ConfigError) {
    const { problems } = error;
    return new Problem('config_invalid', `nothing has changed: ${error.message}`, { problems });
  }
  if (error.validation) {
    const fields = error.validation.map(({ instancePath, params, message }) => ({
      field: fieldOf(error.validationContext, instancePath, params),
      message: message ?? 'is not right',
    }));
    const detail = fields.map(({ field, message }) => `${field} ${message}`).join('; ');
    return new Problem('validation_failed', detail, { errors: fields });
  }
  if (isRedisError(error)) return new Problem('redis_unavailable', 'Redis did not answer in time');
  const status = error.statusCode ?? 500;
  if (status < 500) return new Problem(BY_STATUS[status] ?? 'bad_request', error.message);
  return new Problem('internal_error', 'see the log for the request id');
}

function problemOfTransfer({ code, message }: TransferError): Problem {
  switch (code) {
    case 'not_allowed':
      return new Problem('destination_not_allowed', message);
    case 'unsupported':
      return new Problem('transfer_unsupported', message);
    case 'invalid': {
      const [, name = '', fault = ''] = /^(\S+) (.*)$/s.exec(message) ?? [];
      const field = `body.${name}`;
      return new Problem('validation_failed', `body.${message}`, { errors: [{ field, message: fault }] });
    }
  }
}

/** `body.reason`, `querystring.limit`: where the wrong value stands. */
function fieldOf(context: string | undefined, path: string, params: Record<string, unknown>): string {
  const name = params.missingProperty ?? params.additionalProperty;
  const inner = path.split('/').filter(Boolean).map(String);
  return [context ?? 'request', ...inner, ...(name === undefined ? [] : [String(name)])].join('.');
}

/** ioredis has no class for all of them: a lost connection, a full retry, a command's time limit. */
function isRedisError(error: Error): boolean {
  return (
    error.name === 'MaxRetriesPerRequestError' ||
    error.name === 'ReplyError' ||
    /^(Command timed out|Connection is closed|Stream isn't writeable)/.test(error.message)
  );
}
