import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { Erasure } from '../../calls/erasure.js';
import type { CallStore } from '../../calls/store.js';
import { CallIdParam, callLogSerializers, resolveCallId } from '../call-ids.js';
import { Problem } from '../problems.js';
import { ProblemSchema } from '../schemas.js';

export interface ErasureRoutesOptions {
  store: CallStore;
  erasure: Erasure;
}

/** Erasing what leads from a call to a person. */
export const erasureRoutes: FastifyPluginAsyncTypebox<ErasureRoutesOptions> = async (
  app,
  { store, erasure },
) => {
  app.delete(
    '/v1/calls/:id/data',
    {
      config: { scope: 'admin' },
      logSerializers: callLogSerializers,
      schema: {
        summary: "Erase an ended call's data: what leads to a person",
        tags: ['calls'],
        security: [{ bearer: [] }],
        params: Type.Object({ id: CallIdParam }),
        response: { 204: Type.Null(), '4xx': ProblemSchema, '5xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const id = await resolveCallId(store, request.params.id);
      const outcome = await erasure.erase(id);
      if (outcome === 'none') throw new Problem('call_not_found', `there is no call ${request.params.id}`);
      if (outcome === 'up') throw new Problem('call_not_ended', 'its data can be erased once it has ended');
      request.log.info({ call_id: id, by: request.tokenName }, 'data of a call erased');
      return reply.code(204).send(null);
    },
  );
};
