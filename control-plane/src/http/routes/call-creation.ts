import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Ajv } from 'ajv';
import { callView } from '../../calls/call-view.js';
import type { CreationOutcome } from '../../metrics/origination-metrics.js';
import type { CallOrder, Origination } from '../../routing/origination.js';
import { OriginationError, type OriginationErrorCode } from '../../routing/origination-error.js';
import { Problem, type ProblemCode } from '../problems.js';
import { CallSchema, ProblemSchema } from '../schemas.js';
import { CreationBody, CreationHeaders } from '../schemas-creation.js';

export interface CallCreationRoutesOptions {
  origination: Pick<Origination, 'place'>;
  /** Told of every request that was let in. */
  callCreated: (outcome: CreationOutcome) => void;
}

const CODES: Record<Exclude<OriginationErrorCode, 'invalid_from'>, ProblemCode> = {
  destination_not_allowed: 'destination_not_allowed',
  key_reused: 'idempotency_key_reused',
  not_configured: 'retell_not_configured',
  node_unavailable: 'node_unavailable',
  refused: 'retell_refused',
  limited: 'retell_limited',
  unknown_outcome: 'retell_unknown_outcome',
};

/** Unlike that of all other routes it converts nothing: a variable that is null is no empty one. */
const ajv = new Ajv({ allErrors: true });

/** Calls that Retell is asked for. */
export const callCreationRoutes: FastifyPluginAsyncTypebox<CallCreationRoutesOptions> = async (
  app,
  { origination, callCreated },
) => {
  app.post(
    '/v1/calls',
    {
      config: { scope: 'control' },
      validatorCompiler: ({ schema }) => ajv.compile(schema),
      schema: {
        summary: 'Have Retell call out; answers once Retell has taken the call',
        description:
          'Answers 201 with the record, which the INVITE and all that follows are written into. With the `Idempotency-Key` of an earlier request it answers 200 with the call of that one, with `Idempotent-Replayed: true`.',
        tags: ['calls'],
        security: [{ bearer: [] }],
        headers: CreationHeaders,
        body: CreationBody,
        response: { 200: CallSchema, 201: CallSchema, '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const order: CallOrder = request.body;
      checkNames(order);
      const by = request.tokenName;
      const audit = { by, command: 'create_call' };
      try {
        const asker = { by, idempotencyKey: request.headers['idempotency-key'] };
        const { call, replayed } = await origination.place(order, asker);
        callCreated(replayed ? 'replayed' : 'created');
        request.log.info({ ...audit, call_id: call.id, replayed }, 'call created');
        if (replayed) reply.header('idempotent-replayed', 'true');
        return reply
          .code(replayed ? 200 : 201)
          .header('location', `/v1/calls/${call.id}`)
          .send(callView(call));
      } catch (error) {
        const known = error instanceof OriginationError ? error : undefined;
        callCreated(known?.code ?? 'failed');
        request.log.info({ ...audit, call_id: known?.callId, code: known?.code }, 'call not created');
        throw known === undefined ? error : problemOf(known);
      }
    },
  );
};

/** Names that the schema cannot tell: those that are ours, and one header twice. */
function checkNames({ headers = {}, metadata = {} }: CallOrder): void {
  if ('call_ref' in metadata) throw invalid('metadata.call_ref', 'is ours; use another name');
  const seen = new Set<string>();
  for (const name of Object.keys(headers)) {
    const key = name.toLowerCase();
    if (key === 'x-call-ref') throw invalid(`headers.${name}`, 'is ours; use another name');
    if (seen.has(key)) throw invalid(`headers.${name}`, 'is there twice; leave one out');
    seen.add(key);
  }
}

function problemOf({ code, message, callId, retellStatus }: OriginationError): Problem {
  if (code === 'invalid_from') return invalid('from', 'is none of our numbers');
  return new Problem(CODES[code], message, {
    ...(callId === undefined ? {} : { call_id: callId }),
    ...(retellStatus === undefined ? {} : { retell_status: retellStatus }),
  });
}

function invalid(member: string, message: string): Problem {
  const field = `body.${member}`;
  return new Problem('validation_failed', `${field} ${message}`, { errors: [{ field, message }] });
}
